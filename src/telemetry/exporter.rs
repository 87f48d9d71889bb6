//! Spans that ended, on their way to the collector: a queue with an end, and one who empties it.
//!
//! Nobody who serves a request waits here. A span that finds the queue full is dropped and counted, and so is a
//! batch that the collector does not take: it is not tried again, since others wait behind it.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanProcessor,
};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;
use url::Url;
use uuid::Uuid;

use super::collector::Collector;
use super::ratio::Ratio;
use super::traces::Traces;
use crate::metrics::{Metrics, Spans};

/// Spans that wait at most, and of one batch: the defaults of OpenTelemetry's batching processor
/// (specification 1.50, `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`). A span is below 2 KiB.
const QUEUE: usize = 2048;
const BATCH: usize = 512;
/// How long a batch is waited for to fill. Our own figure: somebody who looks for what he just did finds it.
const GATHER: Duration = Duration::from_secs(1);

/// Where traces go, and how many.
#[derive(Clone, Debug)]
pub struct Options {
    /// The collector's base address; `v1/traces` is added to it.
    pub endpoint: Url,
    /// Which part of the traces that begin here is kept.
    pub sampled: Ratio,
    /// Tells the replicas apart.
    pub instance: Uuid,
}

/// Traces cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The address cannot be completed with a path.
    #[error("telemetry.otlp_endpoint cannot have a path added")]
    Address(#[source] url::ParseError),
    /// TLS could not start.
    #[error("the HTTP client for traces cannot start")]
    Client(#[source] reqwest::Error),
    /// The environment asks for what this exporter cannot do.
    #[error(
        "the exporter of traces cannot start; does the environment set OTEL_EXPORTER_OTLP_COMPRESSION?"
    )]
    Exporter(#[source] ExporterBuildError),
}

/// Who takes spans to the collector.
pub struct Exporter {
    spans: Receiver<SpanData>,
    to: opentelemetry_otlp::SpanExporter,
    metrics: Arc<Metrics>,
}

/// Makes traces, and who takes them to their collector.
pub fn start(options: &Options, metrics: &Arc<Metrics>) -> Result<(Traces, Exporter), TracesError> {
    let mut base = options.endpoint.clone();
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    let address = base.join("v1/traces").map_err(TracesError::Address)?;
    let mut to = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new().map_err(TracesError::Client)?)
        .with_endpoint(address)
        .build()
        .map_err(TracesError::Exporter)?;
    // Nothing of the host or the environment.
    let resource = Resource::builder_empty()
        .with_service_name("otp-auth")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new(
            "service.instance.id",
            options.instance.to_string(),
        ))
        .build();
    to.set_resource(&resource);
    let (queue, spans) = mpsc::channel(QUEUE);
    let sampler = Sampler::TraceIdRatioBased(options.sampled.get());
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Queue {
            spans: queue,
            metrics: Arc::clone(metrics),
        })
        .with_sampler(Sampler::ParentBased(Box::new(sampler)))
        .with_resource(resource)
        .build();
    let metrics = Arc::clone(metrics);
    let exporter = Exporter { spans, to, metrics };
    Ok((Traces(provider.tracer("otp-auth")), exporter))
}

/// Where spans wait.
struct Queue {
    spans: Sender<SpanData>,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        // Full, or nobody empties it any more.
        if self.spans.try_send(span).is_err() {
            self.metrics.trace_spans(Spans::QueueFull, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Exporter {
    /// Takes spans to the collector until `stopped` is done, and then those that are left.
    pub async fn follow(mut self, stopped: impl Future<Output = ()>) {
        let mut stopped = pin!(stopped);
        let mut is_stopping = false;
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                () = &mut stopped, if !is_stopping => {
                    is_stopping = true;
                    self.spans.close();
                    self.take(&mut batch).await;
                }
                () = self.gather(&mut batch) => {}
            }
            if batch.is_empty() {
                return;
            }
            self.export(batch).await;
        }
    }

    /// Waits for a span, and a little for others; none if there will be no more.
    async fn gather(&mut self, batch: &mut Vec<SpanData>) {
        if self.spans.recv_many(batch, BATCH).await > 0 {
            let _ = timeout(GATHER, self.take(batch)).await;
        }
    }

    /// Fills a batch, or takes what there will be.
    async fn take(&mut self, batch: &mut Vec<SpanData>) {
        while let left @ 1.. = BATCH.saturating_sub(batch.len())
            && self.spans.recv_many(batch, left).await > 0
        {}
    }

    async fn export(&self, batch: Vec<SpanData>) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        // Why it failed the collector's client tells, once an outage.
        let outcome = match self.to.export(batch).await {
            Ok(()) => Spans::Exported,
            Err(_) => Spans::Failed,
        };
        self.metrics.trace_spans(outcome, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Names;
    use crate::telemetry::traces::CalledBy;

    /// Whatever the collector does, whoever serves a request only ever finds the queue full.
    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_counted() {
        let metrics = Arc::new(Metrics::new(Names::default()).unwrap());
        let options = Options {
            endpoint: "http://127.0.0.1:9/otlp".parse().unwrap(),
            sampled: Ratio::ALL,
            instance: Uuid::nil(),
        };
        let (traces, exporter) = start(&options, &metrics).unwrap();
        let dropped = |count| {
            let line = format!("otp_auth_trace_spans_total{{outcome=\"queue_full\"}} {count}\n");
            metrics.render().contains(&line)
        };
        let serve = |times: usize| {
            for _ in 0..times {
                let span = traces.begin("GET", Some("/a"), "id", CalledBy::Nobody);
                span.end(200);
            }
        };

        serve(QUEUE);
        assert!(dropped(0));
        serve(10);
        assert!(dropped(10));
        drop(exporter);
        serve(1);
        assert!(dropped(11));
    }
}
