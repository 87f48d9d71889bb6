//! What this process counts, for Prometheus.
//!
//! Each [`Metrics`] is a registry of its own: the global one of the `metrics` crate would add up the
//! services that run in one test process. Labels come from the types here and from constants, never
//! from a caller, so the number of series has a bound and none can carry anything personal.

mod gateway;
mod keys;
mod retention;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _, Unit,
};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::provider::breaker::BreakerState;
use gateway::Answers;
pub use gateway::Authorized;

/// The media type of [`Metrics::render`] (Prometheus' text format, version 0.0.4).
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const CALLS: &str = "otp_auth_provider_calls_total";
const CALL_DURATION: &str = "otp_auth_provider_call_duration_seconds";
const BREAKER_STATE: &str = "otp_auth_provider_breaker_state";
const IN_FLIGHT: &str = "otp_auth_provider_in_flight";
const DELIVERIES: &str = "otp_auth_sms_deliveries_total";
const TURNED_AWAY: &str = "otp_auth_sends_turned_away_total";
const RECORDED: &str = "otp_auth_sends_recorded_total";
const SPEND_WARNINGS: &str = "otp_auth_spend_warnings_total";
const REFRESHES: &str = "otp_auth_refreshes_total";

/// Upper bounds of a call's duration, in seconds: up to 10 s, the timeout of StartMessaging's
/// tutorials (read 2026-11-23).
const CALL_SECONDS: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Calls between two tidyings of the durations, which are kept one by one until then. Scrapes tidy
/// too, but a process that nobody scrapes must not grow.
const TIDY_EVERY: u32 = 1024;
/// The recorder looks at none of it.
const METADATA: Metadata<'static> = Metadata::new("otp_auth", Level::INFO, None);

/// What a vendor is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// To send an SMS.
    Send,
    /// To check a code that the vendor made.
    Check,
    /// To ask what became of an SMS.
    Delivery,
}

impl Call {
    fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Check => "check",
            Self::Delivery => "delivery",
        }
    }
}

/// What became of an SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is on the phone.
    Delivered,
    /// The carrier could not deliver it.
    Failed,
    /// The vendor does not know.
    Unknown,
    /// There was no word on it for as long as anyone asked.
    Expired,
}

impl Delivery {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Failed, Self::Unknown, Self::Expired];

    fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
        }
    }
}

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

/// Everything one process counts.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    calls: AtomicU32,
    answers: Answers,
}

impl Metrics {
    /// A registry in which all series with known labels are there and zero, so that a rate can tell
    /// the first event from none.
    pub fn new() -> Result<Self, BuildError> {
        let duration = Matcher::Full(CALL_DURATION.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(duration, &CALL_SECONDS)?
            .build_recorder();
        let metrics = Self {
            handle: recorder.handle(),
            answers: Answers::new(|name, labels| {
                recorder.register_counter(&key(name, &labels), &METADATA)
            }),
            recorder,
            calls: AtomicU32::new(0),
        };
        metrics.describe();
        metrics.describe_keys();
        metrics.describe_gateway();
        metrics.describe_retention();
        for status in Delivery::ALL {
            metrics.deliveries(status).increment(0);
        }
        for refreshed in Refreshed::ALL {
            let labels = [("result", refreshed.name())];
            metrics.counter(REFRESHES, &labels).increment(0);
        }
        Ok(metrics)
    }

    fn describe(&self) {
        let name = KeyName::from_const_str;
        let recorder = &self.recorder;
        recorder.describe_counter(
            name(CALLS),
            Some(Unit::Count),
            "Calls to the SMS provider, by how they ended.".into(),
        );
        recorder.describe_histogram(
            name(CALL_DURATION),
            Some(Unit::Seconds),
            "How long calls to the SMS provider took.".into(),
        );
        recorder.describe_gauge(
            name(BREAKER_STATE),
            None,
            "1 for the state the circuit breaker is in, 0 for the others.".into(),
        );
        recorder.describe_gauge(
            name(IN_FLIGHT),
            Some(Unit::Count),
            "Calls to the SMS provider that are under way.".into(),
        );
        recorder.describe_counter(
            name(DELIVERIES),
            Some(Unit::Count),
            "SMS by what became of them.".into(),
        );
        for (counter, what) in [
            (
                TURNED_AWAY,
                "Sends that a limit or an operator refused, by reason.",
            ),
            (
                RECORDED,
                "Sends that went out although a budget was spent, since the guard only records.",
            ),
            (
                SPEND_WARNINGS,
                "Warnings that a part of a ceiling was reached.",
            ),
            (
                REFRESHES,
                "Refresh tokens that were shown, by what they got.",
            ),
        ] {
            recorder.describe_counter(name(counter), Some(Unit::Count), what.into());
        }
    }

    /// Counts a finished call. `vendor` and `outcome` are constants, of which there are few.
    pub fn provider_call(
        &self,
        vendor: &'static str,
        call: Call,
        outcome: &'static str,
        took: Duration,
    ) {
        let labels = [("vendor", vendor), ("call", call.name())];
        let durations = self.histogram(CALL_DURATION, &labels);
        durations.record(took.as_secs_f64());
        let [vendor, call] = labels;
        self.counter(CALLS, &[vendor, call, ("outcome", outcome)])
            .increment(1);
        if self.calls.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.handle.run_upkeep();
        }
    }

