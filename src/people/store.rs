//! The statements of this module. `phone_throttles` is locked before any other row, as everywhere.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::Standing;
use crate::audit::{self, Event};
use crate::database::{self, StoreError};
use crate::secrets::PhoneIndex;

pub(super) async fn standing(
    pool: &PgPool,
    phone: PhoneIndex,
    stop_at: i32,
    now: DateTime<Utc>,
) -> Result<Standing, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT u.id AS "user?",
            CASE WHEN p.locked_until > $2 THEN p.locked_until END AS locked_until,
            coalesce(p.failures_in_row, 0) AS "failures_in_row!",
            (SELECT count(*) FROM unnest(p.send_log) AS s
             WHERE s > $2 - interval '24 hours')::int AS "sends!"
        FROM (SELECT $1::bytea AS phone_index) AS asked
            LEFT JOIN phone_throttles AS p USING (phone_index)
            LEFT JOIN users AS u USING (phone_index)
        "#,
        phone.as_bytes(),
        now,
    )
    .fetch_one(pool)
    .await?;
    Ok(Standing {
        phone,
        user: row.user,
        locked_until: row.locked_until,
        failures_in_row: row.failures_in_row,
        is_stopped: row.failures_in_row >= stop_at,
        sends_in_24_hours: row.sends,
    })
}

pub(super) async fn unlock(
    pool: &PgPool,
    phone: PhoneIndex,
    id: Uuid,
    mut event: Event,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut tx = database::begin(pool).await?;
    sqlx::query!(
        "UPDATE phone_throttles SET failure_log = '{}', known_failure_log = '{}',
             failures_in_row = 0, known_failures_in_row = 0, locks = 0, locked_until = NULL
         WHERE phone_index = $1",
        phone.as_bytes(),
    )
    .execute(&mut *tx)
    .await?;
    event.user = sqlx::query_scalar!(
        "SELECT id FROM users WHERE phone_index = $1",
        phone.as_bytes(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    audit::store::insert(&mut *tx, id, now, &event).await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn erase(
    pool: &PgPool,
    user: Uuid,
    id: Uuid,
    event: &Event,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let mut tx = database::begin(pool).await?;
    let phone = sqlx::query_scalar!("SELECT phone_index FROM users WHERE id = $1", user)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(phone) = phone else {
        return Ok(false);
    };
    // Under this row's lock nobody can store a request or make a session for the phone.
    sqlx::query!(
        "UPDATE phone_throttles SET live_request_id = NULL, live_sends = 0, live_attempts = 0,
             superseded_request_id = NULL, superseded_sends = 0, superseded_attempts = 0,
             superseded_check_tag = NULL, superseded_check_sealed = NULL,
             check_id = NULL, check_until = NULL, check_tag = NULL, check_sealed = NULL
         WHERE phone_index = $1",
        phone,
    )
    .execute(&mut *tx)
    .await?;
    end_sessions(&mut tx, user, now).await?;
    let erased = sqlx::query!("DELETE FROM users WHERE id = $1", user)
        .execute(&mut *tx)
        .await?;
    if erased.rows_affected() == 0 {
        // Somebody else erased the user while this call waited for the lock. A phone that logged in
        // again since keeps its new user, and its code: dropping the transaction undoes the above.
        return Ok(false);
    }
    sqlx::query!("DELETE FROM otp_requests WHERE phone_index = $1", phone)
        .execute(&mut *tx)
        .await?;
    audit::store::insert(&mut *tx, id, now, event).await?;
    tx.commit().await?;
    Ok(true)
}

/// Ends what is about to be deleted, so that tokens of it that still live are refused; of a user who is
/// erased the feed says so as well.
async fn end_sessions(
    tx: &mut Transaction<'static, Postgres>,
    user: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        WITH locked AS (
            -- In one order, as whoever else ends them.
            SELECT id FROM sessions WHERE user_id = $1 ORDER BY id FOR UPDATE
        ), ended AS (
            UPDATE sessions SET ended_at = $2, ended_by = 'erased'
            WHERE ended_at IS NULL AND id IN (SELECT id FROM locked)
            RETURNING tokens_end(token_kids, created_at) AS until
        )
        SELECT revoke_tokens(NULL, $1, $2, coalesce(max(until), $2)) AS "told: ()" FROM ended
        "#,
        user,
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
