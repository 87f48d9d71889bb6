//! Reads sealed values in the order of their tables' keys, and puts others in their place.
//!
//! A value is replaced only if it is still the one that was read: what a call wrote meanwhile stays. A row that
//! somebody has locked is left for the next time.

use std::borrow::Cow;

use sqlx::PgPool;
use sqlx::postgres::PgQueryResult;
use uuid::Uuid;

use crate::database::StoreError;
use crate::master_key::resealing::Column;

/// Rows of a batch: some milliseconds of work.
pub(in crate::master_key) const BATCH: i64 = 500;

/// A row that was read.
pub(in crate::master_key) struct Found {
    /// By which the table is ordered.
    pub(in crate::master_key) key: Vec<u8>,
    pub(in crate::master_key) binding: Option<Vec<u8>>,
    pub(in crate::master_key) sealed: Option<Vec<u8>>,
}

/// A value and what is to take its place.
pub(in crate::master_key) struct Change {
    pub(in crate::master_key) key: Vec<u8>,
    pub(in crate::master_key) before: Vec<u8>,
    pub(in crate::master_key) after: Vec<u8>,
}

/// The next rows after a key.
pub(in crate::master_key) async fn read(
    pool: &PgPool,
    column: Column,
    after: &[u8],
) -> Result<Vec<Found>, StoreError> {
    // Tables with an id of 16 bytes, and with a name.
    let id = Uuid::from_slice(after).unwrap_or(Uuid::nil());
    let name = String::from_utf8_lossy(after);
    let rows = match column {
        Column::AccessRules => sqlx::query_as!(
            Found,
            r#"SELECT uuid_send(id) AS "key!", value_key AS "binding?", value_sealed AS "sealed?"
                 FROM access_rules WHERE id > $1 ORDER BY id LIMIT $2"#,
            id,
            BATCH,
        )
        .fetch_all(pool)
        .await?,
        Column::CarriedKeys => {
            sqlx::query_as!(
                Found,
                r#"SELECT convert_to(name, 'UTF8') AS "key!", convert_to(name, 'UTF8') AS binding,
                    sealed AS "sealed?"
                 FROM carried_keys WHERE name > $1 ORDER BY name LIMIT $2"#,
                &*name,
                BATCH,
            )
            .fetch_all(pool)
            .await?
        }
        Column::CheckedCodes => {
            sqlx::query_as!(
                Found,
                r#"SELECT phone_index AS key, check_tag AS binding, check_sealed AS sealed
                 FROM phone_throttles WHERE phone_index > $1 ORDER BY phone_index LIMIT $2"#,
                after,
                BATCH,
            )
            .fetch_all(pool)
            .await?
        }
        Column::SupersededCodes => {
            sqlx::query_as!(
                Found,
                r#"SELECT phone_index AS key, superseded_check_tag AS binding,
                    superseded_check_sealed AS sealed
                 FROM phone_throttles WHERE phone_index > $1 ORDER BY phone_index LIMIT $2"#,
                after,
                BATCH,
            )
            .fetch_all(pool)
            .await?
        }
        Column::Sessions => {
            sqlx::query_as!(
                Found,
                r#"SELECT uuid_send(id) AS "key!", uuid_send(id) AS binding, seen_sealed AS sealed
                 FROM sessions WHERE id > $1 ORDER BY id LIMIT $2"#,
                id,
                BATCH,
            )
            .fetch_all(pool)
            .await?
        }
        Column::SigningKeys => {
            sqlx::query_as!(
                Found,
                r#"SELECT convert_to(kid, 'UTF8') AS "key!", convert_to(kid, 'UTF8') AS binding,
                    private_sealed AS "sealed?"
                 FROM signing_keys WHERE kid > $1 ORDER BY kid LIMIT $2"#,
                &*name,
                BATCH,
            )
            .fetch_all(pool)
            .await?
        }
        Column::Users => {
            sqlx::query_as!(
                Found,
                r#"SELECT phone_index AS key, phone_index AS "binding?", phone_sealed AS "sealed?"
                 FROM users WHERE phone_index > $1 ORDER BY phone_index LIMIT $2"#,
                after,
                BATCH,
            )
            .fetch_all(pool)
            .await?
        }
    };
    Ok(rows)
}

/// What takes the place of what, column by column.
#[derive(Default)]
struct Changes {
    keys: Vec<Vec<u8>>,
    before: Vec<Vec<u8>>,
    after: Vec<Vec<u8>>,
}

/// Replaces values; returns how many were still what they had been.
pub(in crate::master_key) async fn replace(
    pool: &PgPool,
    column: Column,
    changes: Vec<Change>,
) -> Result<u64, StoreError> {
    let mut all = Changes::default();
    for change in changes {
        all.keys.push(change.key);
        all.before.push(change.before);
        all.after.push(change.after);
    }
    let replaced = match column {
        Column::AccessRules => access_rules(pool, &all).await?,
        Column::CarriedKeys => carried_keys(pool, &all).await?,
        Column::CheckedCodes => checked_codes(pool, &all).await?,
        Column::SupersededCodes => superseded_codes(pool, &all).await?,
        Column::Sessions => sessions(pool, &all).await?,
        Column::SigningKeys => signing_keys(pool, &all).await?,
        Column::Users => users(pool, &all).await?,
    };
    Ok(replaced.rows_affected())
}

