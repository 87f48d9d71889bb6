//! What a service tells of itself: metrics and traces.

use std::sync::Arc;

use crate::config::Settings;
use crate::http::log_sample::LogSample;
use crate::http::{self, State};
use crate::metrics::{Metrics, Names};
use crate::random;
use crate::secrets::Keyring;
use crate::telemetry::exporter::{self, Exporter};

use super::StartError;

/// Lets a service make traces, and returns who takes them to their collector, if there is one.
pub(super) fn traces(
    settings: &Settings,
    state: &mut State,
) -> Result<Option<Exporter>, StartError> {
    let Some(endpoint) = settings.telemetry.otlp_endpoint.clone() else {
        return Ok(None);
    };
    let options = exporter::Options {
        endpoint,
        sampled: settings.telemetry.trace_sample_ratio,
        instance: random::uuid_v4(state.random.as_ref())?,
    };
    let (traces, exporter) = exporter::start(&options, &state.metrics)?;
    state.traces = Some(traces);
    Ok(Some(exporter))
}

/// What the settings name, and metrics may.
pub(super) fn names(settings: &Settings) -> Names {
    Names {
        countries: settings.phone.countries().collect(),
        currency: settings.limits.spend.currency.to_string(),
        verifiers: settings.tokens.verifiers.clone(),
    }
}

/// A registry that knows these names, and the routes that objectives are set for.
pub(super) fn metrics(names: Names) -> Result<Metrics, StartError> {
    let metrics = Metrics::new(names)?;
    for (route, method) in http::OBJECTIVES {
        metrics.expect_requests(route, method);
    }
    Ok(metrics)
}

/// Which requests the log tells of.
pub(super) fn log_sample(settings: &Settings, keyring: &Arc<Keyring>) -> LogSample {
    LogSample::new(settings.telemetry.log_sample_ratio, Arc::clone(keyring))
}
