//! One thing that a caller asked for, which may be asked for again.

use uuid::Uuid;

use chrono::{DateTime, Utc};

use crate::random::{self, Random, RandomUnavailable};

/// A send, a resend or a verify.
///
/// Its id names what the work makes (the request, the SMS, the session). Whoever does the work over,
/// because the process that began it died, is given the same id, and so finds what was done already
/// instead of doing it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Drawn once, kept with the caller's `Idempotency-Key`.
    pub id: Uuid,
    /// Whether somebody may have begun it before.
    pub repeated: bool,
    /// Whether its answer is kept, and given to whoever does it over.
    pub kept: bool,
}

impl Operation {
    /// One that nobody began before.
    pub fn new(random: &dyn Random, now: DateTime<Utc>) -> Result<Self, RandomUnavailable> {
        Ok(Self {
            id: random::uuid_v7(random, now)?,
            repeated: false,
            kept: false,
        })
    }
}
