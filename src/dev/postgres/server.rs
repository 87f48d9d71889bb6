//! The server process: starts it, waits for it, ends it.
//!
//! The server is told to end (SIGINT, by the kernel) when the *thread* that started it ends. Threads
//! of the runtime come and go, so it has a thread of its own, which does nothing but wait for it:
//! either the server ends first, or the whole process does.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    process::{Command, ExitStatus},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection};
use tokio::{
    sync::{oneshot, watch},
    time::{interval, timeout},
};

use super::{error::PostgresError, files::Log};

/// How long a start may take. It is a fraction of a second, but longer after a crash, when the log
/// of the last minutes is replayed first.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How often a starting server is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How to end a server, from kind to rude, and how long to wait each time. The names of the
/// PostgreSQL manual, section 19.5: fast shutdown, immediate shutdown, and what it warns of.
const WAYS_TO_END: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(15)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

/// What the server answers while it is still starting (PostgreSQL manual, appendix A).
const CANNOT_CONNECT_NOW: &str = "57P03";

/// A server process. Dropping it tells it to end.
#[derive(Debug)]
pub(super) struct Server {
    pid: Pid,
    ended: watch::Receiver<Option<ExitStatus>>,
}

impl Server {
    /// Starts `command` on a thread that lives as long as the server does.
    pub(super) async fn spawn(mut command: Command) -> Result<Self, PostgresError> {
        let (started, starting) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        let wait = move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            // Nobody waits any more for it to start.
            if started.send(Ok(child.id())).is_err() {
                drop(child.kill());
            }
            end.send_replace(child.wait().ok());
        };
        thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(wait)
            .map_err(PostgresError::System)?;
        let id = starting.await.map_err(io::Error::other).flatten();
        let id = id.map_err(|source| PostgresError::Spawn {
            program: "postgres".into(),
            source,
        })?;
        let id = i32::try_from(id)
            .map_err(io::Error::other)
            .map_err(PostgresError::System)?;
        Ok(Self {
            pid: Pid::from_raw(id),
            ended,
        })
    }

    /// Ends the server and returns when it has ended.
    pub(super) async fn stop(self) -> Result<(), PostgresError> {
        self.end(&WAYS_TO_END).await
    }

    /// Ends the server in the middle of what it does, so that its next start has to recover, and
    /// returns when it has ended.
    pub(super) async fn crash(&self) -> Result<(), PostgresError> {
        let [_kind, rude @ ..] = &WAYS_TO_END;
        self.end(rude).await
    }

    async fn end(&self, ways: &[(Signal, Duration)]) -> Result<(), PostgresError> {
        for (signal, patience) in ways {
            self.signal(*signal);
            if timeout(*patience, self.ended()).await.is_ok() {
                return Ok(());
            }
        }
        Err(PostgresError::NotStopped)
    }

    async fn ended(&self) {
        // An error means that the waiting thread is gone, and so the server.
        drop(self.ended.clone().wait_for(Option::is_some).await);
    }

    fn signal(&self, signal: Signal) {
        if self.ended.borrow().is_none() {
            // The only error there can be is that it ended just now.
            let _ = kill(self.pid, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::SIGINT);
    }
}

/// A port of 127.0.0.1 that is free now.
pub(super) fn free_port() -> Result<u16, PostgresError> {
    let port = || {
        Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port())
    };
    port().map_err(PostgresError::System)
}

/// Waits until the server lets us in at `url`.
pub(super) async fn wait_until_ready(
    server: &Server,
    url: &SecretString,
    log: &Log,
) -> Result<(), PostgresError> {
    let answer = async {
        let mut ticks = interval(ASK_EVERY);
        loop {
            ticks.tick().await;
            match PgConnection::connect(url.expose_secret()).await {
                Ok(connection) => return connection.close().await,
                Err(error) if is_temporary(&error) => {}
                Err(error) => return Err(error),
            }
        }
    };
    tokio::select! {
        biased;
        () = server.ended() => Err(PostgresError::Ended { log: log.tail() }),
        answer = timeout(READY_WITHIN, answer) => match answer {
            Ok(answer) => answer.map_err(PostgresError::Refused),
            Err(_elapsed) => Err(PostgresError::NotReady { log: log.tail() }),
        },
    }
}

fn is_temporary(error: &sqlx::Error) -> bool {
    error.as_database_error().is_none_or(|refusal| {
        refusal
            .code()
            .is_some_and(|code| code == CANNOT_CONNECT_NOW)
    })
}
