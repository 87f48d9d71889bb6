//! The two counters of the real server: requests per client address, and sends per number.
//!
//! Both are fixed windows in a bounded map. They count differently: a client that goes over its
//! limit is blocked for one whole window from that moment, while a number that goes over merely
//! waits for the end of the window it is in.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};

use super::faults::Route;

/// Keys kept at most in one map; beyond that the window that ends first is forgotten.
const MAX_KEYS: usize = 10_000;

/// Sends to one number in [`NUMBER_WINDOW`] (observed in the provider's server).
pub(super) const NUMBER_LIMIT: u32 = 3;
/// The window of [`NUMBER_LIMIT`]: 300 seconds from the first counted send.
pub(super) const NUMBER_WINDOW: TimeDelta = TimeDelta::seconds(300);
/// Requests to one OTP route from one address in [`SEND_WINDOW`].
pub(super) const SEND_LIMIT: u32 = 200;
const SEND_WINDOW: TimeDelta = TimeDelta::seconds(10);
/// Requests to any other route from one address in [`OTHER_WINDOW`].
const OTHER_LIMIT: u32 = 1_200;
const OTHER_WINDOW: TimeDelta = TimeDelta::seconds(60);

/// `Retry-After` of a client that has just been blocked on an OTP route, in seconds.
pub(super) const FIRST_RETRY_AFTER: u32 = 10;

/// What the throttle tells a client it let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Requests per window.
    pub(super) limit: u32,
    /// Requests left in this window.
    pub(super) remaining: u32,
    /// Seconds until the window ends.
    pub(super) reset_seconds: u32,
}

/// Requests per client address and route.
pub(super) struct Throttle {
    send_limit: u32,
    clients: Windows<(Route, IpAddr)>,
}

impl Throttle {
    /// A throttle that lets `send_limit` requests per 10 seconds through to an OTP route.
    pub(super) fn new(send_limit: u32) -> Self {
        Self {
            send_limit,
            clients: Windows::default(),
        }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// The seconds until the block ends, when the client is over the limit.
    pub(super) fn admit(
        &mut self,
        route: Route,
        client: IpAddr,
        now: DateTime<Utc>,
    ) -> Result<Allowance, u32> {
        let (limit, length) = match route {
            Route::Send | Route::Verify => (self.send_limit, SEND_WINDOW),
            Route::Message => (OTHER_LIMIT, OTHER_WINDOW),
        };
        let window = self.clients.at((route, client), length, now);
        if window.blocked {
            return Err(seconds_until(window.ends, now));
        }
        window.count = window.count.saturating_add(1);
        if window.count > limit {
            window.blocked = true;
            window.ends = now + length;
            return Err(seconds_until(window.ends, now));
        }
        Ok(Allowance {
            limit,
            remaining: limit - window.count,
            reset_seconds: seconds_until(window.ends, now),
        })
    }
}

/// Sends per number, shared by all callers.
#[derive(Default)]
pub(super) struct NumberCounter {
    numbers: Windows<String>,
}

impl NumberCounter {
    /// Counts a try, refused ones too, and tells whether it is within the limit. A refused try
    /// does not make the window longer.
    pub(super) fn admit(&mut self, number: &str, now: DateTime<Utc>) -> bool {
        let window = self.numbers.at(number.to_owned(), NUMBER_WINDOW, now);
        window.count = window.count.saturating_add(1);
        window.count <= NUMBER_LIMIT
    }

    /// Takes one try back, as the real server does when the carrier failed (and only then).
    pub(super) fn give_back(&mut self, number: &str, now: DateTime<Utc>) {
        let window = self.numbers.at(number.to_owned(), NUMBER_WINDOW, now);
        window.count = window.count.saturating_sub(1);
    }
}

struct Window {
    count: u32,
    ends: DateTime<Utc>,
    blocked: bool,
}

struct Windows<K>(HashMap<K, Window>);

impl<K> Default for Windows<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Windows<K> {
    /// The running window of `key`; a new one of `length` when there is none or it has ended.
    fn at(&mut self, key: K, length: TimeDelta, now: DateTime<Utc>) -> &mut Window {
        if self.0.len() >= MAX_KEYS && !self.0.contains_key(&key) {
            self.forget(now);
        }
        let fresh = || Window {
            count: 0,
            ends: now + length,
            blocked: false,
        };
        let window = self.0.entry(key).or_insert_with(fresh);
        if window.ends <= now {
            *window = fresh();
        }
        window
    }

    fn forget(&mut self, now: DateTime<Utc>) {
        self.0.retain(|_, window| window.ends > now);
        if self.0.len() < MAX_KEYS {
            return;
        }
        let first = self
            .0
            .iter()
            .min_by_key(|(_, window)| window.ends)
            .map(|(key, _)| key.clone());
        if let Some(key) = first {
            self.0.remove(&key);
        }
    }
}

/// Whole seconds from `now` to `end`, rounded up.
fn seconds_until(end: DateTime<Utc>, now: DateTime<Utc>) -> u32 {
    let millis = (end - now).num_milliseconds().max(0);
    u32::try_from(millis.saturating_add(999) / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_of_numbers_stays_within_its_limit_and_forgets_the_oldest_window() {
        let mut numbers = NumberCounter::default();
        let start = DateTime::UNIX_EPOCH;
        for count in 0..=MAX_KEYS {
            let now = start + TimeDelta::milliseconds(i64::try_from(count).unwrap());
            assert!(numbers.admit(&count.to_string(), now));
        }

        let windows = &numbers.numbers.0;
        assert_eq!(windows.len(), MAX_KEYS);
        assert!(!windows.contains_key("0") && windows.contains_key("1"));
    }

    #[test]
    fn windows_that_have_ended_make_room() {
        let mut numbers = NumberCounter::default();
        for count in 0..MAX_KEYS {
            numbers.admit(&count.to_string(), DateTime::UNIX_EPOCH);
        }

        numbers.admit("late", DateTime::UNIX_EPOCH + NUMBER_WINDOW);

        assert_eq!(numbers.numbers.0.len(), 1);
    }

    #[test]
    fn seconds_are_rounded_up() {
        let now = DateTime::UNIX_EPOCH;
        for (millis, seconds) in [(-1, 0), (0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(
                seconds_until(now + TimeDelta::milliseconds(millis), now),
                seconds
            );
        }
    }
}
