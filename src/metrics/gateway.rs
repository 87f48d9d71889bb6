//! What is told of the gateway's hook, of those who check tokens themselves, and of the feed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metrics::{Counter, Label};

use super::Metrics;
use super::table::{AUTHORIZED, JWKS_FETCHES, REVOCATIONS, STALENESS};

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
    pub(super) fn new(counter: impl Fn(&'static str, Vec<Label>) -> Counter) -> Self {
        let counter =
            |result| counter(AUTHORIZED, vec![Label::from_static_parts("result", result)]);
        Self {
            allowed: counter("allowed"),
            preflight: counter("preflight"),
            unauthorized: counter("unauthorized"),
            forbidden: counter("forbidden"),
        }
    }
}

/// One counter for each verifier that the settings name. Anybody may call with any name.
pub(super) struct Fetches {
    named: BTreeMap<String, Counter>,
    other: Counter,
    none: Counter,
}

impl Fetches {
    pub(super) fn new(
        verifiers: &BTreeSet<String>,
        counter: impl Fn(&'static str, Vec<Label>) -> Counter,
    ) -> Self {
        let counter =
            |name: &str| counter(JWKS_FETCHES, vec![Label::new("verifier", name.to_owned())]);
        let named = verifiers.iter();
        Self {
            named: named.map(|name| (name.clone(), counter(name))).collect(),
            other: counter("other"),
            none: counter("none"),
        }
    }
}

impl Metrics {
    /// Tells how many revocations are known, and how old that knowledge is.
    pub fn revocations(&self, count: usize, staleness: Duration) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.gauge(REVOCATIONS, &[]).set(f64::from(count));
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

    /// Counts a fetch of the key set by whoever calls himself so.
    pub fn jwks_fetched(&self, verifier: Option<&str>) {
        let fetches = &self.fetches;
        let counter = verifier.map_or(&fetches.none, |name| {
            fetches.named.get(name).unwrap_or(&fetches.other)
        });
        counter.increment(1);
    }
}
