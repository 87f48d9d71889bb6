//! The per-phone send limits, as pure functions of the send log.
//!
//! The decision itself is taken inside the SQL statement that stores the request
//! (`otp/store.rs`), under the phone's row lock. The functions here say why it refused and when it
//! will not; `tests/api/model.rs` checks that both agree.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Limit, Quota, Refusal};

/// How far back sends count for the growing cooldown, in seconds: the provider's own per-number
/// window (startmessaging.com, read 2026-11-23: 3 sends in 5 minutes).
pub const COOLDOWN_WINDOW_SECONDS: i64 = 300;

/// A sliding window: at most `most` sends in any `seconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Length of the window in seconds.
    pub seconds: i64,
    /// Sends allowed within it.
    pub most: i32,
}

/// What limits the sends to one phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendPolicy {
    /// All windows hold at once.
    pub windows: Vec<Window>,
    /// Pause after the first, second, third ... send within [`COOLDOWN_WINDOW_SECONDS`], in
    /// seconds; the last one repeats.
    pub cooldowns: Vec<i64>,
}

impl SendPolicy {
    /// No limit at all.
    pub const NONE: &'static Self = &Self {
        windows: Vec::new(),
        cooldowns: Vec::new(),
    };
}

/// What devices that logged in before took where the phone's own limits had refused them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KnownHistory {
    /// When codes were sent.
    pub send_log: Vec<DateTime<Utc>>,
    /// When wrong codes were tried.
    pub failure_log: Vec<DateTime<Utc>>,
    /// Wrong codes since the last right one.
    pub failures_in_row: i32,
}

/// What the database knows of a phone's sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendHistory {
    /// When codes were sent.
    pub send_log: Vec<DateTime<Utc>>,
    /// End of the cooldown.
    pub cooldown_until: DateTime<Utc>,
}

impl SendPolicy {
    /// Window lengths in seconds, in the order of [`Self::maxima`].
    pub fn window_seconds(&self) -> Vec<i64> {
        self.windows.iter().map(|window| window.seconds).collect()
    }

    /// Sends allowed in each window.
    pub fn maxima(&self) -> Vec<i32> {
        self.windows.iter().map(|window| window.most).collect()
    }

    /// How long a send must be remembered, in seconds.
    pub fn horizon_seconds(&self) -> i64 {
        self.windows
            .iter()
            .map(|window| window.seconds)
            .fold(COOLDOWN_WINDOW_SECONDS, i64::max)
    }

    /// Why a send at `now` would be refused, or `None` if it would pass.
    pub fn refusal(&self, history: &SendHistory, now: DateTime<Utc>) -> Option<Refusal> {
        let cooldown = (history.cooldown_until, Limit::Cooldown);
        let windows = self
            .windows
            .iter()
            .filter_map(|window| opens_at(history, window, now));
        let (until, limit) = windows.fold(cooldown, |held, opens| {
            if opens > held.0 {
                (opens, Limit::Phone)
            } else {
                held
            }
        });
        let wait = (until - now).to_std().ok().filter(|wait| !wait.is_zero())?;
        Some(Refusal { limit, wait })
    }

    /// When the next send to this phone passes; `now` if at once.
    pub fn next_send_at(&self, history: &SendHistory, now: DateTime<Utc>) -> DateTime<Utc> {
        let wait = self
            .refusal(history, now)
            .map_or(Duration::ZERO, |refusal| refusal.wait);
        now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX)
    }

    /// What is left of each window.
    pub fn quotas(&self, history: &SendHistory, now: DateTime<Utc>) -> Vec<Quota> {
        let quota = |window: &Window| {
            let length = TimeDelta::seconds(window.seconds);
            let inside = history.send_log.iter().filter(|sent| **sent > now - length);
            let most = u32::try_from(window.most).unwrap_or(0);
            let used = u32::try_from(inside.clone().count()).unwrap_or(u32::MAX);
            let reset = inside
                .min()
                .map_or(TimeDelta::zero(), |oldest| *oldest + length - now);
            Quota {
                name: format!("phone-{}s", window.seconds),
                most,
                window: Duration::from_secs(window.seconds.unsigned_abs()),
                remaining: most.saturating_sub(used),
                reset: reset.to_std().unwrap_or(Duration::ZERO),
            }
        };
        self.windows.iter().map(quota).collect()
    }
}

