//! What the service's own log is told of an event.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Actor, Event};
use crate::telemetry::events::{self, Line};

impl Event {
    /// Tells the log of it. `id` is the event's in the audit log, if it is there.
    pub fn log(&self, id: Option<Uuid>, now: DateTime<Utc>) {
        let (actor, client) = match &self.actor {
            Actor::Client(id) => ("client", Some(id.as_str())),
            // Who it was is a person's name, and for the audit log.
            Actor::Admin(_) => ("admin", None),
            Actor::Service => ("service", None),
        };
        events::tell(
            Line {
                event: self.action.name(),
                outcome: self.outcome.name(),
                reason: self.reason,
                actor: Some(actor),
                client,
                audit_id: id,
                trace_id: self.trace_id.as_deref(),
            },
            now,
        );
    }
}
