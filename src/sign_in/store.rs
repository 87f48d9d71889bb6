//! The one statement that ends a try: it counts a wrong code, or uses up a right one and makes
//! the user and the session.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::database::StoreError;
use crate::otp::Policy;
use crate::otp::store::StoredRequest;

/// A try to be carried out, and ids for what a right one makes.
#[derive(Clone, Copy)]
pub(super) struct Tried<'a> {
    pub(super) request: &'a StoredRequest,
    pub(super) right: bool,
    /// The provider said so, and the try was counted before it was asked: neither tries nor lock
    /// stand in the way any more.
    pub(super) proven: bool,
    /// For the user, if the phone has none yet.
    pub(super) user: Uuid,
    pub(super) session: Uuid,
}

/// A session and whose it is.
pub(super) struct Session {
    pub(super) id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) new_user: bool,
    pub(super) created_at: DateTime<Utc>,
}

/// How a try ended.
pub(super) enum Outcome {
    /// The code was right and is now used.
    Right { user_id: Uuid },
    /// The code was wrong; `attempts` wrong ones are counted for the request.
    Wrong { attempts: i32, locked: bool },
    /// The request was not live any more, had no tries left, or its phone was locked.
    Refused,
}

/// Counts the try and carries out its result, under the phone's row lock.
pub(super) async fn settle(
    pool: &PgPool,
    tried: Tried<'_>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Outcome, StoreError> {
    let row = sqlx::query!(
        r#"
        WITH tried AS (
            UPDATE phone_throttles AS p SET
                live_request_id = CASE WHEN $3 THEN NULL ELSE p.live_request_id END,
                live_attempts = CASE WHEN $3 THEN p.live_attempts ELSE p.live_attempts + 1 END,
                (failure_log, locks, locked_until) = (
                    SELECT
                        CASE WHEN $3 THEN '{}' ELSE recent || $4::timestamptz END,
                        CASE WHEN $3 THEN 0 WHEN full_up THEN p.locks + 1 ELSE p.locks END,
                        CASE WHEN $3 THEN NULL
                             WHEN full_up THEN $4 + least($7::bigint,
                                 $6::bigint * (1::bigint << least(p.locks, 20)))
                                 * interval '1 second'
                             ELSE p.locked_until END
                    FROM (SELECT recent, cardinality(recent) + 1 >= $5::int AS full_up
                        FROM (SELECT ARRAY(SELECT f FROM unnest(p.failure_log) AS f
                            WHERE f > $4 - interval '24 hours' ORDER BY f) AS recent) AS log
                    ) AS decision)
            WHERE p.phone_index = $1 AND p.live_request_id = $2
                AND ($13 OR (p.live_attempts < $8
                    AND (p.locked_until IS NULL OR p.locked_until <= $4)))
            RETURNING p.live_attempts, p.locked_until
        ), used AS (
            UPDATE otp_requests SET verified_at = $4 FROM tried WHERE id = $2 AND $3
        ), person AS (
            INSERT INTO users AS u (id, phone_index, phone_sealed, created_at, last_login_at)
            SELECT $9, $1, $10, $4, $4 FROM tried WHERE $3
            ON CONFLICT (phone_index) DO UPDATE SET last_login_at = $4
            RETURNING u.id
        ), session AS (
            INSERT INTO sessions (id, user_id, client_id, created_at)
            SELECT $11, person.id, $12, $4 FROM person
        )
        SELECT tried.live_attempts AS "attempts!", coalesce(tried.locked_until > $4, false) AS "locked!",
            person.id AS "user_id?"
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
        tried.session,
        tried.request.client,
        tried.proven,
    )
    .fetch_optional(pool)
    .await?;
    Ok(match row {
        None => Outcome::Refused,
        Some(row) => match row.user_id {
            Some(user_id) => Outcome::Right { user_id },
            None => Outcome::Wrong {
                attempts: row.attempts,
                locked: row.locked,
            },
        },
    })
}

/// The session that an operation made.
pub(super) async fn session(pool: &PgPool, id: Uuid) -> Result<Option<Session>, StoreError> {
    let session = sqlx::query_as!(
        Session,
        r#"
        SELECT s.id, s.user_id, s.created_at, u.created_at = s.created_at AS "new_user!"
        FROM sessions AS s JOIN users AS u ON u.id = s.user_id
        WHERE s.id = $1
        "#,
        id,
    )
    .fetch_optional(pool)
    .await?;
    Ok(session)
}
