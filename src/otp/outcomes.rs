//! Recording what became of SMS.
//!
//! The caller's answer does not depend on the record: the code is stored, and the SMS may be out. That an SMS was
//! taken is recorded within some twenty milliseconds, with all that were taken meanwhile, and most callers are answered
//! before. Those wait for it whose answer is kept for a repeat, and those whose code only the record can check, by the
//! provider's handle.
//!
//! If the process is killed before, the SMS is one whose sender died before he recorded it: its code verifies, and the
//! background closes it when its lease ends. Who stops orderly records all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::request::RequestId;
use super::store::{Acceptance, Acceptances, Outcome, Sent, Store};
use crate::database::StoreError;
use crate::metrics::{Metrics, Queue, Queued};
use crate::seats::shared::Group;
use crate::telemetry::{Chain, traces};

/// Time in which those gather that are recorded by one statement. Our own figure: at 3,000 SMS a second as many come in
/// it as one statement is for ([`crate::seats::shared::MOST_TOGETHER`]).
pub(super) const GATHER: Duration = Duration::from_millis(20);
/// First pause before an outcome that could not be recorded is tried again; each is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Pauses at most: 12.6 s in all, about as long as a database takes to restart.
const PAUSES: u32 = 6;

/// Records them.
pub(crate) struct Outcomes {
    store: Store,
    acceptances: Arc<Group<Acceptances>>,
    metrics: Arc<Metrics>,
    /// The requests that have one which is not recorded, until the channel closes.
    pending: Mutex<HashMap<RequestId, watch::Receiver<()>>>,
}

/// One that is to be recorded, until this is dropped.
struct Pending {
    of: Arc<Outcomes>,
    request: RequestId,
    open: watch::Sender<()>,
}

impl Outcomes {
    /// In these tables, within the runtime that does it.
    pub(super) fn new(store: Store, acceptances: Acceptances, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            store,
            acceptances: Group::finishing(acceptances, GATHER),
            metrics,
            pending: Mutex::default(),
        })
    }

    /// Records one; in the background, for a while, if the database is away.
    pub(super) async fn record(&self, sent: Sent, outcome: Outcome) {
        let recorded = self.try_once(&sent, &outcome);
        if let Err(error) = traces::step("record the outcome", recorded).await {
            tracing::error!(request.id = %sent.request, error = %Chain(&error), "outcome of a send not recorded yet");
            let waits = self.metrics.queued(Queue::Outcomes);
            tokio::spawn(keep_trying(self.store.clone(), (sent, outcome), waits));
        }
    }

    /// Records one in the background.
    pub(super) fn record_soon(self: &Arc<Self>, sent: Sent, outcome: Outcome) {
        let pending = self.pending(sent.request);
        let recorded = async move {
            pending.of.record(sent, outcome).await;
            drop(pending);
        };
        tokio::spawn(traces::within(traces::current(), recorded));
    }

    /// Waits until what this process knows of a request's SMS is recorded.
    pub(super) async fn of(&self, request: RequestId) {
        let pending = self.lock().get(&request).cloned();
        closed(pending).await;
    }

    /// Waits until everything is recorded.
    pub(crate) async fn all(&self) {
        loop {
            let pending = self.lock().values().next().cloned();
            if pending.is_none() {
                return;
            }
            closed(pending).await;
        }
    }

    /// That one was taken is recorded together with others.
    async fn try_once(&self, sent: &Sent, outcome: &Outcome) -> Result<(), StoreError> {
        if let Outcome::Accepted { accepted, ask_at } = outcome {
            let acceptance = Acceptance {
                sent: sent.clone(),
                accepted: accepted.clone(),
                ask_at: *ask_at,
            };
            if let Ok(recorded) = self.acceptances.join(Arc::new(acceptance)).await {
                return recorded;
            }
        }
        self.store.conclude(sent, outcome).await
    }

    fn pending(self: &Arc<Self>, request: RequestId) -> Pending {
        let (open, waits) = watch::channel(());
        self.lock().insert(request, waits);
        Pending {
            of: Arc::clone(self),
            request,
            open,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, watch::Receiver<()>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut all = self.of.lock();
        // Another SMS of this request may be pending by now.
        let latest = all.get(&self.request);
        if latest.is_some_and(|latest| latest.same_channel(&self.open.subscribe())) {
            all.remove(&self.request);
        }
    }
}

async fn closed(pending: Option<watch::Receiver<()>>) {
    if let Some(mut pending) = pending {
        // Nothing is ever sent.
        while pending.changed().await.is_ok() {}
    }
}

async fn keep_trying(store: Store, (sent, outcome): (Sent, Outcome), _waits: Queued) {
    for pause in (0..PAUSES).map(|n| FIRST_PAUSE * (1 << n)) {
        sleep(pause).await;
        if store.conclude(&sent, &outcome).await.is_ok() {
            return;
        }
    }
    tracing::error!(request.id = %sent.request, "outcome of a send not recorded");
}
