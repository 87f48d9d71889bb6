//! The one statement that ends a try: it counts a wrong code, or uses up a right one and makes
//! the user and the session. Right codes that come at the same time are used up together (`together.rs`).

mod credit;
mod together;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::audit::{Action, Actor};
use crate::database::StoreError;
use crate::origin::Origin;
use crate::otp::Policy;
use crate::otp::phone_state::By;
use crate::otp::store::{StoredRequest, brought};
use crate::session::NewSession;

pub(super) use together::Settlements;

/// A try to be carried out, and ids for what a right one makes.
pub(super) struct Tried {
    pub(super) request: StoredRequest,
    pub(super) right: bool,
    /// The provider said so, and the try was counted before it was asked: neither tries nor lock
    /// stand in the way any more.
    pub(super) proven: bool,
    /// Whose tries it is counted against.
    pub(super) by: By,
    /// For the user, if the phone has none yet.
    pub(super) user: Uuid,
    pub(super) session: NewSession,
    /// More than that many, and the session that was not used for longest ends.
    pub(super) sessions_per_user: i64,
    /// What the audit log is told.
    pub(super) noted: Noted,
    /// When.
    pub(super) at: DateTime<Utc>,
}

/// What the audit log is told of a try. The rows are written by the same statement: no login is without
/// its event.
pub(super) struct Noted {
    /// The event's id, that of the lock that a wrong code may bring, and that of the sessions that make
    /// room for one more.
    pub(super) id: Uuid,
    pub(super) lock_id: Uuid,
    pub(super) cap_id: Uuid,
    pub(super) action: Action,
    pub(super) actor: Actor,
    pub(super) origin: Origin,
}

/// A session that was made before.
pub(super) struct Session {
    pub(super) id: Uuid,
    pub(super) new_user: bool,
}

/// How a try ended.
pub(super) enum Outcome {
    /// The code was right and is now used.
    Right {
        user_id: Uuid,
        /// Whether other sessions ended for this one.
        made_room: bool,
    },
    /// The code was wrong; `attempts` wrong ones are counted for the request.
    Wrong {
        attempts: i32,
        locked: bool,
        /// The phone's lock or stop that it brought.
        brought: Option<Action>,
    },
    /// The request was not live any more, had no tries left, or its phone was locked.
    Refused,
}

/// Counts the try and carries out its result, under the phone's row lock. A known device's allowance is
/// looked at only where the phone's own tries are spent.
pub(super) async fn settle(
    pool: &PgPool,
    tried: &Tried,
    policy: &Policy,
) -> Result<Outcome, StoreError> {
    let outcome = settle_as(pool, tried, false, policy).await?;
    match outcome {
        Outcome::Refused if tried.by == By::KnownDevice => {
            settle_as(pool, tried, true, policy).await
        }
        Outcome::Refused | Outcome::Right { .. } | Outcome::Wrong { .. } => Ok(outcome),
    }
}

