//! Logs: one JSON line an event, or readable ones for people.
//!
//! What never goes into a log line, at any level: a phone number, a code, a token, a key, an
//! address. `tests/api/privacy.rs` runs the flows at TRACE and searches for them.

use std::fmt;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
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
            .try_init()?,
        LogFormat::Pretty => lines.with_target(false).finish().try_init()?,
    }
    Ok(())
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
