//! Open files, of which each connection is one.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::Settings;
use crate::telemetry::Chain;

/// Files for everything but connections to the public listener: the database's pool (8 of at most 1000), calls to
/// the provider (`provider.max_in_flight`, 256), the admin listener, sockets and threads. Our own figure, beside
/// what the first two are set to.
const OTHERS: usize = 256;
/// Connections to the admin listener: supervisors, Prometheus and a few people.
pub(super) const ADMIN: usize = 128;

/// How many may be connected to the public listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Threads that answer.
    pub(super) workers: usize,
    /// Connections of each.
    pub(super) per_worker: usize,
}

impl Room {
    /// Raises the limit of open files as far as it may be, and takes what has room in it.
    pub(super) fn make(settings: &Settings) -> Self {
        let asked = settings.server.max_connections;
        let pool = usize::try_from(settings.database.max_connections).unwrap_or(usize::MAX);
        let others = OTHERS
            .saturating_add(pool)
            .saturating_add(settings.provider.max_in_flight);
        let files = raise();
        let room = Self::of(asked, files.saturating_sub(others), settings.server.workers);
        if room.all() < asked {
            tracing::warn!(
                open_files = files,
                connections = room.all(),
                "the limit of open files has no room for server.max_connections"
            );
        }
        room
    }

    fn of(asked: usize, fit: usize, workers: Option<NonZeroUsize>) -> Self {
        // As many as actix-web starts by itself.
        let workers = workers.map_or_else(
            || available_parallelism().map_or(2, NonZeroUsize::get),
            NonZeroUsize::get,
        );
        Self {
            workers,
            per_worker: asked.min(fit).div_ceil(workers).max(1),
        }
    }

    /// Connections in all.
    pub(super) fn all(self) -> usize {
        self.workers.saturating_mul(self.per_worker)
    }
}

/// Raises the limit to what this process may raise it to; what it is then.
fn raise() -> usize {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    match raised {
        Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "the limit of open files was not raised");
            // POSIX asks for 20, Linux starts with this many.
            1024
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_what_was_asked_for_if_it_fits() {
        let workers = |count| NonZeroUsize::new(count);
        for (asked, fit, threads, per_worker) in [
            (16_384, 20_000, 2, 8192),
            (16_384, 1000, 2, 500),
            (16_384, 1000, 3, 334),
            (1, 1000, 8, 1),
            (16_384, 0, 2, 1),
        ] {
            let room = Room::of(asked, fit, workers(threads));
            assert_eq!((room.workers, room.per_worker), (threads, per_worker));
        }
    }

    #[test]
    fn the_limit_is_raised_to_what_it_may_be() {
        let most = raise();

        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
        assert_eq!(u64::try_from(most).unwrap(), hard);
    }
}
