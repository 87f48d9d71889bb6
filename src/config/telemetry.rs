//! `[telemetry]`: logs and traces.

use tracing_subscriber::EnvFilter;
use url::Url;

use super::{
    address,
    reader::{Read, Reader},
};
use crate::telemetry::{LogFormat, Ratio, RatioError};

/// `[telemetry]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// How a log line looks.
    pub log_format: LogFormat,
    /// A filter that [`EnvFilter`] understands.
    pub log_level: String,
    /// Where traces go; `None` = nowhere.
    pub otlp_endpoint: Option<Url>,
    /// Which part of the traces that begin here is kept.
    pub trace_sample_ratio: Ratio,
    /// Which part of the requests that were answered well enough, and soon enough, the log tells of.
    pub log_sample_ratio: Ratio,
}

pub(super) fn read(reader: &mut Reader) -> Read<Telemetry> {
    let log_format = log_format(reader);
    let log_level = log_level(reader);
    let otlp_endpoint = otlp_endpoint(reader);
    let trace_sample_ratio = ratio(reader, "telemetry.trace_sample_ratio");
    let log_sample_ratio = ratio(reader, "telemetry.log_sample_ratio");
    Ok(Telemetry {
        log_format: log_format?,
        log_level: log_level?,
        otlp_endpoint: otlp_endpoint?,
        trace_sample_ratio: trace_sample_ratio?,
        log_sample_ratio: log_sample_ratio?,
    })
}

/// A number from 0 to 1, which is 0 or 1 or has a point.
fn ratio(reader: &mut Reader, key: &str) -> Read<Ratio> {
    let number = reader.number(key)?;
    number
        .parse()
        .map_err(|error: RatioError| reader.fault(key, format!("{number:?} {error}")))
}

fn log_format(reader: &mut Reader) -> Read<LogFormat> {
    const KEY: &str = "telemetry.log_format";
    let problem = match reader.text(KEY)?.as_str() {
        "json" => return Ok(LogFormat::Json),
        "pretty" => return Ok(LogFormat::Pretty),
        other => format!("{other:?} is unknown; use \"json\" or \"pretty\""),
    };
    Err(reader.fault(KEY, problem))
}

fn log_level(reader: &mut Reader) -> Read<String> {
    const KEY: &str = "telemetry.log_level";
    let filter = reader.text(KEY)?;
    if filter.is_empty() || EnvFilter::try_new(&filter).is_err() {
        return Err(reader.fault(
            KEY,
            format!("{filter:?} is no filter; use info, debug, or such as info,otp_auth=debug"),
        ));
    }
    Ok(filter)
}

fn otlp_endpoint(reader: &mut Reader) -> Read<Option<Url>> {
    const KEY: &str = "telemetry.otlp_endpoint";
    let Some(text) = reader.optional_text(KEY)? else {
        return Ok(None);
    };
    address::service_url(&text)
        .map(Some)
        .map_err(|error| reader.fault(KEY, error.to_string()))
}
