//! Under which master keys rows may be sealed.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::database::StoreError;
use crate::secrets::{KeyId, OpenError};

pub(in crate::master_key) async fn all(pool: &PgPool) -> Result<Vec<KeyId>, StoreError> {
    let ids = sqlx::query_scalar!("SELECT key_id FROM master_keys")
        .fetch_all(pool)
        .await?;
    ids.into_iter()
        .map(|id| KeyId::try_from(id).map_err(|OpenError| StoreError::Corrupt("key id")))
        .collect()
}

pub(in crate::master_key) async fn note(
    pool: &PgPool,
    id: KeyId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO master_keys (key_id, used_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        id.as_bytes(),
        now,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets keys under which no row is sealed.
pub(in crate::master_key) async fn forget(pool: &PgPool, ids: &[KeyId]) -> Result<(), StoreError> {
    let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
    sqlx::query!("DELETE FROM master_keys WHERE key_id = ANY($1)", &ids)
        .execute(pool)
        .await?;
    Ok(())
}
