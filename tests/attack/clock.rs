//! The time of a simulation: it stands still until everybody has been answered.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use otp_auth::clock::{Clock, SystemClock};

/// A clock that all replicas and the sandbox share.
pub(crate) struct SimClock(Mutex<DateTime<Utc>>);

impl SimClock {
    /// Starts at the next midnight of UTC, so that a simulated day is a day of every limit.
    pub(crate) fn new() -> Self {
        let today = SystemClock::default().now().date_naive();
        let midnight = today.and_time(NaiveTime::MIN).and_utc() + TimeDelta::days(1);
        Self(Mutex::new(midnight))
    }

    /// Moves on to a later time.
    pub(crate) fn set(&self, to: DateTime<Utc>) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = to.max(*now);
    }
}

impl Clock for SimClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
