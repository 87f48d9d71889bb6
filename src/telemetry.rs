//! Logs: one JSON line an event, or readable ones for people. And traces.
//!
//! What never goes into a log line, at any level: a phone number, a code, a token, a key, an
//! address. `tests/e2e/privacy.test.mjs` runs the flows at TRACE and searches for them, in the log and in what
//! [`traces`] has sent.

mod collector;
pub mod events;
pub mod exporter;
mod ratio;
pub mod traces;
pub mod w3c;

use std::fmt;
use std::io::{self, IsTerminal as _};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

pub use ratio::{Ratio, RatioError};

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
    let ansi = io::stderr().is_terminal();
    lines(format, filter, io::stderr, ansi).try_init()?;
    Ok(())
}

/// What writes lines.
fn lines(
    format: LogFormat,
    filter: EnvFilter,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
    ansi: bool,
) -> Box<dyn tracing::Subscriber + Send + Sync> {
    // Not a directive of the filter: one for a module would overrule it.
    let discreet = filter_fn(|metadata| is_discreet(metadata.target(), *metadata.level()));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(ansi);
    match format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            let lines = lines.with_current_span(false).with_span_list(false);
            Box::new(lines.finish().with(discreet))
        }
        LogFormat::Pretty => Box::new(lines.with_target(false).finish().with(discreet)),
    }
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
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What a closure logs, as it is written.
    fn written(format: LogFormat, filter: &str, log: impl FnOnce()) -> String {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let filter = EnvFilter::builder().parse(filter).unwrap();
        let lines = lines(format, filter, Buffer(Arc::clone(&bytes)), false);
        tracing::subscriber::with_default(lines, log);
        let bytes = bytes.lock().unwrap();
        String::from_utf8(bytes.clone()).unwrap()
    }

    #[derive(Clone)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Buffer {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn log() {
        let none: Option<&str> = None;
        tracing::info!(trace_id = "t1", status = 201, none, "request");
        tracing::debug!("not told");
        tracing::info!(target: "actix_http::h1", "told");
    }

    #[test]
    fn a_line_of_json_is_one_object() {
        let text = written(LogFormat::Json, "info", log);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();

        assert_eq!(lines.len(), 2, "{text}");
        let line = lines[0].as_object().unwrap();
        assert_eq!(line["trace_id"], "t1");
        assert_eq!(line["status"], 201);
        assert_eq!(line["message"], "request");
        assert_eq!(line["level"], "INFO");
        assert!(!line.contains_key("none"));
    }

    #[test]
    fn a_line_for_people_is_text() {
        let text = written(LogFormat::Pretty, "info", log);

        assert_eq!(text.lines().count(), 2, "{text}");
        let first = text.lines().next().unwrap();
        assert!(
            first.ends_with(" INFO request trace_id=\"t1\" status=201"),
            "{text}"
        );
        assert!(!text.contains('{') && !text.contains('\u{1b}'), "{text}");
    }

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
