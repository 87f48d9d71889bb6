//! Every metric there is: its name, its labels, and what it says. `docs/metrics.md` is held against this.

use metrics::{KeyName, Recorder as _, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts durations in buckets.
    Histogram,
}

impl Kind {
    /// The name in Prometheus' text format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
    }
}

pub(super) const REQUESTS: &str = "otp_auth_http_requests_total";
pub(super) const REQUEST_DURATION: &str = "otp_auth_http_request_duration_seconds";
pub(super) const SENDS: &str = "otp_auth_sms_sends_total";
pub(super) const DELIVERIES: &str = "otp_auth_sms_deliveries_total";
pub(super) const VERIFIES: &str = "otp_auth_verifies_total";
pub(super) const COST: &str = "otp_auth_sms_cost_total";
pub(super) const SENDS_TURNED_AWAY: &str = "otp_auth_sends_turned_away_total";
pub(super) const VERIFIES_TURNED_AWAY: &str = "otp_auth_verifies_turned_away_total";
pub(super) const RECORDED: &str = "otp_auth_sends_recorded_total";
pub(super) const SPEND_USED: &str = "otp_auth_spend_used_ratio";
pub(super) const SPEND_WARNINGS: &str = "otp_auth_spend_warnings_total";
pub(super) const CALLS: &str = "otp_auth_provider_calls_total";
pub(super) const CALL_DURATION: &str = "otp_auth_provider_call_duration_seconds";
pub(super) const BREAKER_STATE: &str = "otp_auth_provider_breaker_state";
pub(super) const IN_FLIGHT: &str = "otp_auth_provider_in_flight";
pub(super) const REFRESHES: &str = "otp_auth_refreshes_total";
pub(super) const AUTHORIZED: &str = "otp_auth_authorize_total";
pub(super) const REVOCATIONS: &str = "otp_auth_revocations";
pub(super) const STALENESS: &str = "otp_auth_revocations_staleness_seconds";
pub(super) const KEYS: &str = "otp_auth_signing_keys";
pub(super) const KEY_AGE: &str = "otp_auth_signing_key_age_seconds";
pub(super) const NEXT_PROMOTION: &str = "otp_auth_signing_key_promotion_seconds";
pub(super) const KEY_OVERDUE: &str = "otp_auth_signing_key_overdue_seconds";
pub(super) const JWKS_FETCHES: &str = "otp_auth_jwks_fetches_total";
pub(super) const DATABASE_UP: &str = "otp_auth_database_up";
pub(super) const CONNECTIONS: &str = "otp_auth_database_connections";
pub(super) const CONNECTIONS_MAX: &str = "otp_auth_database_connections_max";
pub(super) const ACQUIRE_DURATION: &str = "otp_auth_database_acquire_duration_seconds";
pub(super) const SHED: &str = "otp_auth_calls_shed_total";
pub(super) const WAITING: &str = "otp_auth_calls_waiting";
pub(super) const QUEUE_ITEMS: &str = "otp_auth_queue_items";
pub(super) const QUEUE_OLDEST: &str = "otp_auth_queue_oldest_seconds";
pub(super) const LEADS: &str = "otp_auth_retention_leads";
pub(super) const REMOVED: &str = "otp_auth_retention_rows_removed_total";
pub(super) const DROPPED: &str = "otp_auth_retention_partitions_dropped_total";
pub(super) const FAILURES: &str = "otp_auth_retention_failures_total";
pub(super) const WALKS: &str = "otp_auth_retention_walks_total";
pub(super) const SEALED_LEFT: &str = "otp_auth_master_key_rows_left";
pub(super) const RESEALED: &str = "otp_auth_master_key_rows_resealed_total";
pub(super) const RESEALING_FAILURES: &str = "otp_auth_master_key_failures_total";
pub(super) const TRACE_SPANS: &str = "otp_auth_trace_spans_total";
pub(super) const READY: &str = "otp_auth_ready";
pub(super) const BUILD: &str = "otp_auth_build_info";
pub(super) const CPU: &str = "process_cpu_seconds_total";
pub(super) const RESIDENT: &str = "process_resident_memory_bytes";
pub(super) const VIRTUAL: &str = "process_virtual_memory_bytes";
pub(super) const OPEN_FDS: &str = "process_open_fds";
pub(super) const MAX_FDS: &str = "process_max_fds";
pub(super) const START_TIME: &str = "process_start_time_seconds";

