//! Logs: one JSON line an event, or readable ones for people.
//!
//! What never goes into a log line, at any level: a phone number, a code, a token, a key, an
//! address. `tests/e2e/privacy.test.mjs` runs the flows at TRACE and searches for them.

use std::fmt;
use std::io::{self, IsTerminal as _};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one that `tracing` understands.
    #[error("telemetry.log_level is not a valid filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging was started before.
    #[error("logging is already running")]
    Started(#[from] TryInitError),
}

/// Starts logging to standard error, so that a command's standard output stays its own.
pub fn start(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(filter)?;
    // Not a directive of the filter: one for a module would overrule it.
    let discreet = filter_fn(|metadata| is_discreet(metadata.target(), *metadata.level()));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .finish()
            .with(discreet)
            .try_init()?,
        LogFormat::Pretty => lines
            .with_target(false)
            .finish()
            .with(discreet)
            .try_init()?,
    }
    Ok(())
}

/// Whether lines of a dependency may be shown. Below INFO, actix-http quotes headers that it cannot
/// read, and a caller can write anything there.
fn is_discreet(target: &str, level: Level) -> bool {
    level <= Level::INFO || target.split("::").next() != Some("actix_http")
}

/// An error with its causes, on one line.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actix_http_is_heard_from_info_up_and_all_others_always() {
        for (target, level, shown) in [
            ("actix_http", Level::TRACE, false),
            ("actix_http::h1::decoder", Level::DEBUG, false),
            ("actix_http::h1::decoder", Level::INFO, true),
            ("actix_http::h1::dispatcher", Level::ERROR, true),
            ("actix_http_like", Level::TRACE, true),
            ("otp_auth::actix_http", Level::TRACE, true),
            ("sqlx::query", Level::DEBUG, true),
        ] {
            assert_eq!(is_discreet(target, level), shown, "{target} at {level}");
        }
    }
}
