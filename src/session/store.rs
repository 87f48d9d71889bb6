//! The SQL on `sessions` and `spent_refresh_tokens`, beside that of a login (`sign_in/store/`).

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::{Ending, Whose};
use crate::audit::{self, Action, Event, Outcome};
use crate::client::Client;
use crate::database::StoreError;
use crate::secrets::{OpenError, PhoneIndex};
use crate::token::grant::Wanted;
use crate::token::issuer::Draft;
use crate::token::refresh::RefreshHash;

/// A session that lives, with its user's number.
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) client_id: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) refresh_expires_at: Option<DateTime<Utc>>,
    pub(super) amr: Vec<String>,
    pub(super) audience: Option<Vec<String>>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) phone_index: Vec<u8>,
    pub(super) phone_sealed: Vec<u8>,
}

impl Row {
    /// What the session was begun with.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            audience: self.audience.clone(),
            scopes: self.scopes.clone(),
        }
    }
}

/// A session as it is listed.
pub(super) struct ListedRow {
    pub(super) id: Uuid,
    pub(super) client_id: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) last_used_at: DateTime<Utc>,
    pub(super) ends_at: DateTime<Utc>,
    pub(super) seen_sealed: Option<Vec<u8>>,
}

/// A refresh token is shown for its session.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The session that it names.
    pub(super) session: Uuid,
    /// Who shows it.
    pub(super) client: &'a Client,
    /// What it is found by.
    pub(super) presented: RefreshHash,
    /// How long a used one still gets its successor.
    pub(super) grace: TimeDelta,
    /// The access token that it is shown for.
    pub(super) draft: &'a Draft,
    /// When.
    pub(super) now: DateTime<Utc>,
}

/// Replaces the current refresh token of a session that lives; `None` if it is not the current one, or
/// nothing of its session is left for this client.
pub(super) async fn rotate(
    pool: &PgPool,
    turn: Turn<'_>,
    next: RefreshHash,
    next_sealed: &[u8],
) -> Result<Option<Row>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"
        WITH rotated AS (
            UPDATE sessions AS s SET
                refresh_hash = $4, last_used_at = $5,
                refresh_expires_at = least($6, s.expires_at),
                token_kids = token_kids_with(s.token_kids, $7, least($8, s.expires_at), $5)
            FROM users AS u
            WHERE s.id = $1 AND s.client_id = $2 AND s.refresh_hash = $3 AND u.id = s.user_id
                AND s.ended_at IS NULL AND s.expires_at > $5 AND s.refresh_expires_at > $5
                AND (s.audience IS NULL OR s.audience && $9)
            RETURNING s.id, s.user_id, s.client_id, s.created_at, s.expires_at,
                s.refresh_expires_at, s.amr, s.audience, s.scopes, u.phone_index, u.phone_sealed
        ), forgotten AS (
            DELETE FROM spent_refresh_tokens AS p USING rotated
            WHERE p.session_id = rotated.id AND p.spent_at <= $10
        ), spent AS (
            INSERT INTO spent_refresh_tokens (token_hash, session_id, spent_at, successor_sealed)
            SELECT $3, id, $5, $11 FROM rotated
        )
        SELECT id AS "id!", user_id AS "user_id!", client_id AS "client_id!",
            created_at AS "created_at!", expires_at AS "expires_at!",
            refresh_expires_at, amr AS "amr!", audience, scopes, phone_index AS "phone_index!",
            phone_sealed AS "phone_sealed!"
        FROM rotated
        "#,
        turn.session,
        turn.client.id.as_str(),
        turn.presented.as_bytes(),
        next.as_bytes(),
        turn.now,
        turn.now + turn.client.refresh.idle,
        turn.draft.kid(),
        turn.draft.expires_at(),
        &turn.client.audience,
        turn.now - turn.grace,
        next_sealed,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row)
}

/// What replaced a token that was used within the grace, sealed for whoever shows that token, and the
/// hash of the one that is current.
pub(super) async fn replay(
    pool: &PgPool,
    turn: Turn<'_>,
) -> Result<Option<(Row, Vec<u8>, RefreshHash)>, StoreError> {
    let row = sqlx::query!(
        r#"
        UPDATE sessions AS s SET last_used_at = $4,
            token_kids = token_kids_with(s.token_kids, $6, least($7, s.expires_at), $4)
        FROM users AS u, spent_refresh_tokens AS p
        WHERE s.id = $1 AND s.client_id = $2 AND u.id = s.user_id
            AND p.token_hash = $3 AND p.session_id = s.id AND p.spent_at > $5
            AND s.ended_at IS NULL AND s.expires_at > $4 AND s.refresh_expires_at > $4
            AND (s.audience IS NULL OR s.audience && $8)
        RETURNING p.successor_sealed, s.refresh_hash AS "current!", s.id, s.user_id, s.client_id,
            s.created_at, s.expires_at, s.refresh_expires_at, s.amr, s.audience, s.scopes,
            u.phone_index, u.phone_sealed
        "#,
        turn.session,
        turn.client.id.as_str(),
        turn.presented.as_bytes(),
        turn.now,
        turn.now - turn.grace,
        turn.draft.kid(),
        turn.draft.expires_at(),
        &turn.client.audience,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let current = hash(row.current)?;
    let live = Row {
        id: row.id,
        user_id: row.user_id,
        client_id: row.client_id,
        created_at: row.created_at,
        expires_at: row.expires_at,
        refresh_expires_at: row.refresh_expires_at,
        amr: row.amr,
        audience: row.audience,
        scopes: row.scopes,
        phone_index: row.phone_index,
        phone_sealed: row.phone_sealed,
    };
    Ok(Some((live, row.successor_sealed, current)))
}

/// The hash of a session's refresh token.
pub(super) async fn current(
    pool: &PgPool,
    session: Uuid,
) -> Result<Option<RefreshHash>, StoreError> {
    let hash = sqlx::query_scalar!("SELECT refresh_hash FROM sessions WHERE id = $1", session)
        .fetch_optional(pool)
        .await?;
    hash.flatten().map(self::hash).transpose()
}

fn hash(bytes: Vec<u8>) -> Result<RefreshHash, StoreError> {
    RefreshHash::try_from(bytes).map_err(|OpenError| StoreError::Corrupt("refresh hash"))
}

/// A session that lives.
pub(super) async fn find(
    pool: &PgPool,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Row>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT s.id, s.user_id, s.client_id, s.created_at, s.expires_at, s.refresh_expires_at,
            s.amr, s.audience, s.scopes, u.phone_index, u.phone_sealed
         FROM sessions AS s JOIN users AS u ON u.id = s.user_id
         WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > $2",
        id,
        now,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row)
}

