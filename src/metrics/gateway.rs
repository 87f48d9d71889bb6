//! What is told of the gateway's hook.

use std::time::Duration;

use metrics::{Counter, KeyName, Recorder as _, Unit};

use super::Metrics;

const LIVE: &str = "otp_auth_revocations";
const STALENESS: &str = "otp_auth_revocations_staleness_seconds";
const AUTHORIZED: &str = "otp_auth_authorize_total";

/// What the hook answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorized {
    /// 200, with an identity.
    Allowed,
    /// 200 without one, to a CORS preflight.
    Preflight,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
}

/// One counter for each answer: they are on the way of every request, and looking a counter up takes
/// longer than counting.
pub(super) struct Answers {
    allowed: Counter,
    preflight: Counter,
    unauthorized: Counter,
    forbidden: Counter,
}

impl Answers {
    pub(super) fn new(
        counter: impl Fn(&'static str, [(&'static str, &'static str); 1]) -> Counter,
    ) -> Self {
        let counter = |result| {
            let counter = counter(AUTHORIZED, [("result", result)]);
            counter.increment(0);
            counter
        };
        Self {
            allowed: counter("allowed"),
            preflight: counter("preflight"),
            unauthorized: counter("unauthorized"),
            forbidden: counter("forbidden"),
        }
    }
}

impl Metrics {
    /// Says what the others here tell.
    pub(super) fn describe_gateway(&self) {
        self.recorder.describe_counter(
            KeyName::from_const_str(AUTHORIZED),
            Some(Unit::Count),
            "Calls of /v1/authorize, by the answer.".into(),
        );
        self.recorder.describe_gauge(
            KeyName::from_const_str(LIVE),
            Some(Unit::Count),
            "Sessions that ended although access tokens of theirs may still live.".into(),
        );
        self.recorder.describe_gauge(
            KeyName::from_const_str(STALENESS),
            Some(Unit::Seconds),
            "Seconds since this replica last asked the database for sessions that ended.".into(),
        );
    }

    /// Tells how many revocations are known, and how old that knowledge is.
    pub fn revocations(&self, count: usize, staleness: Duration) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.gauge(LIVE, &[]).set(f64::from(count));
        self.gauge(STALENESS, &[]).set(staleness.as_secs_f64());
    }

    /// Counts an answer of the hook.
    pub fn authorized(&self, answer: Authorized) {
        let answers = &self.answers;
        let counter = match answer {
            Authorized::Allowed => &answers.allowed,
            Authorized::Preflight => &answers.preflight,
            Authorized::Unauthorized => &answers.unauthorized,
            Authorized::Forbidden => &answers.forbidden,
        };
        counter.increment(1);
    }
}
