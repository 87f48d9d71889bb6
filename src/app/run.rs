//! How a service runs, and how it stops without losing a call.
//!
//! | phase | new calls | ends |
//! |---|---|---|
//! | serving | taken | when it is told to stop |
//! | draining | taken, but `/readyz` fails and each answer closes its connection | after `server.drain_seconds` |
//! | finishing | no connection is taken; who waits for news is answered | when nothing is in flight, or after `server.shutdown_grace_seconds` |
//! | ending | the background ends, then the servers, then the database is let go while the last traces leave | after three seconds at most |
//!
//! Who is told a second time goes to the last phase at once. A call that is cut off there is as one whose
//! process died: the table in `lib.rs` says what becomes of it.
//!
//! The servers are asked to stop last, when nothing is in flight. A worker of theirs that has no call ends
//! before those that have some, and takes along the connections to the database that it opened: another's call
//! would find one broken.

use std::future::{self, Future};
use std::io;
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use futures_util::FutureExt as _;
use futures_util::future::{OptionFuture, join, join3, join4, try_join};
use socket2::SockRef;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::App;
use crate::config;

/// How long each of what runs in the background, idle servers, and the connections to the database with the last
/// traces may take to end. They wait most of the time, and what the background does can be done again. Our own figure.
const ENDS: Duration = Duration::from_secs(1);

/// How long the thread that accepts connections is given to hear of a pause, of which it does not say when it has:
/// a closed socket it would log as an error. Our own figure.
const HEARD: Duration = Duration::from_millis(50);

/// How long a stop may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For others to see that it stops.
    pub(super) drain: Duration,
    /// For what is in flight afterwards.
    pub(super) grace: Duration,
}

impl Patience {
    pub(super) fn of(server: &config::Server) -> Self {
        Self {
            drain: server.drain,
            grace: server.shutdown_grace,
        }
    }
}

/// Where calls come in: a server, and another handle of its socket.
pub(super) struct Door {
    server: ServerHandle,
    listener: TcpListener,
}

impl Door {
    /// Of a server and another handle of its socket.
    pub(super) fn new(server: &Server, listener: TcpListener) -> Self {
        Self {
            server: server.handle(),
            listener,
        }
    }

    /// Takes no further connection: whoever tries is refused at once, not left waiting.
    async fn close(&self) {
        self.server.pause().await;
        sleep(HEARD).await;
        // Only a socket that is closed already cannot be shut down.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
    }
}

/// Why calls are not waited for any longer.
enum Ended {
    /// There is none.
    Idle,
    /// They had their time.
    Late,
    /// Told a second time.
    AtOnce,
    /// A server failed.
    Broken(io::Result<()>),
}

impl App {
    /// Serves until `stop` is done, then as the table above says.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        self.run_or_end(stop, future::pending()).await
    }

    /// [`Self::run`], which does not wait any longer when `at_once` is done.
    pub async fn run_or_end(
        self,
        stop: impl Future<Output = ()>,
        at_once: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let (stop_traces, no_more) = oneshot::channel::<()>();
        let traces = self
            .exporter
            .map(|exporter| exporter.follow(no_more.map(drop)));
        let mut traces = tokio::spawn(OptionFuture::from(traces));
        let (stop_background, stopped) = oneshot::channel::<()>();
        let stopped = stopped.map(drop).shared();
        let (revocations, otp) = (Arc::clone(&self.revocations), Arc::clone(&self.otp));
        let mut background = tokio::spawn(join4(
            revocations.follow(self.follower, stopped.clone()),
            self.vitals.follow(stopped.clone()),
            self.resealing.follow(stopped.clone()),
            join4(
                self.otp.follow_deliveries(stopped.clone()),
                self.rules.follow(stopped.clone()),
                self.keys.follow(stopped.clone()),
                self.retention.follow(stopped),
            ),
        ));

        let [public, admin] = &self.doors;
        let (serving, Patience { drain, grace }) = (&self.serving, self.patience);
        let finished = async {
            stop.await;
            serving.stop();
            tracing::info!(
                drain_s = drain.as_secs(),
                "draining: calls are taken, /readyz fails"
            );
            sleep(drain).await;
            let in_flight = serving.in_flight();
            tracing::info!(
                in_flight,
                grace_s = grace.as_secs(),
                "finishing: no new connections"
            );
            join(public.close(), admin.close()).await;
            // They would wait for up to a minute, and may as well ask another replica.
            self.revocations.close();
            match timeout(grace, serving.idle()).await {
                Ok(()) => Ended::Idle,
                Err(_) => Ended::Late,
            }
        };
        let mut servers = Box::pin(try_join(self.public, self.admin));
        let ended = tokio::select! {
            biased;
            served = &mut servers => Ended::Broken(served.map(drop)),
            () = at_once => Ended::AtOnce,
            ended = finished => ended,
        };
        let in_flight = serving.in_flight();
        let servers = match &ended {
            Ended::Idle => {
                tracing::info!("ending: every call is answered");
                Some(servers)
            }
            Ended::Late => {
                tracing::warn!(in_flight, "ending: calls are cut off");
                None
            }
            Ended::AtOnce => {
                tracing::warn!(in_flight, "ending at once: told a second time");
                None
            }
            Ended::Broken(_) => None,
        };

        drop(stop_background);
        if timeout(ENDS, otp.recorded()).await.is_err() {
            tracing::warn!("what became of the last SMS is not recorded");
        }
        if timeout(ENDS, &mut background).await.is_err() {
            background.abort();
            tracing::warn!("the background did not end in time");
        }
        if let Some(servers) = servers {
            // What is left are connections without a call.
            let stops = join3(public.server.stop(true), admin.server.stop(true), servers);
            let _ = timeout(ENDS, stops).await;
        }
        drop(stop_traces);
        let last = join(timeout(ENDS, self.pool.close()), timeout(ENDS, &mut traces));
        let (database, flushed) = last.await;
        if database.is_err() {
            tracing::warn!("connections to the database were cut off");
        }
        if flushed.is_err() {
            traces.abort();
            tracing::warn!("the last traces were not taken in time");
        }
        match ended {
            Ended::Broken(served) => served,
            Ended::Idle | Ended::Late | Ended::AtOnce => Ok(()),
        }
    }
}
