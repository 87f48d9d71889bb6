//! What is over leaves the database by itself.
//!
//! ```text
//! otp_requests, audit_events    partitions by time: made ahead, dropped whole
//! everything else               in small batches: what has an index by time is found by it, of the rest
//!                               a little is looked through each second, in the order of its key
//! ```
//!
//! Invariants:
//! - one replica at a time does it, the one that has the lease; if it stands still and another takes over,
//!   both do no harm: rows that somebody has locked are left for the next time;
//! - no statement takes long, and none makes a call of a user wait: batches are small, and what would need
//!   a lock that is not to be had gives up after 100 ms, to try again;
//! - what is removed had no say any more: of each table it stands here when a row is over.
//!
//! | table | a row is over |
//! |---|---|
//! | `otp_requests` | 12 hours after the partition it is in ended: 12 to 20 hours after it came |
//! | `audit_events` | `retention.audit_days` after its month ended |
//! | `idempotency_keys` | 15 minutes after the first call with the key |
//! | `sessions` | an hour after it ended, by itself or not, once its access tokens are over too |
//! | `spent_refresh_tokens` | `tokens.reuse_grace_seconds` after the token was used |
//! | `revocations` | when the last access token that it is about is over |
//! | `phone_throttles` | after 25 hours without a send or a try, if no wrong code counts any more |
//! | `address_throttles` | when all limits of the address are full again, and its day is over |
//! | `sms_counters` | of prefixes and addresses: after the 14 days that budgets look back |
//! | `spend_warnings` | when the month after its own is over |
//! | `access_rules` | 30 days after it expired |

mod store;
mod walk;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::database::StoreError;
use crate::metrics::Metrics;
use crate::random::{self, Random};
use crate::telemetry::Chain;
use store::partitions;
use store::rows::{self, Cutoffs};
use walk::{Table, Walk};

pub(crate) use store::lease::Lease;
pub use store::partitions::prepare;

/// Pause between two turns, half of it drawn anew each time.
const TURN_EVERY: Duration = Duration::from_secs(1);
/// Pause between two looks at what need not be looked at each second.
const SELDOM: TimeDelta = TimeDelta::minutes(1);

/// The lease.
const LEASE: &str = "retention";

/// What is kept for how long, as far as settings say.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// An event of the audit log.
    pub audit: TimeDelta,
    /// A used refresh token.
    pub reuse_grace: TimeDelta,
    /// Wrong codes in a row that stop a phone: such a row is never over.
    pub failures_in_row: i32,
}

/// Removes what is over.
pub struct Retention {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    metrics: Arc<Metrics>,
    policy: Policy,
}

/// What one replica remembers between two turns. Another begins anew, which costs a walk from the start.
struct Turns {
    lease: Lease,
    /// When partitions and the like are looked at next.
    seldom_at: DateTime<Utc>,
    walks: [Walk; 5],
}

impl Retention {
    /// Over this database.
    pub fn new(
        pool: PgPool,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        metrics: Arc<Metrics>,
        policy: Policy,
    ) -> Self {
        Self {
            pool,
            clock,
            random,
            metrics,
            policy,
        }
    }

    /// Takes a turn each second or so until `stop` is done.
    pub async fn follow(self, stop: impl Future<Output = ()>) {
        let turns = async {
            let mut turns = Turns::new(self.random.as_ref());
            // Told once an outage.
            let mut told = false;
            loop {
                sleep(random::jittered(self.random.as_ref(), TURN_EVERY)).await;
                let Err(error) = self.turn(&mut turns).await else {
                    told = false;
                    continue;
                };
                self.metrics.retention_failed();
                if !told {
                    tracing::warn!(error = %Chain(&error), "what is over was not removed");
                }
                told = true;
            }
        };
        tokio::select! {
            () = stop => {}
            () = turns => {}
        }
    }

    async fn turn(&self, turns: &mut Turns) -> Result<(), StoreError> {
        let now = self.clock.now();
        let leads = turns.lease.hold(&self.pool, now).await?;
        self.metrics.retention_leads(leads);
        if !leads {
            return Ok(());
        }
        let cutoffs = Cutoffs::of(now, &self.policy);
        let mut seldom = Ok(());
        if now >= turns.seldom_at {
            seldom = self.look_seldom(&cutoffs).await;
            if seldom.is_ok() {
                turns.seldom_at = now + SELDOM;
            }
        }
        for (table, removed) in rows::remove_by_index(&self.pool, &cutoffs).await? {
            self.metrics.retention_removed(table, removed);
        }
        for walk in &mut turns.walks {
            let removed = walk
                .go_on(&self.pool, &cutoffs, self.clock.as_ref())
                .await?;
            self.metrics.retention_removed(walk.table().name(), removed);
            self.metrics
                .retention_walk(walk.table().name(), walk.rounds());
        }
        // Now only: a partition that somebody reads all day must not keep rows of other tables here.
        seldom
    }

    async fn look_seldom(&self, cutoffs: &Cutoffs) -> Result<(), StoreError> {
        // One that fails must not keep the rest from being done.
        let made = prepare(&self.pool, cutoffs.now).await;
        let dropped = partitions::drop_over(&self.pool, cutoffs).await;
        for (table, removed) in rows::remove_seldom(&self.pool, cutoffs).await? {
            self.metrics.retention_removed(table, removed);
        }
        for (table, partitions) in dropped? {
            self.metrics.retention_dropped(table, partitions);
        }
        made
    }
}

impl Turns {
    fn new(random: &dyn Random) -> Self {
        Self {
            lease: Lease::new(LEASE, random),
            seldom_at: DateTime::UNIX_EPOCH,
            walks: Table::ALL.map(Walk::new),
        }
    }
}
