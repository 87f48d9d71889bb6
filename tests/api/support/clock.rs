//! A clock that stands still until the test moves it.

use std::sync::Mutex;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use otp_auth::clock::Clock;

pub(crate) struct TestClock(Mutex<DateTime<Utc>>);

impl TestClock {
    /// Starts at the machine's time, so that libraries that look at it find fresh tokens fresh.
    pub(crate) fn new() -> Self {
        let now = otp_auth::clock::SystemClock::default().now();
        Self(Mutex::new(now))
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.advance_by(TimeDelta::seconds(seconds));
    }

    /// To the beginning of the next day of UTC: no hour, day or month ends soon after it.
    pub(crate) fn advance_to_next_day(&self) {
        let tomorrow = self.now().date_naive() + Days::new(1);
        *self.0.lock().unwrap() = tomorrow.and_time(NaiveTime::MIN).and_utc();
    }

    pub(crate) fn advance_by(&self, by: TimeDelta) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}
