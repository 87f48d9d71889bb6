//! What is told of traces.

use super::Metrics;
use super::table::TRACE_SPANS;

/// What became of a span that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spans {
    /// The collector took it.
    Exported,
    /// It was dropped, since too many waited.
    QueueFull,
    /// It was dropped, since the collector did not take it.
    Failed,
}

impl Spans {
    const ALL: [Self; 3] = [Self::Exported, Self::QueueFull, Self::Failed];

    fn name(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::QueueFull => "queue_full",
            Self::Failed => "failed",
        }
    }
}

impl Metrics {
    /// Makes the series of the others here.
    pub(super) fn begin_traces(&self) {
        for outcome in Spans::ALL {
            self.trace_spans(outcome, 0);
        }
    }

    /// Counts spans.
    pub fn trace_spans(&self, outcome: Spans, count: u64) {
        self.counter(TRACE_SPANS, &[("outcome", outcome.name())])
            .increment(count);
    }
}
