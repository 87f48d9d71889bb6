//! What is told of the rows that leave the database.

use metrics::{KeyName, Recorder as _, Unit};

use super::Metrics;

const LEADS: &str = "otp_auth_retention_leads";
const REMOVED: &str = "otp_auth_retention_rows_removed_total";
const DROPPED: &str = "otp_auth_retention_partitions_dropped_total";
const FAILURES: &str = "otp_auth_retention_failures_total";
const WALKS: &str = "otp_auth_retention_walks_total";

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
    /// Says what the others here tell, and makes their series.
    pub(super) fn describe_retention(&self) {
        let name = KeyName::from_const_str;
        self.recorder.describe_gauge(
            name(LEADS),
            None,
            "1 on the replica that removes what is over from the database, 0 on the others.".into(),
        );
        for (counter, what) in [
            (
                REMOVED,
                "Rows that were over and were removed, one by one, by table.",
            ),
            (
                DROPPED,
                "Partitions that were over and were dropped, by table.",
            ),
            (
                FAILURES,
                "Turns at removing what is over that failed and will be tried again.",
            ),
            (
                WALKS,
                "How often this replica looked through a table to its end, by table.",
            ),
        ] {
            self.recorder
                .describe_counter(name(counter), Some(Unit::Count), what.into());
        }
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
