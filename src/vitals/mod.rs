//! What is looked at every second or so only to be told in `/metrics`: how long a connection to the database
//! is waited for, what is due there, and how much of the spending ceilings is used. Nobody waits for it,
//! and `/metrics` itself asks nobody.

mod store;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout};

use crate::clock::Clock;
use crate::database::StoreError;
use crate::limit::budget::{self, Scope};
use crate::limit::spend::Ceilings;
use crate::metrics::Metrics;
use crate::random::{self, Random};
use crate::telemetry::Chain;

/// Pause between two looks, half of it drawn anew each time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest look; a connection that does not answer for so long is dead.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks.
pub struct Vitals {
    /// Where.
    pool: PgPool,
    /// The time.
    clock: Arc<dyn Clock>,
    /// For the pauses.
    random: Arc<dyn Random>,
    /// Is told.
    metrics: Arc<Metrics>,
    /// Whose ceilings, in the order of their names.
    ceilings: Vec<(Scope, Ceilings)>,
    answers: AtomicBool,
}

impl Vitals {
    /// Nothing is known yet, and the database is taken to answer: the service has just read from it.
    pub(crate) fn new(
        pool: PgPool,
        (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
        metrics: Arc<Metrics>,
        ceilings: Vec<(Scope, Ceilings)>,
    ) -> Self {
        metrics.database_up(true);
        Self {
            pool,
            clock,
            random,
            metrics,
            ceilings,
            answers: AtomicBool::new(true),
        }
    }

    /// Whether the database answered at the latest look.
    pub fn database_answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    /// Looks every second or so until `stop` is done.
    pub async fn follow(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let look = async {
            loop {
                sleep(random::jittered(self.random.as_ref(), LOOK_EVERY)).await;
                let looked = timeout(PATIENCE, self.look()).await;
                let answers = match looked {
                    Ok(Ok(())) => true,
                    Ok(Err(error)) => {
                        tracing::debug!(error = %Chain(&error), "nothing seen in the database");
                        // A defect is an answer too.
                        !error.is_outage()
                    }
                    Err(_) => false,
                };
                self.answers.store(answers, Ordering::Relaxed);
                self.metrics.database_up(answers);
            }
        };
        tokio::select! {
            () = stop => {}
            () = look => {}
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let started = Instant::now();
        let connection = self.pool.acquire().await;
        self.metrics
            .database_acquired(started.elapsed(), connection.is_ok());
        let mut connection = connection?;
        let now = self.clock.now();
        let due = store::due(&mut connection, now).await?;
        let oldest = due.oldest.and_then(|since| (now - since).to_std().ok());
        self.metrics
            .deliveries_due(due.count, oldest.unwrap_or_default());
        let names: Vec<String> = self
            .ceilings
            .iter()
            .map(|(scope, _)| scope.name())
            .collect();
        let counters = store::counters(&mut connection, &names, now).await?;
        for ((_, ceilings), name) in self.ceilings.iter().zip(&names) {
            let counter = counters.get(name).cloned();
            let counter = counter.unwrap_or_else(|| store::nothing(now));
            for (ceiling, used) in budget::used_of(&counter, ceilings) {
                self.metrics.spend_used(name, ceiling, used);
            }
        }
        Ok(())
    }
}
