//! What is told of the signing keys.

use metrics::{KeyName, Recorder as _, Unit};

use super::Metrics;

const KEYS: &str = "otp_auth_signing_keys";
const NEXT_PROMOTION: &str = "otp_auth_signing_key_promotion_seconds";

impl Metrics {
    /// Says what [`Metrics::signing_keys`] tells.
    pub(super) fn describe_keys(&self) {
        let name = KeyName::from_const_str;
        self.recorder.describe_gauge(
            name(KEYS),
            Some(Unit::Count),
            "Signing keys that are published, by state.".into(),
        );
        self.recorder.describe_gauge(
            name(NEXT_PROMOTION),
            Some(Unit::Seconds),
            "Seconds until the next signing key is to begin to sign; below 0 it waits for verifiers, \
             NaN if there is none."
                .into(),
        );
    }

    /// Tells how many keys there are of each state, and in how many seconds the next one is to sign.
    pub fn signing_keys(&self, by_state: &[(&'static str, u32)], promotion: Option<f64>) {
        for (state, count) in by_state {
            self.gauge(KEYS, &[("state", state)]).set(f64::from(*count));
        }
        let promotion = promotion.unwrap_or(f64::NAN);
        self.gauge(NEXT_PROMOTION, &[]).set(promotion);
    }
}
