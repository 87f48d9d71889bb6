//! What this process counts, for Prometheus.
//!
//! Each [`Metrics`] is a registry of its own: the global one of the `metrics` crate would add up the
//! services that run in one test process. Labels come from the types here, from constants, from the route
//! table and from the settings, never from a caller, so the number of series has a bound and none can carry
//! anything personal.

mod codes;
mod database;
mod gateway;
mod keys;
mod master_key;
#[cfg(target_os = "linux")]
mod process;
mod provider;
mod requests;
mod retention;
mod table;
mod text;
mod traces;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::phone::Country;
use codes::ByCountry;
pub use codes::{Delivery, Sent, Sms};
use database::Queues;
pub use database::{Connections, Queue, Queued};
pub use gateway::Authorized;
use gateway::{Answers, Fetches};
pub use keys::KeyTimes;
pub use provider::{Call, InFlight};
use requests::Requests;
pub use table::{Kind, Metric, TABLE};
pub use traces::Spans;

/// The media type of [`Metrics::render`] (Prometheus' text format, version 0.0.4).
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of a call's duration, in seconds: up to 10 s, the timeout of StartMessaging's
/// tutorials (read 2026-11-23).
const CALL_SECONDS: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Of a request's: the hook takes less than a millisecond, a login some, a send as long as the provider, which
/// is given 5 s.
const REQUEST_SECONDS: [f64; 13] = [
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Of a wait for a connection: mostly none, and a second where `database.acquire_timeout_ms` ends it.
const ACQUIRE_SECONDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Durations between two tidyings of them, which are kept one by one until then. Scrapes tidy
/// too, but a process that nobody scrapes must not grow.
const TIDY_EVERY: u32 = 1024;
/// The recorder looks at none of it.
const METADATA: Metadata<'static> = Metadata::new("otp_auth", Level::INFO, None);

/// What a refresh token got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The next one.
    Rotated,
    /// The one that replaced it a moment ago.
    Replayed,
    /// Nothing: it is none, or over, or not the caller's.
    Refused,
    /// Nothing, and its session ended: it had been used before.
    Reused,
}

impl Refreshed {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rotated, Self::Replayed, Self::Refused, Self::Reused];

    fn name(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Replayed => "replayed",
            Self::Refused => "refused",
            Self::Reused => "reused",
        }
    }
}

/// What the settings name, and labels may.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Countries that codes are sent to.
    pub countries: BTreeSet<Country>,
    /// What prices are in.
    pub currency: String,
    /// Who checks tokens by the key set.
    pub verifiers: BTreeSet<String>,
}

/// Everything one process counts.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    durations: AtomicU32,
    answers: Answers,
    fetches: Fetches,
    by_country: ByCountry,
    requests: Requests,
    queues: Queues,
}

impl Metrics {
    /// A registry in which all series with known labels are there and zero, so that a rate can tell
    /// the first event from none.
    pub fn new(names: Names) -> Result<Self, BuildError> {
        let buckets = |name: &str| Matcher::Full(name.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(buckets(table::CALL_DURATION), &CALL_SECONDS)?
            .set_buckets_for_metric(buckets(table::REQUEST_DURATION), &REQUEST_SECONDS)?
            .set_buckets_for_metric(buckets(table::ACQUIRE_DURATION), &ACQUIRE_SECONDS)?
            .build_recorder();
        table::describe(&recorder);
        let counter = |name, labels| {
            let counter = recorder.register_counter(&Key::from_parts(name, labels), &METADATA);
            counter.increment(0);
            counter
        };
        let metrics = Self {
            handle: recorder.handle(),
            answers: Answers::new(counter),
            fetches: Fetches::new(&names.verifiers, counter),
            by_country: ByCountry::new(&names.countries, names.currency, counter),
            requests: Requests::default(),
            queues: Queues::default(),
            durations: AtomicU32::new(0),
            recorder,
        };
        metrics.begin_codes();
        metrics.begin_database();
        metrics.begin_retention();
        metrics.begin_master_key();
        metrics.begin_traces();
        for refreshed in Refreshed::ALL {
            let labels = [("result", refreshed.name())];
            metrics.counter(table::REFRESHES, &labels).increment(0);
        }
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        metrics.gauge(table::BUILD, &version).set(1.0);
        Ok(metrics)
    }

    /// Counts a refresh token that was shown.
    pub fn refreshed(&self, refreshed: Refreshed) {
        let labels = [("result", refreshed.name())];
        self.counter(table::REFRESHES, &labels).increment(1);
    }

    /// All of it in Prometheus' text format, as [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        self.tell_queues();
        let mut text = self.handle.render();
        self.by_country.write(&mut text);
        #[cfg(target_os = "linux")]
        process::write(&mut text);
        text
    }

    /// To be called after each duration.
    fn tidy_now_and_then(&self) {
        if self.durations.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.handle.run_upkeep();
        }
    }

    fn counter(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Counter {
        self.counter_of(name, constants(labels))
    }

    fn gauge(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Gauge {
        self.gauge_of(name, constants(labels))
    }

    fn histogram(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Histogram {
        self.histogram_of(name, constants(labels))
    }

    fn counter_of(&self, name: &'static str, labels: Vec<Label>) -> Counter {
        let counter = self
            .recorder
            .register_counter(&Key::from_parts(name, labels), &METADATA);
        counter.increment(0);
        counter
    }

    fn gauge_of(&self, name: &'static str, labels: Vec<Label>) -> Gauge {
        self.recorder
            .register_gauge(&Key::from_parts(name, labels), &METADATA)
    }

    fn histogram_of(&self, name: &'static str, labels: Vec<Label>) -> Histogram {
        self.recorder
            .register_histogram(&Key::from_parts(name, labels), &METADATA)
    }
}

fn constants(labels: &[(&'static str, &'static str)]) -> Vec<Label> {
    let labels = labels.iter();
    labels
        .map(|(name, value)| Label::from_static_parts(name, value))
        .collect()
}

#[cfg(test)]
mod tests;
