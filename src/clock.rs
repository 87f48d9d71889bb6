//! The time of day, passed in so that tests can move it.

use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};

/// Tells what time it is. Everything that decides takes `now` as a parameter; only the outermost
/// layer asks a `Clock`.
pub trait Clock: Send + Sync {
    /// The current time in UTC, in whole milliseconds: callers are told times to the millisecond, and a time
    /// must compare equal to itself after a round trip through them and the database.
    fn now(&self) -> DateTime<Utc>;

    /// Time since some fixed moment, for measuring spans: it never goes back, whatever happens to
    /// the time of day. A test's clock need only have a time of day.
    fn monotonic(&self) -> Duration {
        (self.now() - DateTime::UNIX_EPOCH)
            .to_std()
            .unwrap_or(Duration::ZERO)
    }
}

/// A time as everybody outside sees it: RFC 3339, UTC, `Z`, to the millisecond.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(3)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The clock of unit tests.
#[cfg(test)]
#[cfg(feature = "server")]
pub(crate) mod stopped {
    use std::sync::{Arc, Mutex};

    use super::{Clock, DateTime, Duration, Utc};

    /// Stands still until the test moves it.
    pub(crate) struct Stopped(Mutex<Duration>);

    impl Stopped {
        /// Starts a second after the epoch, so that no span begins at zero by chance.
        pub(crate) fn new() -> Arc<Self> {
            Arc::new(Self(Mutex::new(Duration::from_secs(1))))
        }

        pub(crate) fn advance(&self, by: Duration) {
            *self.0.lock().unwrap() += by;
        }
    }

    impl Clock for Stopped {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH + *self.0.lock().unwrap()
        }
    }
}
