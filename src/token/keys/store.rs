//! All SQL on `signing_keys` and `verifier_sightings`, and what sessions tell of a key's tokens.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::schedule::{KeyRecord, State};
use super::{Losses, LostSession, Sighting, SigningAlgorithm};
use crate::audit::{self, Event};
use crate::database::{self, StoreError};

/// Names the advisory lock under which keys are changed: "otpkeys" in ASCII.
const LOCK: i64 = 0x006f_7470_6b65_7973;
/// Longest time, in milliseconds, that an operator's question about sessions may run: it reads every
/// session there is, which the limit for calls of users may not suffice for.
const PATIENCE: &str = "60000";

/// A key with its private half.
pub(super) struct SealedKey {
    pub(super) kid: String,
    pub(super) algorithm: String,
    pub(super) private_sealed: Vec<u8>,
}

/// A key about to be stored.
pub(super) struct NewKey {
    pub(super) kid: String,
    pub(super) algorithm: SigningAlgorithm,
    pub(super) sealed: Vec<u8>,
}

/// Where a new key begins.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// It signs at once.
    Active,
    /// It signs later.
    Next { promote_at: DateTime<Utc> },
}

/// Builds a [`KeyRecord`] from a row; a macro because every checked query has a row type of its own.
macro_rules! record {
    ($row:ident) => {
        Ok(KeyRecord {
            algorithm: SigningAlgorithm::parse(&$row.algorithm)
                .ok_or(StoreError::Corrupt("algorithm"))?,
            state: State::parse(&$row.state).ok_or(StoreError::Corrupt("state"))?,
            kid: $row.kid,
            created_at: $row.created_at,
            promote_at: $row.promote_at,
            active_at: $row.active_at,
            retired_at: $row.retired_at,
            gone_at: $row.gone_at,
        })
    };
}

/// Every key, in the order of the JWKS: active, next, retiring; of those the latest first.
pub(super) async fn keys(pool: &PgPool) -> Result<Vec<KeyRecord>, StoreError> {
    let mut connection = pool.acquire().await?;
    read_keys(&mut connection).await
}

async fn read_keys(connection: &mut sqlx::PgConnection) -> Result<Vec<KeyRecord>, StoreError> {
    let rows = sqlx::query!(
        "SELECT kid, algorithm, state, created_at, promote_at, active_at, retired_at, gone_at
         FROM signing_keys
         ORDER BY array_position(ARRAY['active', 'next', 'retiring'], state), retired_at DESC, kid",
    );
    let rows = rows.fetch_all(connection).await?;
    rows.into_iter().map(|row| record!(row)).collect()
}

/// The private halves.
pub(super) async fn sealed(pool: &PgPool) -> Result<Vec<SealedKey>, StoreError> {
    let rows = sqlx::query_as!(
        SealedKey,
        "SELECT kid, algorithm, private_sealed FROM signing_keys"
    );
    Ok(rows.fetch_all(pool).await?)
}

/// Who has seen which key.
pub(super) async fn sightings(pool: &PgPool) -> Result<Vec<Sighting>, StoreError> {
    let rows = sqlx::query_as!(
        Sighting,
        "SELECT verifier, kid, first_seen_at, last_seen_at FROM verifier_sightings
         ORDER BY kid, verifier",
    );
    Ok(rows.fetch_all(pool).await?)
}

/// Who has seen the next key.
pub(super) async fn seen_next(pool: &PgPool) -> Result<BTreeSet<String>, StoreError> {
    let mut connection = pool.acquire().await?;
    read_seen_next(&mut connection).await
}

async fn read_seen_next(
    connection: &mut sqlx::PgConnection,
) -> Result<BTreeSet<String>, StoreError> {
    let names = sqlx::query_scalar!(
        "SELECT verifier FROM verifier_sightings JOIN signing_keys USING (kid) WHERE state = 'next'",
    );
    Ok(names.fetch_all(connection).await?.into_iter().collect())
}

