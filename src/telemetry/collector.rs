//! How spans are posted to a collector.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::redirect;

use super::Chain;

/// How long a connection to the collector may take: it is near, or a queue fills meanwhile. Our own figure.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a batch may take in all. Our own figure, half of the 10 s that OTLP exporters take by default
/// (OpenTelemetry specification 1.50, `OTEL_EXPORTER_OTLP_TIMEOUT`).
const TOTAL: Duration = Duration::from_secs(5);

/// A collector. It tells the log when it begins to fail, and when it is well again, not of each batch.
#[derive(Debug)]
pub(super) struct Collector {
    http: reqwest::Client,
    is_failing: AtomicBool,
}

impl Collector {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            is_failing: AtomicBool::new(false),
        })
    }

    async fn post(&self, request: Request<Bytes>) -> Result<u16, reqwest::Error> {
        // Its body says what it thinks of single spans, in words of its own, and is left unread.
        Ok(self
            .http
            .execute(request.try_into()?)
            .await?
            .status()
            .as_u16())
    }

    fn failed(&self, why: &dyn fmt::Display) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                error = %why,
                "the collector does not take traces: they are dropped until it does"
            );
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let status = self.post(request).await.map_err(|error| {
            let error = error.without_url();
            self.failed(&Chain(&error));
            error
        })?;
        if !(200..300).contains(&status) {
            self.failed(&format_args!("status {status}"));
        } else if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the collector takes traces again");
        }
        Ok(Response::builder().status(status).body(Bytes::new())?)
    }
}
