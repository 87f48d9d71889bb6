//! How far two clocks are apart.

use chrono::{DateTime, TimeDelta, Utc};

use super::report::Finding;
use crate::clock::Clock;

/// From here on somebody should look: our own figure. Machines that follow a time server are apart by
/// milliseconds.
const WARN: TimeDelta = TimeDelta::seconds(1);
/// From here on it fails: our own figure. Verifiers give a token 0 to 60 s of leeway.
const FAIL: TimeDelta = TimeDelta::seconds(5);
/// Half of what an HTTP `Date` leaves out: it is cut to whole seconds (RFC 9110 section 5.6.7).
pub(super) const OF_DATE: TimeDelta = TimeDelta::milliseconds(500);

/// Another clock's time, as this machine saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// How far it is ahead of ours; negative if behind.
    ahead: TimeDelta,
    /// How far that may be wrong, either way.
    uncertainty: TimeDelta,
}

impl Reading {
    /// The other clock said `said` at some time between two of our own.
    pub(super) fn new(said: DateTime<Utc>, asked: DateTime<Utc>, answered: DateTime<Utc>) -> Self {
        let half = (answered - asked) / 2;
        Self {
            ahead: said - (asked + half),
            uncertainty: half,
        }
    }

    /// The same from an HTTP `Date`.
    pub(super) fn of_date(
        said: DateTime<Utc>,
        asked: DateTime<Utc>,
        answered: DateTime<Utc>,
    ) -> Self {
        let exact = Self::new(said + OF_DATE, asked, answered);
        Self {
            uncertainty: exact.uncertainty + OF_DATE,
            ..exact
        }
    }

    /// Judges it: a drift counts as far as it is certain.
    pub(super) fn judge(self, name: &'static str, whose: &str, advice: &str) -> Finding {
        let certain = (self.ahead.abs() - self.uncertainty).max(TimeDelta::zero());
        let millis = self.ahead.abs().num_milliseconds();
        let side = if self.ahead < TimeDelta::zero() {
            "behind"
        } else {
            "ahead of"
        };
        let uncertainty = self.uncertainty.num_milliseconds();
        let seen =
            format!("{whose} is {millis} ms {side} this machine's clock (+-{uncertainty} ms)");
        if certain > FAIL {
            Finding::fail(name, seen, advice)
        } else if certain > WARN {
            Finding::warn(name, seen, advice)
        } else {
            Finding::ok(name, seen)
        }
    }
}

/// Asks another clock, and notes our own before and after.
pub(super) async fn timed<T>(
    clock: &dyn Clock,
    ask: impl Future<Output = T>,
) -> (T, DateTime<Utc>, DateTime<Utc>) {
    let asked = clock.now();
    let answer = ask.await;
    (answer, asked, clock.now())
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + millis).unwrap()
    }

    #[test]
    fn a_second_is_worth_a_look_and_five_are_too_many() {
        for (ahead, level) in [
            (0, Level::Ok),
            (1000, Level::Ok),
            (1001, Level::Warn),
            (-1001, Level::Warn),
            (5000, Level::Warn),
            (5001, Level::Fail),
            (-5001, Level::Fail),
        ] {
            let found = Reading::new(at(ahead), at(0), at(0)).judge("x", "it", "mend it");
            assert_eq!(found.level, level, "{ahead}");
        }
    }

    #[test]
    fn a_slow_answer_blames_nobody() {
        let slow = |said| Reading::new(at(said), at(0), at(4000)).judge("x", "it", "mend it");
        assert_eq!(
            slow(2000).seen,
            "it is 0 ms ahead of this machine's clock (+-2000 ms)"
        );
        assert_eq!(slow(5000).level, Level::Ok);
        assert_eq!(slow(5001).level, Level::Warn);
    }

    #[test]
    fn a_date_may_be_a_second_older_than_it_says() {
        let date = |said| Reading::of_date(at(said), at(0), at(0)).judge("x", "it", "mend it");
        for said in [-1999, -1000, 0, 999] {
            assert_eq!(date(said).level, Level::Ok, "{said}");
        }
        assert_eq!(date(-2001).level, Level::Warn);
        assert_eq!(date(1001).level, Level::Warn);
        assert_eq!(
            date(0).seen,
            "it is 500 ms ahead of this machine's clock (+-500 ms)"
        );
    }
}
