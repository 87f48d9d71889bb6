//! What is told of rows that another master key sealed.

use super::Metrics;
use super::table::{RESEALED, RESEALING_FAILURES, SEALED_LEFT};

/// Where sealed values are, and whether they are sealed anew; the others are waited for.
const TABLES: [(&str, bool); 9] = [
    ("access_rules", true),
    ("carried_keys", true),
    ("idempotency_keys", false),
    ("otp_requests", false),
    ("phone_throttles", true),
    ("sessions", true),
    ("signing_keys", true),
    ("spent_refresh_tokens", false),
    ("users", true),
];

impl Metrics {
    /// Makes the series of the others here.
    pub(super) fn begin_master_key(&self) {
        self.master_key_unknown();
        self.counter(RESEALING_FAILURES, &[]).increment(0);
        for (table, is_resealed) in TABLES {
            if is_resealed {
                self.resealed(table, 0);
            }
        }
    }

    /// Tells how many rows of each table another key sealed.
    pub fn master_key_rows_left(&self, rows: impl Fn(&str) -> u64) {
        for (table, _) in TABLES {
            let rows = u32::try_from(rows(table)).unwrap_or(u32::MAX);
            self.gauge(SEALED_LEFT, &[("table", table)])
                .set(f64::from(rows));
        }
    }

    /// Tells that another replica counts them.
    pub fn master_key_unknown(&self) {
        for (table, _) in TABLES {
            self.gauge(SEALED_LEFT, &[("table", table)]).set(f64::NAN);
        }
    }

    /// Counts rows of a table that were sealed anew.
    pub fn resealed(&self, table: &'static str, rows: u64) {
        self.counter(RESEALED, &[("table", table)]).increment(rows);
    }

    /// Counts a turn that failed.
    pub fn resealing_failed(&self) {
        self.counter(RESEALING_FAILURES, &[]).increment(1);
    }
}
