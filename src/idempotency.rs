//! Replies kept for a repeated `Idempotency-Key` (IETF draft-ietf-httpapi-idempotency-key-header).
//!
//! Per client and operation: the same key with the same body gets the first reply again, byte for
//! byte, and the work is done once. Neither key nor body is stored, only keyed hashes of them; the
//! kept reply is sealed.
//!
//! Whoever works on a key has a lease. If it ends without a reply he is dead, and the next call with
//! the same key takes the work over under the same operation id; see [`crate::operation`].

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::time::sleep;

use crate::database::StoreError;
use crate::operation::Operation;
use crate::random::{Random, RandomUnavailable};
use crate::secrets::{Keyring, OpenError, Purpose, SealError};

/// How long a reply is kept: long enough for any sane client's retries, and far longer than a
/// code lives. While somebody has a lease on it, a key lives on.
pub const KEPT_FOR: TimeDelta = TimeDelta::minutes(15);

/// Pauses before a reply that could not be kept is kept again.
const KEEP_AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// A caller's key, bound to who used it for what.
#[derive(Clone, Copy)]
pub struct Fingerprint([u8; 32]);

/// What a key was found to be.
pub enum Claim {
    /// New, or begun by somebody who died: do the work, then [`Idempotency::keep`] or
    /// [`Idempotency::give_up`].
    Ours(Operation),
    /// Done before; here is the kept reply.
    Done(Vec<u8>),
    /// Still being worked on.
    InProgress,
    /// Used before with another body.
    Conflict,
}

/// A kept reply could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// The reply could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The kept reply does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<sqlx::Error> for IdempotencyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The kept replies.
pub struct Idempotency {
    pub(crate) pool: PgPool,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) random: Arc<dyn Random>,
    /// How long whoever claims a key has it for himself: longer than the longest call takes.
    pub(crate) lease: TimeDelta,
}

impl Idempotency {
    /// Binds a caller's key to the client and operation it was used for.
    pub fn fingerprint(&self, client: &str, operation: &str, key: &[u8]) -> Fingerprint {
        Fingerprint(
            self.keyring
                .fingerprint(&[client.as_bytes(), operation.as_bytes(), key]),
        )
    }

    /// Claims the key for a body, or tells what became of its first use. Of parallel calls one
    /// claims it. Where whoever claimed it before let his lease end without a reply, the work is
    /// taken over, with the same operation id.
    pub async fn claim(
        &self,
        key: Fingerprint,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Claim, IdempotencyError> {
        let body_hash = self.keyring.fingerprint(&[body]);
        let new = Operation::new(self.random.as_ref(), now)?;
        // A lease without end is none: it is of the version before this one, which has no leases.
        let claimed = sqlx::query_scalar!(
            "INSERT INTO idempotency_keys AS i
                 (fingerprint, body_hash, operation_id, lease_until, expires_at)
             VALUES ($1, $2, $5, $6, $3)
             ON CONFLICT (fingerprint) DO UPDATE SET
                 (body_hash, reply, operation_id, lease_until, expires_at) = (
                     SELECT excluded.body_hash, NULL::bytea,
                         CASE WHEN over THEN excluded.operation_id ELSE i.operation_id END,
                         excluded.lease_until,
                         CASE WHEN over THEN excluded.expires_at ELSE i.expires_at END
                     FROM (SELECT i.expires_at <= $4) AS state (over))
                 WHERE (i.expires_at <= $4
                         AND (i.reply IS NOT NULL OR i.lease_until <= $4
                             OR i.lease_until = 'infinity'))
                     OR (i.reply IS NULL AND i.lease_until <= $4
                         AND i.body_hash = excluded.body_hash)
             RETURNING operation_id",
            &key.0,
            &body_hash,
            now + KEPT_FOR,
            now,
            new.id,
            now + self.lease,
        )
        .fetch_optional(&self.pool)
        .await?;
        if let Some(id) = claimed {
            return Ok(Claim::Ours(Operation {
                id,
                repeated: id != new.id,
                kept: true,
            }));
        }
        let first = sqlx::query!(
            "SELECT body_hash, reply FROM idempotency_keys WHERE fingerprint = $1",
            &key.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(match first {
            Some(row) if row.body_hash != body_hash => Claim::Conflict,
            Some(row) => match row.reply {
                Some(sealed) => Claim::Done(self.open(key, &sealed)?),
                None => Claim::InProgress,
            },
            // Swept between the two statements; the caller may try again.
            None => Claim::InProgress,
        })
    }

    /// Keeps the reply of a claimed key, and returns the one that is kept: another's, if the lease
    /// ended and somebody else was faster. Tries again for a moment where the database is away; a
    /// reply that is not kept must not be given, since a repeat would get another one.
    pub async fn keep(
        &self,
        key: Fingerprint,
        operation: Operation,
        reply: &[u8],
    ) -> Result<Vec<u8>, IdempotencyError> {
        let sealed = self
            .keyring
            .seal(Purpose::Reply, &key.0, reply, self.random.as_ref())?;
        let mut pauses = KEEP_AGAIN_AFTER.into_iter();
        loop {
            match (self.keep_once(key, operation, &sealed).await, pauses.next()) {
                (Err(IdempotencyError::Store(StoreError::Unavailable(_))), Some(pause)) => {
                    sleep(pause).await;
                }
                (kept, _) => return Ok(kept?.unwrap_or_else(|| reply.to_vec())),
            }
        }
    }

    /// `None` if the key is not there any more.
    async fn keep_once(
        &self,
        key: Fingerprint,
        operation: Operation,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, IdempotencyError> {
        let kept = sqlx::query_scalar!(
            "UPDATE idempotency_keys SET reply = coalesce(reply, $2)
             WHERE fingerprint = $1 AND operation_id = $3
             RETURNING reply",
            &key.0,
            sealed,
            operation.id,
        )
        .fetch_optional(&self.pool)
        .await?;
        kept.flatten().map(|kept| self.open(key, &kept)).transpose()
    }

    /// Ends the lease of a claimed key without a reply: the same call may be made again at once.
    /// The operation keeps its id, in case more was done than could be told.
    pub async fn give_up(
        &self,
        key: Fingerprint,
        operation: Operation,
        now: DateTime<Utc>,
    ) -> Result<(), IdempotencyError> {
        sqlx::query!(
            "UPDATE idempotency_keys SET lease_until = $3
             WHERE fingerprint = $1 AND operation_id = $2 AND reply IS NULL",
            &key.0,
            operation.id,
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    fn open(&self, key: Fingerprint, sealed: &[u8]) -> Result<Vec<u8>, IdempotencyError> {
        Ok(self.keyring.open(Purpose::Reply, &key.0, sealed)?.to_vec())
    }
}
