//! What is told of the signing keys.

use super::Metrics;
use super::table::{KEY_AGE, KEY_OVERDUE, KEYS, NEXT_PROMOTION};

/// What is told of the signing keys, in seconds.
#[derive(Clone, Debug)]
pub struct KeyTimes {
    /// How many keys there are of each state.
    pub by_state: [(&'static str, u32); 3],
    /// How long the oldest of each state has been in it.
    pub ages: [(&'static str, Option<f64>); 3],
    /// Until the next one is to sign.
    pub promotion_in: Option<f64>,
    /// Since another one should have begun to sign at the latest; negative while there is time.
    pub overdue_for: f64,
}

impl Metrics {
    /// Tells how many keys there are of each state, and when they come and go.
    pub fn signing_keys(&self, times: &KeyTimes) {
        for (state, count) in times.by_state {
            self.gauge(KEYS, &[("state", state)]).set(f64::from(count));
        }
        for (state, age) in times.ages {
            let age = age.unwrap_or(f64::NAN);
            self.gauge(KEY_AGE, &[("state", state)]).set(age);
        }
        let promotion = times.promotion_in.unwrap_or(f64::NAN);
        self.gauge(NEXT_PROMOTION, &[]).set(promotion);
        self.gauge(KEY_OVERDUE, &[]).set(times.overdue_for);
    }
}
