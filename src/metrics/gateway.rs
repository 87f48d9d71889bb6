//! What is told of the gateway's hook.

use metrics::{Counter, KeyName, Recorder as _, Unit};

use super::Metrics;

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
