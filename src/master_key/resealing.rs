//! Seals anew, under the master key, what is sealed under another one.
//!
//! One replica at a time does it, in small batches, while a key other than its own may be in use; otherwise it
//! looks at one short table a minute. If it dies, another begins from the start of the tables, where it finds
//! what is done already.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::time::sleep;

use super::store::count::{self, Left};
use super::store::rows::{self, BATCH, Change, Found};
use super::store::used;
use crate::clock::Clock;
use crate::database::StoreError;
use crate::metrics::Metrics;
use crate::random::{self, Random};
use crate::retention::Lease;
use crate::secrets::{KeyId, Keyring, Purpose, SealError};
use crate::telemetry::Chain;

/// Pause between two turns, half of it drawn anew each time.
const TURN_EVERY: Duration = Duration::from_secs(1);
/// Batches a turn: at 2,000 rows a second ten million are done in an hour and a half.
const BATCHES: usize = 4;
/// Pause between two looks at what is left.
const COUNT_EVERY: TimeDelta = TimeDelta::minutes(1);
/// The lease.
const LEASE: &str = "master_key";

/// What is sealed anew. The rest is waited for: `otp_requests` are gone within 20 hours, `idempotency_keys`
/// within 15 minutes, `spent_refresh_tokens` within seconds; the key they are sealed under opens them until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    AccessRules,
    CarriedKeys,
    CheckedCodes,
    SupersededCodes,
    Sessions,
    SigningKeys,
    Users,
}

impl Column {
    /// The few that all depend on first.
    const ALL: [Self; 7] = [
        Self::CarriedKeys,
        Self::SigningKeys,
        Self::AccessRules,
        Self::CheckedCodes,
        Self::SupersededCodes,
        Self::Users,
        Self::Sessions,
    ];

    fn table(self) -> &'static str {
        match self {
            Self::AccessRules => "access_rules",
            Self::CarriedKeys => "carried_keys",
            Self::CheckedCodes | Self::SupersededCodes => "phone_throttles",
            Self::Sessions => "sessions",
            Self::SigningKeys => "signing_keys",
            Self::Users => "users",
        }
    }

    fn purpose(self) -> Purpose {
        match self {
            Self::AccessRules => Purpose::Rule,
            Self::CarriedKeys => Purpose::CarriedKey,
            Self::CheckedCodes | Self::SupersededCodes => Purpose::Guess,
            Self::Sessions => Purpose::Session,
            Self::SigningKeys => Purpose::SigningKey,
            Self::Users => Purpose::Phone,
        }
    }
}

/// A turn failed.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Seals anew what another master key sealed.
pub struct Resealing {
    pool: PgPool,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    metrics: Arc<Metrics>,
}

/// What one replica remembers between two turns.
struct Turns {
    /// When it is to be counted what is left.
    count_at: DateTime<Utc>,
    left: Left,
    /// The columns that are still to be walked through, and the key looked at last in the first of them.
    columns: Vec<Column>,
    after: Vec<u8>,
    /// Values of this walk through a column that did not open.
    lost: u64,
    /// Whether a row was sealed anew since the last count.
    resealed: bool,
    /// Whether there was something to do at the last count.
    was_at_work: bool,
}