    /// Counts a call as under way until the guard is dropped.
    pub fn provider_in_flight(&self, vendor: &'static str) -> InFlight {
        let gauge = self.gauge(IN_FLIGHT, &[("vendor", vendor)]);
        gauge.increment(1.0);
        InFlight(gauge)
    }

    /// Tells the state of a vendor's breaker.
    pub fn provider_breaker(&self, vendor: &'static str, state: BreakerState) {
        for each in BreakerState::ALL {
            let labels = [("vendor", vendor), ("state", each.name())];
            let value = if each == state { 1.0 } else { 0.0 };
            self.gauge(BREAKER_STATE, &labels).set(value);
        }
    }

    /// Counts what became of an SMS.
    pub fn sms_delivery(&self, status: Delivery) {
        self.deliveries(status).increment(1);
    }

    /// Counts a send that was refused. Reasons are constants, of which there are few.
    pub fn send_turned_away(&self, reason: &'static str) {
        self.counter(TURNED_AWAY, &[("reason", reason)])
            .increment(1);
    }

    /// Counts a send that would be refused if the guard did not only record.
    pub fn send_recorded(&self, reason: &'static str) {
        self.counter(RECORDED, &[("reason", reason)]).increment(1);
    }

    /// Counts a warning that so many percent of a ceiling are spent.
    pub fn spend_warning(&self, period: &'static str, percent: u8) {
        let percent = match percent {
            50 => "50",
            80 => "80",
            _ => "100",
        };
        let labels = [("period", period), ("percent", percent)];
        self.counter(SPEND_WARNINGS, &labels).increment(1);
    }

    /// Counts a refresh token that was shown.
    pub fn refreshed(&self, refreshed: Refreshed) {
        let labels = [("result", refreshed.name())];
        self.counter(REFRESHES, &labels).increment(1);
    }

    /// All of it in Prometheus' text format, as [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        self.handle.render()
    }

    fn deliveries(&self, status: Delivery) -> Counter {
        self.counter(DELIVERIES, &[("status", status.name())])
    }

    fn counter(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Counter {
        self.recorder
            .register_counter(&key(name, labels), &METADATA)
    }

    fn gauge(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Gauge {
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    fn histogram(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Histogram {
        self.recorder
            .register_histogram(&key(name, labels), &METADATA)
    }
}

fn key(name: &'static str, labels: &[(&'static str, &'static str)]) -> Key {
    let labels: Vec<Label> = labels
        .iter()
        .map(|(name, value)| Label::from_static_parts(name, value))
        .collect();
    Key::from_parts(name, labels)
}

/// A call that is under way.
#[must_use = "a guard that is dropped at once counts no call"]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests;