#[expect(clippy::too_many_lines, reason = "one statement, which is one literal")]
async fn settle_as(
    pool: &PgPool,
    tried: &Tried,
    known: bool,
    policy: &Policy,
) -> Result<Outcome, StoreError> {
    let now = tried.at;
    let refresh_hash = tried.session.refresh.hash();
    let row = sqlx::query!(
        r#"
        WITH tried AS (
            UPDATE phone_throttles AS p SET
                live_request_id = CASE WHEN $3 THEN NULL ELSE p.live_request_id END,
                live_attempts = CASE WHEN $3 THEN p.live_attempts ELSE p.live_attempts + 1 END,
                failures_in_row = CASE WHEN $3 THEN 0 WHEN $14 THEN p.failures_in_row
                                       ELSE p.failures_in_row + 1 END,
                known_failures_in_row = CASE WHEN $3 THEN 0 WHEN $14
                    THEN p.known_failures_in_row + 1 ELSE p.known_failures_in_row END,
                (failure_log, known_failure_log, locks, locked_until) = (
                    SELECT
                        CASE WHEN $3 THEN '{}' WHEN $14 THEN p.failure_log
                             ELSE recent || $4 END,
                        CASE WHEN $3 THEN '{}' WHEN $14 THEN known_recent || $4
                             ELSE p.known_failure_log END,
                        CASE WHEN $3 THEN 0 WHEN full_up THEN p.locks + 1 ELSE p.locks END,
                        CASE WHEN $3 THEN NULL
                             WHEN full_up THEN $4 + least($7::bigint,
                                 $6::bigint * (1::bigint << least(p.locks, 20)))
                                 * interval '1 second'
                             ELSE p.locked_until END
                    FROM (SELECT recent, known_recent,
                            cardinality(recent) + 1 >= $5::int AND NOT $14 AS full_up
                        FROM (SELECT ARRAY(SELECT f FROM unnest(p.failure_log) AS f
                                WHERE f > $4::timestamptz - interval '24 hours' ORDER BY f) AS recent,
                            ARRAY(SELECT f FROM unnest(p.known_failure_log) AS f
                                WHERE f > $4 - interval '24 hours' ORDER BY f) AS known_recent
                        ) AS log) AS decision)
            WHERE p.phone_index = $1 AND p.live_request_id = $2
                AND ($13 OR (p.live_attempts < $8
                    AND CASE WHEN $14::bool THEN p.known_failures_in_row < $15
                            AND $16::int > (SELECT count(*) FROM unnest(p.known_failure_log) AS f
                                WHERE f > $4::timestamptz - interval '24 hours')
                        ELSE p.failures_in_row < $15
                            AND (p.locked_until IS NULL OR p.locked_until <= $4) END))
            RETURNING p.live_attempts, p.live_sends,
                CASE WHEN $14 THEN cardinality(p.known_failure_log) >= $16
                        OR p.known_failures_in_row >= $15
                    ELSE coalesce(p.locked_until > $4, false) OR p.failures_in_row >= $15
                    END AS locked,
                p.failures_in_row >= $15 AS stopped
        ), used AS (
            UPDATE otp_requests SET verified_at = $4 FROM tried WHERE id = $2 AND $3
            RETURNING created_at, counted_in, tried.live_sends
        ), counted AS (
            SELECT c.scope, used.created_at, used.live_sends FROM used, sms_counters AS c
            WHERE c.scope = ANY (used.counted_in) AND c.scope ~ '^(address|country|prefix):'
            ORDER BY c.scope FOR UPDATE OF c
        ), credited AS (
            -- What was sent in another window than its code was used in is not counted there any more.
            UPDATE sms_counters AS c SET
                hour_unverified = CASE WHEN c.hour_start <= counted.created_at
                    THEN greatest(0, c.hour_unverified - counted.live_sends)
                    ELSE c.hour_unverified END,
                day_unverified = CASE WHEN c.day_start <= counted.created_at
                    THEN greatest(0, c.day_unverified - counted.live_sends)
                    ELSE c.day_unverified END,
                day_verified = c.day_verified + 1
            FROM counted WHERE c.scope = counted.scope
        ), person AS (
            INSERT INTO users AS u (id, phone_index, phone_sealed, created_at, last_login_at)
            SELECT $9, $1, $10, $4, $4 FROM tried WHERE $3
            ON CONFLICT (phone_index) DO UPDATE SET last_login_at = $4
            RETURNING u.id
        ), session AS (
            INSERT INTO sessions (id, user_id, client_id, created_at, amr, audience, scopes,
                last_used_at, expires_at, refresh_hash, refresh_expires_at, seen_sealed, token_kids)
            SELECT $11, person.id, $12, $4, $17::text[], $26::text[], $27::text[],
                $4, $28, $29, $30, $31, token_kids_with('{}', $32, $33, $4)
            FROM person
        ), too_many AS (
            -- No other login of this phone can be under way: it has one live request.
            UPDATE sessions SET ended_at = $4, ended_by = 'too_many'
            WHERE ended_at IS NULL AND id IN (
                SELECT id FROM sessions WHERE id IN (
                    SELECT s.id FROM person JOIN sessions AS s ON s.user_id = person.id
                    WHERE s.ended_at IS NULL AND coalesce(s.refresh_expires_at, s.expires_at) > $4
                    ORDER BY s.last_used_at DESC, s.id OFFSET $34::bigint - 1)
                ORDER BY id FOR UPDATE)
            RETURNING id
        ), too_many_noted AS (
            INSERT INTO audit_events (id, at, action, outcome, reason, actor, user_id, session_id,
                trace_id, detail)
            SELECT $35, $4, $36, 'success', 'too_many', 'service', person.id,
                CASE WHEN count(*) = 1 THEN min(too_many.id::text)::uuid END, $22,
                CASE WHEN count(*) = 1 THEN '{}'
                    ELSE jsonb_build_object('sessions', jsonb_agg(too_many.id)) END
            FROM too_many, person GROUP BY person.id
        ), noted AS (
            INSERT INTO audit_events (id, at, action, outcome, reason, actor, phone_index,
                address_key, user_id, request_id, session_id, trace_id)
            SELECT $18, $4, $19, CASE WHEN $3 THEN 'success' ELSE 'failure' END,
                CASE WHEN NOT $3 THEN 'wrong_code' END, $20, $1, $21, person.id, $2,
                CASE WHEN $3 THEN $11 END, $22
            FROM tried LEFT JOIN person ON true
        ), lock_noted AS (
            INSERT INTO audit_events (id, at, action, outcome, reason, actor, phone_index, request_id)
            SELECT $23, $4, CASE WHEN tried.stopped THEN $25 ELSE $24 END, 'success',
                'wrong_codes', 'service', $1, $2
            FROM tried WHERE tried.locked AND NOT $3 AND NOT $14
        )
        SELECT tried.live_attempts AS "attempts!", tried.locked AS "locked!",
            person.id AS "user_id?", tried.stopped AS "stopped!",
            EXISTS (SELECT FROM too_many) AS "made_room!"
        FROM tried LEFT JOIN person ON true
        "#,
        tried.request.phone.as_bytes(),
        tried.request.id.0,
        tried.right,
        now,
        policy.failures.per_day,
        policy.failures.lock_seconds(),
        policy.failures.lock_max_seconds(),
        policy.max_attempts,
        tried.user,
        tried.request.phone_sealed,
        tried.session.id,
        tried.request.client,
        tried.proven,
        known,
        policy.failures.in_row,
        policy.device.failures_per_day,
        &tried.session.amr,
        tried.noted.id,
        tried.noted.action.name(),
        tried.noted.actor.to_string(),
        tried.noted.origin.key.as_bytes(),
        tried.noted.origin.trace_id,
        tried.noted.lock_id,
        Action::PhoneLock.name(),
        Action::PhoneStop.name(),
        tried.session.wanted.audience.as_deref(),
        tried.session.wanted.scopes.as_deref(),
        tried.session.expires_at,
        refresh_hash.as_bytes(),
        tried.session.refresh_expires_at,
        tried.session.seen_sealed,
        tried.session.draft.kid(),
        tried.session.draft.expires_at().min(tried.session.expires_at),
        tried.sessions_per_user,
        tried.noted.cap_id,
        Action::SessionEnd.name(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(match row {
        None => Outcome::Refused,
        Some(row) => match row.user_id {
            Some(user_id) => Outcome::Right {
                user_id,
                made_room: row.made_room,
            },
            None => Outcome::Wrong {
                attempts: row.attempts,
                locked: row.locked,
                brought: brought((row.locked, row.stopped), known),
            },
        },
    })
}

/// The session that an operation made.
pub(super) async fn session(pool: &PgPool, id: Uuid) -> Result<Option<Session>, StoreError> {
    let session = sqlx::query_as!(
        Session,
        r#"
        SELECT s.id, u.created_at = s.created_at AS "new_user!"
        FROM sessions AS s JOIN users AS u ON u.id = s.user_id
        WHERE s.id = $1
        "#,
        id,
    )
    .fetch_optional(pool)
    .await?;
    Ok(session)
}
