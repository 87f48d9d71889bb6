//! How many rows are sealed under which master key. Every sealed column there is is named here, once.

use std::collections::BTreeMap;
use std::fmt;

use sqlx::PgPool;

use crate::database::{self, StoreError};
use crate::secrets::KeyId;

/// Longest time, in milliseconds, that counting may take: it reads whole tables.
const PATIENCE: &str = "600000";

/// Rows by table; no table without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left(BTreeMap<String, u64>);

impl Left {
    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows of a table.
    pub fn of(&self, table: &str) -> u64 {
        self.0.get(table).copied().unwrap_or(0)
    }

    /// So many rows of a table less. Only a count says that there is none: others may have come meanwhile.
    pub(in crate::master_key) fn less(&mut self, table: &str, rows: u64) {
        if let Some(left) = self.0.get_mut(table) {
            *left = left.saturating_sub(rows).max(1);
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables = self.0.iter();
        let texts: Vec<String> = tables
            .map(|(name, rows)| format!("{rows} in {name}"))
            .collect();
        f.write_str(&texts.join(", "))
    }
}

/// The rows under these keys.
pub(in crate::master_key) async fn rows_under(
    pool: &PgPool,
    keys: &[KeyId],
) -> Result<Left, StoreError> {
    count(pool, keys, true).await
}

/// The rows under any other key than this one.
pub(in crate::master_key) async fn rows_under_others(
    pool: &PgPool,
    key: KeyId,
) -> Result<Left, StoreError> {
    count(pool, &[key], false).await
}

async fn count(pool: &PgPool, keys: &[KeyId], are_theirs: bool) -> Result<Left, StoreError> {
    let keys: Vec<Vec<u8>> = keys.iter().map(|id| id.as_bytes().to_vec()).collect();
    let mut tx = database::begin(pool).await?;
    sqlx::query!("SELECT set_config('statement_timeout', $1, true)", PATIENCE)
        .fetch_one(&mut *tx)
        .await?;
    // The second to fifth byte of a sealed value name the key (`secrets/sealed.rs`).
    let rows = sqlx::query!(
        r#"
        SELECT name AS "name!", count(*) AS "rows!" FROM (
            SELECT 'access_rules' AS name, value_sealed AS sealed FROM access_rules
            UNION ALL SELECT 'carried_keys', sealed FROM carried_keys
            UNION ALL SELECT 'idempotency_keys', reply FROM idempotency_keys
            UNION ALL SELECT 'otp_requests', phone_sealed FROM otp_requests
            UNION ALL SELECT 'phone_throttles', check_sealed FROM phone_throttles
            UNION ALL SELECT 'phone_throttles', superseded_check_sealed FROM phone_throttles
            UNION ALL SELECT 'sessions', seen_sealed FROM sessions
            UNION ALL SELECT 'signing_keys', private_sealed FROM signing_keys
            UNION ALL SELECT 'spent_refresh_tokens', successor_sealed FROM spent_refresh_tokens
            UNION ALL SELECT 'users', phone_sealed FROM users
        ) AS stored
        WHERE sealed IS NOT NULL AND (substring(sealed FROM 2 FOR 4) = ANY($1)) = $2
        GROUP BY name
        "#,
        &keys,
        are_theirs,
    );
    let rows = rows.fetch_all(&mut *tx).await?;
    tx.commit().await?;
    let counted = rows
        .into_iter()
        .map(|row| (row.name, u64::try_from(row.rows).unwrap_or(0)));
    Ok(Left(counted.collect()))
}
