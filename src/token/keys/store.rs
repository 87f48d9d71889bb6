//! All SQL on `signing_keys`.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::keys::KeyError;
use crate::audit::{self, Action, Actor, Event, Outcome};
use crate::database::StoreError;
use crate::random::{self, Random};

/// Names the advisory lock under which a first key is made: "otpkeys" in ASCII.
const FIRST_KEY_LOCK: i64 = 0x006f_7470_6b65_7973;

pub(super) struct StoredKey {
    pub(super) kid: String,
    pub(super) private_sealed: Vec<u8>,
}

/// The stored key, or the one that `fresh` makes if there is none.
pub(super) async fn read_or_insert(
    pool: &PgPool,
    random: &dyn Random,
    now: DateTime<Utc>,
    fresh: impl FnOnce() -> Result<(String, Vec<u8>), KeyError>,
) -> Result<StoredKey, KeyError> {
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", FIRST_KEY_LOCK)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::from)?;
    let stored = sqlx::query_as!(
        StoredKey,
        "SELECT kid, private_sealed FROM signing_keys ORDER BY created_at DESC, kid LIMIT 1",
    )
    .fetch_optional(&mut *tx)
    .await
    .map_err(StoreError::from)?;
    if let Some(key) = stored {
        return Ok(key);
    }
    let (kid, private_sealed) = fresh()?;
    sqlx::query!(
        "INSERT INTO signing_keys (kid, algorithm, private_sealed, created_at)
         VALUES ($1, 'ES256', $2, $3)",
        kid,
        private_sealed,
        now,
    )
    .execute(&mut *tx)
    .await
    .map_err(StoreError::from)?;
    let id = random::uuid_v7(random, now).map_err(StoreError::from)?;
    let event = Event::new(Action::SigningKeyCreate, Outcome::Success, Actor::Service)
        .with("kid", kid.as_str());
    audit::store::insert(&mut *tx, id, now, &event).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(StoredKey {
        kid,
        private_sealed,
    })
}
