//! What is told of the SMS provider.

use std::time::Duration;

use metrics::Gauge;

use super::Metrics;
use super::table::{BREAKER_STATE, CALL_DURATION, CALLS, IN_FLIGHT};
use crate::provider::breaker::BreakerState;

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
    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Check => "check",
            Self::Delivery => "delivery",
        }
    }
}

/// A call that is under way.
#[must_use = "a guard that is dropped at once counts no call"]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Metrics {
    /// Counts a finished call. `vendor` and `outcome` are constants, of which there are few.
    pub fn provider_call(
        &self,
        vendor: &'static str,
        call: Call,
        outcome: &'static str,
        took: Duration,
    ) {
        let labels = [
            ("vendor", vendor),
            ("call", call.name()),
            ("outcome", outcome),
        ];
        self.histogram(CALL_DURATION, &labels)
            .record(took.as_secs_f64());
        self.counter(CALLS, &labels).increment(1);
        self.tidy_now_and_then();
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
}
