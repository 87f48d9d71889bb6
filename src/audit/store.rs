//! All SQL on `audit_events`.
//!
//! Every statement names bounds of `at`, so that PostgreSQL leaves out the partitions of other
//! months.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::{Action, Event, Filter, Outcome, Place};
use crate::database::{self, StoreError};
use crate::limit::per_address::AddressKey;
use crate::secrets::PhoneIndex;

/// An event as it was written. Names are texts: they may be those of another version.
#[derive(Clone)]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// Why it ended so.
    pub reason: Option<String>,
    /// Who did it.
    pub actor: String,
    /// Whose phone it is about (keyed hash).
    pub phone_index: Option<Vec<u8>>,
    /// Where the call came from (keyed hash).
    pub address_key: Option<Vec<u8>>,
    /// The user it is about.
    pub user_id: Option<Uuid>,
    /// The request for a code.
    pub request_id: Option<Uuid>,
    /// The session.
    pub session_id: Option<Uuid>,
    /// The call's `X-Request-Id`.
    pub trace_id: Option<String>,
    /// Further facts.
    pub detail: Value,
}

/// Builds an [`Entry`] from a row; a macro because every checked query has a row type of its own.
macro_rules! entry {
    ($row:ident) => {{
        Ok(Entry {
            detail: serde_json::from_str(&$row.detail)
                .map_err(|_: serde_json::Error| StoreError::Corrupt("audit detail"))?,
            id: $row.id,
            at: $row.at,
            action: $row.action,
            outcome: $row.outcome,
            reason: $row.reason,
            actor: $row.actor,
            phone_index: $row.phone_index,
            address_key: $row.address_key,
            user_id: $row.user_id,
            request_id: $row.request_id,
            session_id: $row.session_id,
            trace_id: $row.trace_id,
        })
    }};
}

/// Writes an event, and tells the log of it. `id` must be a `UUIDv7` of `at`, and `at` in whole milliseconds
/// ([`crate::random::uuid_v7`] of [`crate::clock::Clock::now`]), or nobody finds it by its id.
pub async fn insert(
    executor: impl PgExecutor<'_>,
    id: Uuid,
    at: DateTime<Utc>,
    event: &Event,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_events (id, at, action, outcome, reason, actor, phone_index,
             address_key, user_id, request_id, session_id, trace_id, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::text::jsonb)",
        id,
        at,
        event.action.name(),
        event.outcome.name(),
        event.reason,
        event.actor.to_string(),
        event.phone.as_ref().map(PhoneIndex::as_bytes),
        event.address.as_ref().map(AddressKey::as_bytes),
        event.user,
        event.request,
        event.session,
        event.trace_id,
        Value::from(event.detail.clone()).to_string(),
    )
    .execute(executor)
    .await?;
    event.log(Some(id), at);
    Ok(())
}

pub(super) async fn newest(
    pool: &PgPool,
    filter: &Filter,
    most: i64,
) -> Result<Vec<Entry>, StoreError> {
    let end = filter.end();
    let mut tx = database::begin(pool).await?;
    // Planned for what is asked for, not for whatever may be: then it would read all of the time.
    sqlx::query!("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
        .fetch_one(&mut *tx)
        .await?;
    let rows = sqlx::query!(
        r#"
        SELECT id, at, action, outcome, reason, actor, phone_index, address_key, user_id,
            request_id, session_id, trace_id, detail::text AS "detail!"
        FROM audit_events
        WHERE at >= $1 AND at <= $2 AND (at, id) < ($2, $3)
            AND ($4::text IS NULL OR action = $4)
            AND ($5::text IS NULL OR outcome = $5)
            AND ($6::text IS NULL OR actor = $6)
            AND ($7::text IS NULL OR reason = $7)
            AND ($8::uuid IS NULL OR user_id = $8)
            AND ($9::bytea IS NULL OR phone_index = $9)
            AND ($10::uuid IS NULL OR request_id = $10)
        ORDER BY at DESC, id DESC
        LIMIT $11
        "#,
        filter.first(),
        end.at,
        end.id,
        filter.action.map(Action::name),
        filter.outcome.map(Outcome::name),
        filter.actor.as_ref().map(ToString::to_string),
        filter.reason,
        filter.user,
        filter.phone.as_ref().map(PhoneIndex::as_bytes),
        filter.request,
        most,
    )
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter().map(|row| entry!(row)).collect()
}

pub(super) async fn oldest(
    pool: &PgPool,
    after: Place,
    until: DateTime<Utc>,
    most: i64,
) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT id, at, action, outcome, reason, actor, phone_index, address_key, user_id,
            request_id, session_id, trace_id, detail::text AS "detail!"
        FROM audit_events
        WHERE at >= $1 AND (at, id) > ($1, $2) AND at < $3
        ORDER BY at, id
        LIMIT $4
        "#,
        after.at,
        after.id,
        until,
        most,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| entry!(row)).collect()
}

pub(super) async fn decision(pool: &PgPool, place: Place) -> Result<Option<Entry>, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT id, at, action, outcome, reason, actor, phone_index, address_key, user_id,
            request_id, session_id, trace_id, detail::text AS "detail!"
        FROM audit_events
        WHERE at = $1 AND id = $2 AND action IN ('otp.send', 'otp.resend')
            AND outcome IN ('refused', 'recorded')
        "#,
        place.at,
        place.id,
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| entry!(row)).transpose()
}
