//! What a service tells of itself: metrics and lines of the log.

use std::sync::Arc;

use crate::config::Settings;
use crate::http;
use crate::http::log_sample::LogSample;
use crate::metrics::{Metrics, Names};
use crate::secrets::Keyring;

use super::StartError;

/// A registry that knows what the settings name, and the routes that objectives are set for.
pub(super) fn metrics(settings: &Settings) -> Result<Metrics, StartError> {
    let metrics = Metrics::new(Names {
        countries: settings.phone.countries().collect(),
        currency: settings.limits.spend.currency.to_string(),
        verifiers: settings.tokens.verifiers.clone(),
    })?;
    for (route, method) in http::OBJECTIVES {
        metrics.expect_requests(route, method);
    }
    Ok(metrics)
}

/// Which requests the log tells of.
pub(super) fn log_sample(settings: &Settings, keyring: &Arc<Keyring>) -> LogSample {
    LogSample::new(settings.telemetry.log_sample_ratio, Arc::clone(keyring))
}
