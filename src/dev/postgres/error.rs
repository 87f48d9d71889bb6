//! What can go wrong with a private PostgreSQL, and what the reader can do about it.

use std::{io, path::PathBuf, process::ExitStatus};

use crate::random::RandomUnavailable;

/// Why a private PostgreSQL could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// There are no server programs on this machine.
    #[error(
        "found no PostgreSQL server programs (initdb, postgres), neither in PATH nor below \
         /usr/lib/postgresql. On Debian and Ubuntu `apt-get install postgresql` brings them; \
         `./run` and `./test` do that by themselves"
    )]
    NotInstalled,
    /// This process is root's, and there is nobody to hand the server to.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`"
    )]
    NoAccount,
    /// Another process of ours has this data open.
    #[error("{} is in use by another otp-auth; stop that one first", .0.display())]
    InUse(PathBuf),
    /// A server that an earlier, killed process of ours left is still writing its data.
    #[error("the server of an earlier run has not yet left {}; try again in a moment", .0.display())]
    StillEnding(PathBuf),
    /// The data is another user's.
    #[error(
        "{} does not belong to an account that can run PostgreSQL here; remove it to start afresh, \
         or run as the user who made it",
        .0.display()
    )]
    Foreign(PathBuf),
    /// A file or directory could not be read or written.
    #[error("cannot use {}", path.display())]
    Files {
        /// What could not be used.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program could not be started at all.
    #[error("cannot start {}", program.display())]
    Spawn {
        /// What was to be started.
        program: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
    /// A program that prepares the data failed.
    #[error("{program} failed ({status}):\n{log}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it wrote.
        log: String,
    },
    /// The server ended before it took connections.
    #[error("the PostgreSQL server ended while starting:\n{log}")]
    Ended {
        /// The last lines it wrote.
        log: String,
    },
    /// The server did not take connections in time.
    #[error("the PostgreSQL server took no connection in time:\n{log}")]
    NotReady {
        /// The last lines it wrote.
        log: String,
    },
    /// The server answered, but refused us.
    #[error("the PostgreSQL server refused our connection")]
    Refused(#[source] sqlx::Error),
    /// The server is still there after it was told to end in every way there is.
    #[error("the PostgreSQL server did not end")]
    NotStopped,
    /// The table of users could not be read.
    #[error("cannot look up a user of this machine")]
    Users(#[from] nix::Error),
    /// No free port, or no thread, was to be had.
    #[error("the operating system refused a port or a thread")]
    System(#[source] io::Error),
    /// No password could be made.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// The task that prepares the data was ended with this process.
    #[error("preparing the data was cut short")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl PostgresError {
    /// For `map_err`: the failure of an operation on `path`.
    pub(super) fn files(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Files {
            path: path.into(),
            source,
        }
    }
}
