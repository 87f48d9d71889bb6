//! The time of day, passed in so that tests can move it.

use chrono::{DateTime, SubsecRound, Utc};

/// Tells what time it is. Everything that decides takes `now` as a parameter; only the outermost
/// layer asks a `Clock`.
pub trait Clock: Send + Sync {
    /// The current time in UTC, in whole microseconds: PostgreSQL keeps no finer ones, and a time
    /// must compare equal to itself after a round trip through the database.
    fn now(&self) -> DateTime<Utc>;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}