/// When a full window lets the next send through; `None` if it is not full.
fn opens_at(history: &SendHistory, window: &Window, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let length = TimeDelta::seconds(window.seconds);
    let mut inside: Vec<_> = history
        .send_log
        .iter()
        .copied()
        .filter(|sent| *sent > now - length)
        .collect();
    inside.sort_unstable_by(|a, b| b.cmp(a));
    let most = usize::try_from(window.most).unwrap_or(0);
    // The window opens when the `most`-th latest send leaves it.
    let blocking = inside.get(most.checked_sub(1)?)?;
    Some(*blocking + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn policy() -> SendPolicy {
        SendPolicy {
            windows: vec![
                Window {
                    seconds: 300,
                    most: 3,
                },
                Window {
                    seconds: 3600,
                    most: 5,
                },
                Window {
                    seconds: 86_400,
                    most: 10,
                },
            ],
            cooldowns: vec![30, 60, 120],
        }
    }

    fn history(sends: &[i64], cooldown_until: i64) -> SendHistory {
        let send_log = sends.iter().map(|s| at(*s)).collect();
        SendHistory {
            send_log,
            cooldown_until: at(cooldown_until),
        }
    }

    fn refused(sends: &[i64], cooldown_until: i64, now: i64) -> Option<(&'static str, u64)> {
        let refusal = policy().refusal(&history(sends, cooldown_until), at(now))?;
        Some((refusal.limit.name(), refusal.wait.as_secs()))
    }

    #[test]
    fn the_cooldown_holds_until_its_last_second() {
        assert_eq!(refused(&[0], 30, 29), Some(("cooldown", 1)));
        assert_eq!(refused(&[0], 30, 30), None);
        assert_eq!(refused(&[0], 30, 31), None);
    }

    #[test]
    fn a_full_window_opens_when_its_oldest_send_leaves_it() {
        assert_eq!(refused(&[0, 30, 90], 210, 299), Some(("phone", 1)));
        assert_eq!(refused(&[0, 30, 90], 210, 300), None);
        assert_eq!(refused(&[0, 30, 90], 210, 301), None);
        assert_eq!(refused(&[30, 90], 150, 299), None, "not full");
    }

    #[test]
    fn the_limit_that_holds_longest_is_named() {
        assert_eq!(refused(&[0, 30, 90], 210, 91), Some(("phone", 209)));
        assert_eq!(refused(&[0, 30, 90], 301, 91), Some(("cooldown", 210)));
        let hour = [0, 400, 800, 1200, 1600];
        assert_eq!(refused(&hour, 1630, 1601), Some(("phone", 1999)));
    }

    #[test]
    fn waiting_exactly_as_told_passes_whatever_the_history() {
        proptest::proptest!(|(sends in proptest::collection::vec(0_i64..4000, 0..12), cooldown in 0_i64..5000, now in 0_i64..5000)| {
            let history = history(&sends, cooldown);
            let next = policy().next_send_at(&history, at(now));
            proptest::prop_assert_eq!(policy().refusal(&history, next), None);
            if next > at(now) {
                let early = next - TimeDelta::microseconds(1);
                proptest::prop_assert!(policy().refusal(&history, early).is_some());
            }
        });
    }

    #[test]
    fn sends_are_remembered_as_long_as_the_longest_window_looks_back() {
        assert_eq!(policy().horizon_seconds(), 86_400);
        let none = SendPolicy {
            windows: Vec::new(),
            cooldowns: vec![30],
        };
        assert_eq!(none.horizon_seconds(), COOLDOWN_WINDOW_SECONDS);
    }
}
