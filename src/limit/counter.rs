//! What is counted of SMS.

use super::budget::Starts;

/// A row of counters with one more SMS in it.
#[derive(Clone, Debug)]
pub struct Counter {
    /// When its windows began.
    pub starts: Starts,
    /// SMS in this hour and day.
    pub messages: (i64, i64),
    /// Their cost in this hour, day and month, in millionths.
    pub cost: (i64, i64, i64),
    /// Those whose code was not used, in this hour and day.
    pub unverified: (i64, i64),
    /// The highest number of right codes on one of the last 14 days.
    pub best_day: i64,
}

impl Counter {
    /// Takes one SMS of this price out again: what the row was before it.
    pub fn take_out(&mut self, price: i64) {
        for count in [&mut self.messages, &mut self.unverified] {
            *count = (count.0 - 1, count.1 - 1);
        }
        let (hour, day, month) = self.cost;
        self.cost = (hour - price, day - price, month - price);
    }
}