impl Resealing {
    /// Over this database.
    pub fn new(
        pool: PgPool,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            pool,
            keyring,
            clock,
            random,
            metrics,
        }
    }

    /// Takes a turn each second or so until `stop` is done.
    pub async fn follow(self, stop: impl Future<Output = ()>) {
        let turns = async {
            let mut lease = Lease::new(LEASE, self.random.as_ref());
            let mut turns = Turns::new();
            // Told once an outage.
            let mut told = false;
            loop {
                sleep(random::jittered(self.random.as_ref(), TURN_EVERY)).await;
                let Err(error) = self.turn(&mut lease, &mut turns).await else {
                    told = false;
                    continue;
                };
                self.metrics.resealing_failed();
                if !told {
                    tracing::warn!(error = %Chain(&error), "rows were not sealed under the master key");
                }
                told = true;
            }
        };
        tokio::select! {
            () = stop => {}
            () = turns => {}
        }
    }

    async fn turn(&self, lease: &mut Lease, turns: &mut Turns) -> Result<(), TurnError> {
        let now = self.clock.now();
        let led = lease.is_held();
        if !lease.hold(&self.pool, now).await? {
            if led {
                self.metrics.master_key_unknown();
                *turns = Turns::new();
            }
            return Ok(());
        }
        if turns.columns.is_empty() {
            if now < turns.count_at {
                return Ok(());
            }
            self.count(turns).await?;
            turns.count_at = now + COUNT_EVERY;
        }
        for _ in 0..BATCHES {
            let Some(column) = turns.columns.first().copied() else {
                break;
            };
            self.batch(column, turns).await?;
        }
        Ok(())
    }

    /// Counts what is left, and plans a walk if there is what one can do.
    async fn count(&self, turns: &mut Turns) -> Result<(), TurnError> {
        let own = self.keyring.master();
        let used = used::all(&self.pool).await?;
        turns.left = if used.iter().all(|id| *id == own) {
            Left::default()
        } else {
            count::rows_under_others(&self.pool, own).await?
        };
        self.metrics
            .master_key_rows_left(|table| turns.left.of(table));
        let at_work = !turns.left.is_empty();
        if at_work && !turns.was_at_work {
            tracing::info!(rows = %turns.left, "rows are sealed under another master key");
        } else if turns.was_at_work && !at_work {
            tracing::info!("no row is sealed under another master key any more");
        }
        turns.was_at_work = at_work;
        let is_left = |column: &Column| turns.left.of(column.table()) > 0;
        turns.columns = Column::ALL.into_iter().filter(is_left).collect();
        turns.after.clear();
        turns.lost = 0;
        turns.resealed = false;
        Ok(())
    }

    async fn batch(&self, column: Column, turns: &mut Turns) -> Result<(), TurnError> {
        let found = rows::read(&self.pool, column, &turns.after).await?;
        let is_last = i64::try_from(found.len()).unwrap_or(BATCH) < BATCH;
        if let Some(last) = found.last() {
            turns.after.clone_from(&last.key);
        }
        let mut changes = Vec::new();
        for row in found {
            match self.anew(column, row)? {
                Anew::Fits => {}
                Anew::Lost => turns.lost += 1,
                Anew::Change(change) => changes.push(change),
            }
        }
        if !changes.is_empty() {
            let resealed = rows::replace(&self.pool, column, changes).await?;
            turns.left.less(column.table(), resealed);
            turns.resealed = true;
            self.metrics.resealed(column.table(), resealed);
            self.metrics
                .master_key_rows_left(|table| turns.left.of(table));
        }
        if is_last {
            if turns.lost > 0 {
                let (table, rows) = (column.table(), turns.lost);
                tracing::warn!(
                    table,
                    rows,
                    "no master key of the settings opens these rows"
                );
            }
            turns.columns.remove(0);
            turns.after.clear();
            turns.lost = 0;
            if turns.columns.is_empty() && turns.resealed {
                turns.count_at = DateTime::UNIX_EPOCH;
            }
        }
        Ok(())
    }

    fn anew(&self, column: Column, row: Found) -> Result<Anew, SealError> {
        let (Some(binding), Some(sealed)) = (row.binding, row.sealed) else {
            return Ok(Anew::Fits);
        };
        if KeyId::of(&sealed) == Some(self.keyring.master()) {
            return Ok(Anew::Fits);
        }
        let Ok(plain) = self.keyring.open(column.purpose(), &binding, &sealed) else {
            return Ok(Anew::Lost);
        };
        let random = self.random.as_ref();
        let after = self
            .keyring
            .seal(column.purpose(), &binding, &plain, random)?;
        Ok(Anew::Change(Change {
            key: row.key,
            before: sealed,
            after,
        }))
    }
}

/// What is to be done about a row.
enum Anew {
    /// Nothing.
    Fits,
    /// It does not open.
    Lost,
    Change(Change),
}

impl Turns {
    fn new() -> Self {
        Self {
            count_at: DateTime::UNIX_EPOCH,
            left: Left::default(),
            columns: Vec::new(),
            after: Vec::new(),
            lost: 0,
            resealed: false,
            was_at_work: false,
        }
    }
}
