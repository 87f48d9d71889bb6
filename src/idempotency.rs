//! Replies kept for a repeated `Idempotency-Key` (IETF draft-ietf-httpapi-idempotency-key-header).
//!
//! Per client and operation: the same key with the same body gets the first reply again, byte for
//! byte, and the work is done once. Neither key nor body is stored, only keyed hashes of them; the
//! kept reply is sealed.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use crate::database::StoreError;
use crate::random::Random;
use crate::secrets::{Keyring, OpenError, Purpose, SealError};

/// How long a reply is kept: long enough for any sane client's retries, and far longer than a
/// code lives.
pub const KEPT_FOR: TimeDelta = TimeDelta::minutes(15);

/// A caller's key, bound to who used it for what.
#[derive(Clone, Copy)]
pub struct Fingerprint([u8; 32]);

/// What a key was found to be.
pub enum Claim {
    /// New: do the work, then [`Idempotency::keep`] or [`Idempotency::release`].
    Ours,
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
    /// claims it.
    pub async fn claim(
        &self,
        key: Fingerprint,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Claim, IdempotencyError> {
        let body_hash = self.keyring.fingerprint(&[body]);
        let claimed = sqlx::query_scalar!(
            r#"
            INSERT INTO idempotency_keys AS i (fingerprint, body_hash, expires_at)
            VALUES ($1, $2, $3)
            ON CONFLICT (fingerprint) DO UPDATE
                SET body_hash = excluded.body_hash, reply = NULL, expires_at = excluded.expires_at
                WHERE i.expires_at <= $4
            RETURNING true AS "claimed!"
            "#,
            &key.0,
            &body_hash,
            now + KEPT_FOR,
            now,
        )
        .fetch_optional(&self.pool)
        .await?;
        if claimed.is_some() {
            return Ok(Claim::Ours);
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
                Some(sealed) => {
                    Claim::Done(self.keyring.open(Purpose::Reply, &key.0, &sealed)?.to_vec())
                }
                None => Claim::InProgress,
            },
            // Released between the two statements: its owner is done, the caller may try again.
            None => Claim::InProgress,
        })
    }

    /// Keeps the reply of a claimed key.
    pub async fn keep(&self, key: Fingerprint, reply: &[u8]) -> Result<(), IdempotencyError> {
        let sealed = self
            .keyring
            .seal(Purpose::Reply, &key.0, reply, self.random.as_ref())?;
        sqlx::query!(
            "UPDATE idempotency_keys SET reply = $2 WHERE fingerprint = $1",
            &key.0,
            sealed,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives a claimed key back: nothing was done, so the same call may be made again.
    pub async fn release(&self, key: Fingerprint) -> Result<(), IdempotencyError> {
        sqlx::query!(
            "DELETE FROM idempotency_keys WHERE fingerprint = $1",
            &key.0
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
