//! The audit log: who did what, when, and how it ended (OWASP ASVS 5.0, 16.2.1 and 16.3.1).
//!
//! Invariants:
//! - an event is never changed or removed; the database refuses it;
//! - an event holds no number, address, code or token: only keyed hashes, ids, numbers and stable
//!   names. The one free text is an operator's [`Remark`];
//! - an event's id is a `UUIDv7` of its time to the millisecond, so that the id alone finds the row.
//!
//! Where an event must not be missing, it is inserted in the transaction of what it tells
//! ([`store::insert`]), and so is a line of the service's own log: should the transaction then fail, that has a line
//! too many, and an error beside it. Everywhere else it is noted ([`Audit::note`]), and a log that cannot be
//! written stops nobody.

mod event;
mod line;
mod names;
mod read;
mod remark;
pub mod store;

use std::sync::Arc;

use sqlx::PgPool;
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
}