/// A user's sessions that live, the one that was used last first.
pub(super) async fn list(
    pool: &PgPool,
    user: Uuid,
    now: DateTime<Utc>,
) -> Result<Vec<ListedRow>, StoreError> {
    let rows = sqlx::query_as!(
        ListedRow,
        r#"
        SELECT id, client_id, created_at, last_used_at, seen_sealed,
            coalesce(refresh_expires_at, expires_at) AS "ends_at!"
        FROM sessions
        WHERE user_id = $1 AND ended_at IS NULL AND coalesce(refresh_expires_at, expires_at) > $2
        ORDER BY last_used_at DESC, id
        "#,
        user,
        now,
    );
    Ok(rows.fetch_all(pool).await?)
}

/// Ends sessions and tells the audit log of it, in one event; how many there were.
pub async fn end(
    tx: &mut Transaction<'static, Postgres>,
    whose: Whose<'_>,
    ending: &Ending<'_>,
    event: Uuid,
) -> Result<usize, StoreError> {
    let ended = match whose {
        Whose::Robbed(turn) => end_robbed(tx, turn, ending).await?,
        Whose::Session(_)
        | Whose::OneOf(..)
        | Whose::OfClient(..)
        | Whose::User(_)
        | Whose::Phone(_) => end_named(tx, whose, ending).await?,
    };
    let Some((session, user)) = ended.first().copied() else {
        return Ok(0);
    };
    let mut told = Event::new(Action::SessionEnd, Outcome::Success, ending.actor.clone())
        .reason(ending.reason.name())
        .user(user)
        .trace(ending.trace_id);
    told.address = ending.address;
    told = if ended.len() == 1 {
        told.session(session)
    } else {
        let ids = ended.iter().map(|(id, _)| id.to_string());
        told.with("sessions", ids.collect::<Vec<_>>())
    };
    audit::store::insert(&mut **tx, event, ending.now, &told).await?;
    Ok(ended.len())
}

async fn end_named(
    tx: &mut Transaction<'static, Postgres>,
    whose: Whose<'_>,
    ending: &Ending<'_>,
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let (session, user, phone, client) = match whose {
        Whose::Session(id) => (Some(id), None, None, None),
        Whose::OneOf(id, user) => (Some(id), Some(user), None, None),
        Whose::OfClient(id, client) => (Some(id), None, None, Some(client.id.as_str())),
        Whose::User(user) => (None, Some(user), None, None),
        Whose::Phone(phone) => (None, None, Some(phone), None),
        Whose::Robbed(turn) => (Some(turn.session), None, None, None),
    };
    let ended = sqlx::query!(
        "WITH named AS (
            SELECT id FROM sessions WHERE id = $1 AND ($2::uuid IS NULL OR user_id = $2)
                AND ($6::text IS NULL OR client_id = $6)
            UNION ALL SELECT id FROM sessions WHERE $1 IS NULL AND user_id = $2
            UNION ALL SELECT s.id FROM sessions AS s JOIN users AS u ON u.id = s.user_id
                WHERE u.phone_index = $3
         ), locked AS (
            -- In one order, or two such calls could wait for each other.
            SELECT s.id FROM sessions AS s WHERE s.id IN (SELECT id FROM named)
            ORDER BY s.id FOR UPDATE
         )
         UPDATE sessions SET ended_at = $4, ended_by = $5
         WHERE ended_at IS NULL AND expires_at > $4 AND id IN (SELECT id FROM locked)
         RETURNING id, user_id",
        session,
        user,
        phone.as_ref().map(PhoneIndex::as_bytes),
        ending.now,
        ending.reason.name(),
        client,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ended.into_iter().map(|row| (row.id, row.user_id)).collect())
}

/// Ends the session of a token that was its own, is not the current one, and was not used just now.
async fn end_robbed(
    tx: &mut Transaction<'static, Postgres>,
    turn: Turn<'_>,
    ending: &Ending<'_>,
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let ended = sqlx::query!(
        "UPDATE sessions SET ended_at = $4, ended_by = $5
         WHERE id = $1 AND client_id = $2 AND refresh_hash <> $3
            AND ended_at IS NULL AND expires_at > $4
            AND NOT EXISTS (SELECT FROM spent_refresh_tokens
                WHERE token_hash = $3 AND spent_at > $6)
         RETURNING id, user_id",
        turn.session,
        turn.client.id.as_str(),
        turn.presented.as_bytes(),
        ending.now,
        ending.reason.name(),
        turn.now - turn.grace,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ended.into_iter().map(|row| (row.id, row.user_id)).collect())
}