impl Changes {
    fn ids(&self) -> Vec<Uuid> {
        let ids = self.keys.iter().map(|key| Uuid::from_slice(key));
        ids.map(|id| id.unwrap_or(Uuid::nil())).collect()
    }

    fn names(&self) -> Vec<String> {
        let names = self.keys.iter().map(|key| String::from_utf8_lossy(key));
        names.map(Cow::into_owned).collect()
    }
}

async fn access_rules(pool: &PgPool, changes: &Changes) -> Result<PgQueryResult, sqlx::Error> {
    sqlx::query!(
                "WITH new AS (
                     SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS n (key, before, after)
                 ), old AS (
                     SELECT t.id FROM access_rules AS t JOIN new ON t.id = key
                     WHERE t.value_sealed = before FOR UPDATE OF t SKIP LOCKED
                 )
                 UPDATE access_rules AS t SET value_sealed = after
                 FROM old JOIN new ON old.id = key
                 WHERE t.id = old.id AND t.value_sealed = before",
                &changes.ids(),
                &changes.before,
                &changes.after,
            )
            .execute(pool)
            .await
}

async fn carried_keys(pool: &PgPool, changes: &Changes) -> Result<PgQueryResult, sqlx::Error> {
    sqlx::query!(
                "WITH new AS (
                     SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS n (key, before, after)
                 ), old AS (
                     SELECT t.name FROM carried_keys AS t JOIN new ON t.name = key
                     WHERE t.sealed = before FOR UPDATE OF t SKIP LOCKED
                 )
                 UPDATE carried_keys AS t SET sealed = after
                 FROM old JOIN new ON old.name = key
                 WHERE t.name = old.name AND t.sealed = before",
                &changes.names(),
                &changes.before,
                &changes.after,
            )
            .execute(pool)
            .await
}

async fn checked_codes(pool: &PgPool, changes: &Changes) -> Result<PgQueryResult, sqlx::Error> {
    sqlx::query!(
                "WITH new AS (
                     SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS n (key, before, after)
                 ), old AS (
                     SELECT t.phone_index FROM phone_throttles AS t JOIN new ON t.phone_index = key
                     WHERE t.check_sealed = before FOR UPDATE OF t SKIP LOCKED
                 )
                 UPDATE phone_throttles AS t SET check_sealed = after
                 FROM old JOIN new ON old.phone_index = key
                 WHERE t.phone_index = old.phone_index AND t.check_sealed = before",
                &changes.keys,
                &changes.before,
                &changes.after,
            )
            .execute(pool)
            .await
}

async fn superseded_codes(pool: &PgPool, changes: &Changes) -> Result<PgQueryResult, sqlx::Error> {
    sqlx::query!(
                "WITH new AS (
                     SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS n (key, before, after)
                 ), old AS (
                     SELECT t.phone_index FROM phone_throttles AS t JOIN new ON t.phone_index = key
                     WHERE t.superseded_check_sealed = before FOR UPDATE OF t SKIP LOCKED
                 )
                 UPDATE phone_throttles AS t SET superseded_check_sealed = after
                 FROM old JOIN new ON old.phone_index = key
                 WHERE t.phone_index = old.phone_index AND t.superseded_check_sealed = before",
                &changes.keys,
                &changes.before,
                &changes.after,
            )
            .execute(pool)
            .await
}

async fn sessions(pool: &PgPool, changes: &Changes) -> Result<PgQueryResult, sqlx::Error> {
    sqlx::query!(
                "WITH new AS (
                     SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS n (key, before, after)
                 ), old AS (
                     SELECT t.id FROM sessions AS t JOIN new ON t.id = key
                     WHERE t.seen_sealed = before FOR UPDATE OF t SKIP LOCKED
                 )
                 UPDATE sessions AS t SET seen_sealed = after
                 FROM old JOIN new ON old.id = key
                 WHERE t.id = old.id AND t.seen_sealed = before",
                &changes.ids(),
                &changes.before,
                &changes.after,
            )
            .execute(pool)
            .await
}

async fn signing_keys(pool: &PgPool, changes: &Changes) -> Result<PgQueryResult, sqlx::Error> {
    sqlx::query!(
                "WITH new AS (
                     SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS n (key, before, after)
                 ), old AS (
                     SELECT t.kid FROM signing_keys AS t JOIN new ON t.kid = key
                     WHERE t.private_sealed = before FOR UPDATE OF t SKIP LOCKED
                 )
                 UPDATE signing_keys AS t SET private_sealed = after
                 FROM old JOIN new ON old.kid = key
                 WHERE t.kid = old.kid AND t.private_sealed = before",
                &changes.names(),
                &changes.before,
                &changes.after,
            )
            .execute(pool)
            .await
}

async fn users(pool: &PgPool, changes: &Changes) -> Result<PgQueryResult, sqlx::Error> {
    sqlx::query!(
                "WITH new AS (
                     SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS n (key, before, after)
                 ), old AS (
                     SELECT t.phone_index FROM users AS t JOIN new ON t.phone_index = key
                     WHERE t.phone_sealed = before FOR UPDATE OF t SKIP LOCKED
                 )
                 UPDATE users AS t SET phone_sealed = after
                 FROM old JOIN new ON old.phone_index = key
                 WHERE t.phone_index = old.phone_index AND t.phone_sealed = before",
                &changes.keys,
                &changes.before,
                &changes.after,
            )
            .execute(pool)
            .await
}
