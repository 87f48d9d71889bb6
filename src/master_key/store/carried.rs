//! The carried keys.

use sqlx::PgPool;

use crate::database::StoreError;
use crate::secrets::{KeyId, OpenError};

/// One of them.
pub(in crate::master_key) struct Stored {
    pub(in crate::master_key) name: String,
    pub(in crate::master_key) origin: KeyId,
    pub(in crate::master_key) sealed: Vec<u8>,
}

pub(in crate::master_key) async fn all(pool: &PgPool) -> Result<Vec<Stored>, StoreError> {
    let rows = sqlx::query!("SELECT name, origin, sealed FROM carried_keys")
        .fetch_all(pool)
        .await?;
    rows.into_iter()
        .map(|row| {
            let origin = KeyId::try_from(row.origin);
            Ok(Stored {
                name: row.name,
                origin: origin.map_err(|OpenError| StoreError::Corrupt("key id"))?,
                sealed: row.sealed,
            })
        })
        .collect()
}

/// Stores all of them, unless another replica was first.
pub(in crate::master_key) async fn store(
    pool: &PgPool,
    origin: KeyId,
    keys: &[(&'static str, Vec<u8>)],
) -> Result<(), StoreError> {
    let names: Vec<String> = keys.iter().map(|(name, _)| (*name).to_owned()).collect();
    let sealed: Vec<Vec<u8>> = keys.iter().map(|(_, sealed)| sealed.clone()).collect();
    sqlx::query!(
        "INSERT INTO carried_keys (name, origin, sealed)
         SELECT name, $1, sealed FROM unnest($2::text[], $3::bytea[]) AS new (name, sealed)
         ORDER BY name
         ON CONFLICT DO NOTHING",
        origin.as_bytes(),
        &names,
        &sealed,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A private signing key: what any database has that was ever served.
pub(in crate::master_key) async fn signing_key(
    pool: &PgPool,
) -> Result<Option<(String, Vec<u8>)>, StoreError> {
    let row = sqlx::query!("SELECT kid, private_sealed FROM signing_keys ORDER BY kid LIMIT 1")
        .fetch_optional(pool)
        .await?;
    Ok(row.map(|row| (row.kid, row.private_sealed)))
}
