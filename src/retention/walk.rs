//! A walk through a table in the order of its key, a batch at a time: what is over has no index to be found
//! by, which every send would have to keep up to date.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::store::rows::{self, Cutoffs, Step};
use crate::clock::Clock;
use crate::database::StoreError;

/// Rows that a batch looks at: some milliseconds of work.
pub(super) const BATCH: i64 = 500;
/// How long one table may be walked through in a turn, which is a second: some thousands of rows, so that ten
/// million take an hour or two and a fortieth of one connection.
const BUDGET: Duration = Duration::from_millis(25);
/// Batches a turn whatever they take, while at least half of what they look at is over: 5,000 rows a second
/// leave then.
const BATCHES: usize = 10;
/// Pause between two walks through the same table: most tables are short.
const REST: TimeDelta = TimeDelta::minutes(1);

/// The tables that are walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    AddressThrottles,
    IdempotencyKeys,
    PhoneThrottles,
    Sessions,
    SmsCounters,
}

impl Table {
    pub(super) const ALL: [Self; 5] = [
        Self::AddressThrottles,
        Self::IdempotencyKeys,
        Self::PhoneThrottles,
        Self::Sessions,
        Self::SmsCounters,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AddressThrottles => "address_throttles",
            Self::IdempotencyKeys => "idempotency_keys",
            Self::PhoneThrottles => "phone_throttles",
            Self::Sessions => "sessions",
            Self::SmsCounters => "sms_counters",
        }
    }

    async fn step(
        self,
        pool: &PgPool,
        after: &[u8],
        cutoffs: &Cutoffs,
    ) -> Result<Step, StoreError> {
        match self {
            Self::AddressThrottles => rows::address_throttles(pool, after, cutoffs).await,
            Self::IdempotencyKeys => rows::idempotency_keys(pool, after, cutoffs).await,
            Self::PhoneThrottles => rows::phone_throttles(pool, after, cutoffs).await,
            Self::Sessions => rows::sessions(pool, after, cutoffs).await,
            Self::SmsCounters => rows::sms_counters(pool, after, cutoffs).await,
        }
    }
}

/// How far one has come.
pub(super) struct Walk {
    table: Table,
    /// The key that was looked at last; empty at the start.
    after: Vec<u8>,
    /// When the next one begins.
    rest_until: DateTime<Utc>,
    rounds: u64,
}

impl Walk {
    pub(super) fn new(table: Table) -> Self {
        Self {
            table,
            after: Vec::new(),
            rest_until: DateTime::UNIX_EPOCH,
            rounds: 0,
        }
    }

    pub(super) fn table(&self) -> Table {
        self.table
    }

    /// How often the table was walked through to its end.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Looks at the next rows; returns how many it removed.
    pub(super) async fn go_on(
        &mut self,
        pool: &PgPool,
        cutoffs: &Cutoffs,
        clock: &dyn Clock,
    ) -> Result<u64, StoreError> {
        let mut removed = 0;
        if cutoffs.now < self.rest_until {
            return Ok(removed);
        }
        let began = clock.monotonic();
        for batch in 1.. {
            let step = self.table.step(pool, &self.after, cutoffs).await?;
            removed += u64::try_from(step.removed).unwrap_or(0);
            if step.seen < BATCH {
                self.after.clear();
                self.rest_until = cutoffs.now + REST;
                self.rounds += 1;
                break;
            }
            self.after = step.last.unwrap_or_default();
            let finds_much = step.removed >= BATCH / 2 && batch < BATCHES;
            if !finds_much && clock.monotonic().saturating_sub(began) >= BUDGET {
                break;
            }
        }
        Ok(removed)
    }
}