/// All of them, in the order of `docs/metrics.md`.
pub const TABLE: &[Metric] = &[
    metric(
        REQUESTS,
        Kind::Counter,
        &["route", "method", "status"],
        "Answers, by route template, method and status.",
    ),
    metric(
        REQUEST_DURATION,
        Kind::Histogram,
        &["route", "method"],
        "How long answers took, from the request's headers to the answer's.",
    ),
    metric(
        SENDS,
        Kind::Counter,
        &["country", "kind", "outcome"],
        "SMS handed to the provider, by how that ended: a first one of a request, or a resend.",
    ),
    metric(
        DELIVERIES,
        Kind::Counter,
        &["country", "status"],
        "SMS by what became of them.",
    ),
    metric(
        VERIFIES,
        Kind::Counter,
        &["country", "result"],
        "Codes that were tried. A request has one right code at most.",
    ),
    metric(
        COST,
        Kind::Counter,
        &["country", "currency"],
        "What SMS that left, or may have, cost by limits.spend.prices, in units of the currency.",
    ),
    metric(
        SENDS_TURNED_AWAY,
        Kind::Counter,
        &["reason"],
        "Sends that a limit or an operator refused, by reason.",
    ),
    metric(
        VERIFIES_TURNED_AWAY,
        Kind::Counter,
        &["reason"],
        "Verifies that a limit or an operator refused, by reason.",
    ),
    metric(
        RECORDED,
        Kind::Counter,
        &["reason"],
        "Sends that went out although a budget was spent, since the guard only records.",
    ),
    metric(
        SPEND_USED,
        Kind::Gauge,
        &["scope", "ceiling"],
        "Which part of a spending ceiling is used in its present hour, day or month; 1 is all of it.",
    ),
    metric(
        SPEND_WARNINGS,
        Kind::Counter,
        &["period", "percent"],
        "Warnings that a part of a ceiling was reached.",
    ),
    metric(
        CALLS,
        Kind::Counter,
        &["vendor", "call", "outcome"],
        "Calls to the SMS provider, by how they ended.",
    ),
    metric(
        CALL_DURATION,
        Kind::Histogram,
        &["vendor", "call", "outcome"],
        "How long calls to the SMS provider took, by how they ended.",
    ),
    metric(
        BREAKER_STATE,
        Kind::Gauge,
        &["vendor", "state"],
        "1 for the state the circuit breaker is in, 0 for the others.",
    ),
    metric(
        IN_FLIGHT,
        Kind::Gauge,
        &["vendor"],
        "Calls to the SMS provider that are under way.",
    ),
    metric(
        REFRESHES,
        Kind::Counter,
        &["result"],
        "Refresh tokens that were shown, by what they got.",
    ),
    metric(
        AUTHORIZED,
        Kind::Counter,
        &["result"],
        "Calls of /v1/authorize, by the answer.",
    ),
    metric(
        REVOCATIONS,
        Kind::Gauge,
        &[],
        "Sessions that ended although access tokens of theirs may still live.",
    ),
    metric(
        STALENESS,
        Kind::Gauge,
        &[],
        "Seconds since this replica last asked the database for sessions that ended.",
    ),
    metric(
        KEYS,
        Kind::Gauge,
        &["state"],
        "Signing keys that are published, by state.",
    ),
    metric(
        KEY_AGE,
        Kind::Gauge,
        &["state"],
        "Seconds since the oldest signing key of a state came into it; NaN if there is none.",
    ),
    metric(
        NEXT_PROMOTION,
        Kind::Gauge,
        &[],
        "Seconds until the next signing key is to begin to sign; below 0 it waits for verifiers, NaN if there is none.",
    ),
    metric(
        KEY_OVERDUE,
        Kind::Gauge,
        &[],
        "Seconds since another signing key should have begun to sign at the latest; below 0 there is time left.",
    ),
    metric(
        JWKS_FETCHES,
        Kind::Counter,
        &["verifier"],
        "Fetches of the key set, by tokens.verifiers: other is a name that is not there, none is no name.",
    ),
    metric(
        DATABASE_UP,
        Kind::Gauge,
        &[],
        "1 if the database answered this replica's latest question, asked every second or so, else 0.",
    ),
    metric(
        CONNECTIONS,
        Kind::Gauge,
        &["state"],
        "Connections to the database that this replica holds.",
    ),
    metric(
        CONNECTIONS_MAX,
        Kind::Gauge,
        &[],
        "Connections to the database that this replica may hold: database.max_connections.",
    ),
    metric(
        ACQUIRE_DURATION,
        Kind::Histogram,
        &["outcome"],
        "How long a connection was waited for, tried every second or so as a request would.",
    ),
    metric(
        SHED,
        Kind::Counter,
        &["class", "reason"],
        "Calls that were told to come back, since there was no seat at the database for their class.",
    ),
    metric(
        WAITING,
        Kind::Gauge,
        &["class"],
        "Calls that wait for a seat at the database.",
    ),
    metric(
        QUEUE_ITEMS,
        Kind::Gauge,
        &["queue"],
        "What waits to be done in the background and is due. Deliveries are those of all replicas, up to 1000.",
    ),
    metric(
        QUEUE_OLDEST,
        Kind::Gauge,
        &["queue"],
        "How long the oldest of them has been due.",
    ),
    metric(
        LEADS,
        Kind::Gauge,
        &[],
        "1 on the replica that removes what is over from the database, 0 on the others.",
    ),
    metric(
        REMOVED,
        Kind::Counter,
        &["table"],
        "Rows that were over and were removed, one by one, by table.",
    ),
    metric(
        DROPPED,
        Kind::Counter,
        &["table"],
        "Partitions that were over and were dropped, by table.",
    ),
    metric(
        FAILURES,
        Kind::Counter,
        &[],
        "Turns at removing what is over that failed and will be tried again.",
    ),
    metric(
        WALKS,
        Kind::Counter,
        &["table"],
        "How often this replica looked through a table to its end, by table.",
    ),
    metric(
        SEALED_LEFT,
        Kind::Gauge,
        &["table"],
        "Rows sealed under another key than secrets.master_key, by table; NaN on replicas that do not count them.",
    ),
    metric(
        RESEALED,
        Kind::Counter,
        &["table"],
        "Rows that were sealed anew under secrets.master_key, by table.",
    ),
    metric(
        RESEALING_FAILURES,
        Kind::Counter,
        &[],
        "Turns at sealing rows anew that failed and will be tried again.",
    ),
    metric(
        TRACE_SPANS,
        Kind::Counter,
        &["outcome"],
        "Spans of traces that were sampled, by what became of them.",
    ),
    metric(
        READY,
        Kind::Gauge,
        &[],
        "1 if /readyz would answer 200, else 0.",
    ),
    metric(
        BUILD,
        Kind::Gauge,
        &["version"],
        "Always 1; the label is the version of the program.",
    ),
    metric(CPU, Kind::Counter, &[], "Processor time used, in seconds."),
    metric(RESIDENT, Kind::Gauge, &[], "Memory in use, in bytes."),
    metric(VIRTUAL, Kind::Gauge, &[], "Address space in use, in bytes."),
    metric(OPEN_FDS, Kind::Gauge, &[], "Open file descriptors."),
    metric(
        MAX_FDS,
        Kind::Gauge,
        &[],
        "File descriptors that may be open.",
    ),
    metric(
        START_TIME,
        Kind::Gauge,
        &[],
        "When the process began, in seconds since 1970.",
    ),
];

/// Tells the registry what each says.
pub(super) fn describe(recorder: &PrometheusRecorder) {
    for metric in TABLE {
        let name = KeyName::from_const_str(metric.name);
        let help = metric.help.into();
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, None::<Unit>, help),
            Kind::Gauge => recorder.describe_gauge(name, None, help),
            Kind::Histogram => recorder.describe_histogram(name, None, help),
        }
    }
}
