//! The audit log: who did what, when, and how it ended (OWASP ASVS 5.0, 16.2.1 and 16.3.1).
//!
//! Invariants:
//! - an event is never changed or removed; the database refuses it;
//! - an event holds no number, address, code or token: only keyed hashes, ids, numbers and stable
//!   names. The one free text is an operator's [`Remark`];
//! - an event's id is a `UUIDv7` of its time to the millisecond, so that the id alone finds the row.
//!
//! Where an event must not be missing, it is inserted in the transaction of what it tells
//! ([`store::insert`]). Everywhere else it is noted ([`Audit::note`]), and a log that cannot be
//! written stops nobody.

mod event;
mod names;
mod read;
mod remark;
pub mod store;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Months, Utc};
use sqlx::PgPool;
use tokio::time::sleep;
use uuid::Uuid;

use crate::clock::Clock;
use crate::database::StoreError;
use crate::random::{self, Random};
use crate::telemetry::Chain;

pub use event::Event;
pub use names::{Action, Actor, ActorError, Outcome};
pub use read::{Filter, Place};
pub use remark::{Remark, RemarkError};
pub use store::Entry;

/// Pause between two looks whether the next month has its partition. The next month is prepared a
/// whole month ahead, so a day without a database does no harm.
pub const PREPARE_EVERY: Duration = Duration::from_hours(24);

/// The audit log.
pub struct Audit {
    pool: PgPool,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
}

impl Audit {
    /// The log in this database.
    pub fn new(pool: PgPool, random: Arc<dyn Random>, clock: Arc<dyn Clock>) -> Self {
        Self {
            pool,
            random,
            clock,
        }
    }

    /// Writes an event of now, and returns its id.
    pub async fn record(&self, event: &Event) -> Result<Uuid, StoreError> {
        let now = self.clock.now();
        let id = random::uuid_v7(self.random.as_ref(), now)?;
        store::insert(&self.pool, id, now, event).await?;
        Ok(id)
    }

    /// Writes an event of now; where that fails, the service's own log has to do.
    pub async fn note(&self, event: &Event) {
        if let Err(error) = self.record(event).await {
            tracing::error!(
                action = event.action.name(),
                outcome = event.outcome.name(),
                reason = event.reason,
                trace_id = event.trace_id,
                error = %Chain(&error),
                "audit event not recorded"
            );
        }
    }

    /// Makes the partitions again and again, until `stop` is done.
    pub async fn keep_months_prepared(
        self: Arc<Self>,
        every: Duration,
        stop: impl Future<Output = ()>,
    ) {
        let prepare = async {
            loop {
                sleep(every).await;
                prepare_months(&self.pool, self.clock.now()).await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = prepare => {}
        }
    }
}

/// Makes the partitions of this month and the next, unless they are there. Where that fails,
/// events go to the default partition, which is worth a warning only.
pub async fn prepare_months(pool: &PgPool, now: DateTime<Utc>) {
    for month in [Some(now), now.checked_add_months(Months::new(1))] {
        let Some(month) = month else { continue };
        if let Err(error) = store::prepare_month(pool, month).await {
            tracing::warn!(
                month = %month.format("%Y-%m"),
                error = %Chain(&error),
                "audit log has no partition for a month"
            );
        }
    }
}
