//! What is told of the rows that leave the database.

use super::Metrics;
use super::table::{DROPPED, FAILURES, LEADS, REMOVED, WALKS};

/// Where rows are removed from.
const TABLES: [&str; 9] = [
    "access_rules",
    "address_throttles",
    "idempotency_keys",
    "phone_throttles",
    "revocations",
    "sessions",
    "sms_counters",
    "spend_warnings",
    "spent_refresh_tokens",
];
/// Which tables have partitions.
const PARTITIONED: [&str; 2] = ["audit_events", "otp_requests"];

impl Metrics {
    /// Makes the series of the others here.
    pub(super) fn begin_retention(&self) {
        self.retention_leads(false);
        self.counter(FAILURES, &[]).increment(0);
        for table in TABLES {
            self.retention_removed(table, 0);
        }
        for table in PARTITIONED {
            self.retention_dropped(table, 0);
        }
    }

    /// Tells whether this replica removes what is over.
    pub fn retention_leads(&self, leads: bool) {
        self.gauge(LEADS, &[]).set(if leads { 1.0 } else { 0.0 });
    }

    /// Counts a turn that failed.
    pub fn retention_failed(&self) {
        self.counter(FAILURES, &[]).increment(1);
    }

    /// Counts rows that were removed from a table.
    pub fn retention_removed(&self, table: &'static str, rows: u64) {
        self.counter(REMOVED, &[("table", table)]).increment(rows);
    }

    /// Counts partitions of a table that were dropped.
    pub fn retention_dropped(&self, table: &'static str, partitions: u64) {
        self.counter(DROPPED, &[("table", table)])
            .increment(partitions);
    }

    /// Tells how often a table was looked through to its end.
    pub fn retention_walk(&self, table: &'static str, walks: u64) {
        self.counter(WALKS, &[("table", table)]).absolute(walks);
    }
}