/// Notes who has seen what; a key that is gone meanwhile is left out.
pub(super) async fn note(pool: &PgPool, seen: &[Sighting]) -> Result<(), StoreError> {
    let verifiers: Vec<String> = seen.iter().map(|s| s.verifier.clone()).collect();
    let kids: Vec<String> = seen.iter().map(|s| s.kid.clone()).collect();
    let firsts: Vec<DateTime<Utc>> = seen.iter().map(|s| s.first_seen_at).collect();
    let lasts: Vec<DateTime<Utc>> = seen.iter().map(|s| s.last_seen_at).collect();
    sqlx::query!(
        "INSERT INTO verifier_sightings AS old (verifier, kid, first_seen_at, last_seen_at)
         SELECT new.verifier, kid, new.first_seen_at, new.last_seen_at
         FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
            AS new (verifier, kid, first_seen_at, last_seen_at)
         JOIN signing_keys USING (kid)
         ORDER BY 1, 2
         FOR KEY SHARE OF signing_keys
         ON CONFLICT (verifier, kid) DO UPDATE SET
            first_seen_at = least(old.first_seen_at, excluded.first_seen_at),
            last_seen_at = greatest(old.last_seen_at, excluded.last_seen_at)",
        &verifiers,
        &kids,
        &firsts,
        &lasts,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// How many live tokens of a key each client has, as far as sessions tell.
pub(super) async fn losses(
    pool: &PgPool,
    kid: &str,
    now: DateTime<Utc>,
) -> Result<Vec<Losses>, StoreError> {
    let mut tx = patient(pool).await?;
    let rows = sqlx::query_as!(
        Losses,
        r#"SELECT client_id, count(*) AS "sessions!", count(DISTINCT user_id) AS "users!",
            to_timestamp(max((token_kids ->> $1)::bigint)) AS "latest_expiry!"
         FROM sessions WHERE (token_kids ->> $1)::bigint > $2
         GROUP BY client_id ORDER BY client_id"#,
        kid,
        now.timestamp(),
    );
    Ok(rows.fetch_all(&mut *tx).await?)
}

/// The sessions with a live token of a key, by id, from the one after `after` on.
pub(super) async fn lost_sessions(
    pool: &PgPool,
    kid: &str,
    now: DateTime<Utc>,
    after: Option<Uuid>,
    most: i64,
) -> Result<Vec<LostSession>, StoreError> {
    let mut tx = patient(pool).await?;
    let rows = sqlx::query_as!(
        LostSession,
        r#"SELECT user_id, id AS session_id, client_id,
            to_timestamp((token_kids ->> $1)::bigint) AS "expires_at!"
         FROM sessions
         WHERE (token_kids ->> $1)::bigint > $2 AND id > $3
         ORDER BY id LIMIT $4"#,
        kid,
        now.timestamp(),
        // No session's id is nil.
        after.unwrap_or_default(),
        most,
    );
    Ok(rows.fetch_all(&mut *tx).await?)
}

async fn patient(pool: &PgPool) -> Result<Transaction<'static, Postgres>, StoreError> {
    let mut tx = database::begin(pool).await?;
    sqlx::query!("SELECT set_config('statement_timeout', $1, true)", PATIENCE,)
        .fetch_one(&mut *tx)
        .await?;
    Ok(tx)
}

/// A change of the keys: nobody else makes one until it is committed or dropped.
pub(super) struct Locked(Transaction<'static, Postgres>);

impl Locked {
    pub(super) async fn begin(pool: &PgPool) -> Result<Self, StoreError> {
        let mut tx = database::begin(pool).await?;
        sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK)
            .execute(&mut *tx)
            .await?;
        Ok(Self(tx))
    }

    pub(super) async fn keys(&mut self) -> Result<Vec<KeyRecord>, StoreError> {
        read_keys(&mut self.0).await
    }

    pub(super) async fn seen_next(&mut self) -> Result<BTreeSet<String>, StoreError> {
        read_seen_next(&mut self.0).await
    }

    pub(super) async fn insert(
        &mut self,
        key: &NewKey,
        place: Place,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (state, promote_at, active_at) = match place {
            Place::Active => (State::Active, None, Some(now)),
            Place::Next { promote_at } => (State::Next, Some(promote_at), None),
        };
        sqlx::query!(
            "INSERT INTO signing_keys
                (kid, algorithm, private_sealed, created_at, state, promote_at, active_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            key.kid,
            key.algorithm.name(),
            key.sealed,
            now,
            state.name(),
            promote_at,
            active_at,
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    pub(super) async fn retire(
        &mut self,
        kid: &str,
        now: DateTime<Utc>,
        gone_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE signing_keys SET state = 'retiring', retired_at = $2, gone_at = $3
             WHERE kid = $1",
            kid,
            now,
            gone_at,
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    pub(super) async fn activate(
        &mut self,
        kid: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE signing_keys SET state = 'active', promote_at = NULL, active_at = $2
             WHERE kid = $1",
            kid,
            now,
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    pub(super) async fn schedule(
        &mut self,
        kid: &str,
        promote_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE signing_keys SET promote_at = $2 WHERE kid = $1",
            kid,
            promote_at,
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    pub(super) async fn delete(&mut self, kid: &str) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM signing_keys WHERE kid = $1", kid)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    pub(super) async fn record(
        &mut self,
        id: Uuid,
        now: DateTime<Utc>,
        event: &Event,
    ) -> Result<(), StoreError> {
        audit::store::insert(&mut *self.0, id, now, event).await
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }
}
