//! How a service runs, and how it stops without losing a call.
//!
//! | phase | new calls | ends |
//! |---|---|---|
//! | serving | taken | when it is told to stop |
//! | draining | taken, but `/readyz` fails and each answer closes its connection | after `server.drain_seconds` |
//! | finishing | no connection is taken; who waits for news is answered | when nothing is in flight, or after `server.shutdown_grace_seconds` |
//! | ending | the background ends, the database is let go | after two seconds at most |
//!
//! Who is told a second time goes to the last phase at once. A call that is cut off there is as one whose
//! process died: the table in `lib.rs` says what becomes of it.

use std::future::{self, Future};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{join, join4, try_join};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::App;
use crate::config;

/// How long what runs in the background, and then the database's connections, may take to end. It is
/// waiting most of the time, and what it does can be done again. Our own figure.
const BACKGROUND_ENDS: Duration = Duration::from_secs(1);

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

/// Why calls are not waited for any longer.
enum Ended {
    /// There is none.
    Served(io::Result<()>),
    /// They had their time.
    Late,
    /// Told a second time.
    AtOnce,
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
        let (revocations, serving) = (self.revocations, self.serving);
        let (public, admin) = (self.public.handle(), self.admin.handle());
        let Patience { drain, grace } = self.patience;

        let (stop_background, stopped) = oneshot::channel::<()>();
        let stopped = stopped.map(drop).shared();
        let mut background = tokio::spawn(join4(
            Arc::clone(&revocations).follow(self.follower, stopped.clone()),
            self.vitals.follow(stopped.clone()),
            self.resealing.follow(stopped.clone()),
            join4(
                self.otp.follow_deliveries(stopped.clone()),
                self.rules.follow(stopped.clone()),
                self.keys.follow(stopped.clone()),
                self.retention.follow(stopped),
            ),
        ));

        let stops = async {
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
            // They would wait for up to a minute, and may as well ask another replica.
            revocations.close();
            let finished = join(public.stop(true), admin.stop(true));
            if timeout(grace, finished).await.is_err() {
                return;
            }
            // The servers are about to say so.
            future::pending::<()>().await;
        };
        let ended = {
            let servers = try_join(self.public, self.admin);
            tokio::select! {
                biased;
                served = servers => Ended::Served(served.map(drop)),
                () = at_once => Ended::AtOnce,
                () = stops => Ended::Late,
            }
        };
        match &ended {
            Ended::Served(_) => tracing::info!("ending: every call is answered"),
            Ended::Late => {
                tracing::warn!(in_flight = serving.in_flight(), "ending: calls are cut off");
            }
            Ended::AtOnce => {
                let in_flight = serving.in_flight();
                tracing::warn!(in_flight, "ending at once: told a second time");
            }
        }

        drop(stop_background);
        if timeout(BACKGROUND_ENDS, &mut background).await.is_err() {
            background.abort();
            tracing::warn!("the background did not end in time");
        }
        if timeout(BACKGROUND_ENDS, self.pool.close()).await.is_err() {
            tracing::warn!("connections to the database were cut off");
        }
        match ended {
            Ended::Served(served) => served,
            Ended::Late | Ended::AtOnce => Ok(()),
        }
    }
}
