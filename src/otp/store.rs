//! All SQL on `otp_requests` and `phone_throttles` but the one statement that ends a request,
//! which also makes the session (`sign_in/store.rs`).
//!
//! A limit is taken in the same statement that stores what it allows: `UPDATE` locks the phone's
//! row and sees its latest version, so parallel calls on any replica queue up behind each other.
//! A refused call changes nothing; `last_send_id` tells it that it was not the one let through.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::Policy;
use super::request::{Delivery, Purpose, RequestId, Standing};
use crate::database::StoreError;
use crate::limit::per_phone::{COOLDOWN_WINDOW_SECONDS, SendHistory};
use crate::secrets::PhoneIndex;

/// The tables of this module.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
}

/// A request about to be stored.
pub(super) struct NewRequest<'a> {
    pub(super) id: RequestId,
    pub(super) phone: PhoneIndex,
    pub(super) phone_sealed: &'a [u8],
    pub(super) client: &'a str,
    pub(super) purpose: Purpose,
    pub(super) code_nonce: &'a [u8],
    pub(super) now: DateTime<Utc>,
}

/// What the phone's row said after a send was tried.
pub(super) struct Admission {
    pub(super) admitted: bool,
    pub(super) history: SendHistory,
    pub(super) locked_until: Option<DateTime<Utc>>,
}

/// A stored request and where it stands.
pub(crate) struct StoredRequest {
    pub(crate) id: RequestId,
    pub(crate) phone: PhoneIndex,
    pub(crate) phone_sealed: Vec<u8>,
    pub(crate) client: String,
    pub(crate) purpose: Purpose,
    pub(crate) code_nonce: Vec<u8>,
    pub(crate) delivery: Delivery,
    pub(crate) standing: Standing,
}

/// Identifies one SMS: the request, and the send that was admitted for it.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) request: RequestId,
    pub(super) send_id: Uuid,
    pub(super) phone: PhoneIndex,
    pub(super) at: DateTime<Utc>,
}

/// Builds a [`StoredRequest`] from a row; a macro because every checked query has a row type of
/// its own.
macro_rules! stored_request {
    ($row:ident) => {{
        let live = $row.live.unwrap_or(false);
        StoredRequest {
            id: RequestId($row.id),
            phone: PhoneIndex::try_from($row.phone_index)
                .map_err(|_: crate::secrets::OpenError| StoreError::Corrupt("phone index"))?,
            phone_sealed: $row.phone_sealed,
            client: $row.client_id,
            purpose: Purpose::parse(&$row.purpose).ok_or(StoreError::Corrupt("purpose"))?,
            code_nonce: $row.code_nonce,
            delivery: Delivery::parse(&$row.delivery).ok_or(StoreError::Corrupt("delivery"))?,
            standing: Standing {
                expires_at: $row.expires_at,
                verified_at: $row.verified_at,
                failed_at: $row.failed_at,
                live,
                sends: if live { $row.live_sends } else { 0 },
                attempts: if live { $row.live_attempts } else { 0 },
                locked_until: $row.locked_until,
                history: SendHistory {
                    send_log: $row.send_log,
                    cooldown_until: $row.cooldown_until,
                },
            },
        }
    }};
}

impl Store {
    /// Uses this pool.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Takes the phone's limits, supersedes its older request and stores the new one.
    pub(super) async fn begin(
        &self,
        new: NewRequest<'_>,
        policy: &Policy,
    ) -> Result<Admission, StoreError> {
        let row = sqlx::query!(
            r#"
            WITH throttle AS (
                INSERT INTO phone_throttles AS p (phone_index, send_log, cooldown_until,
                    last_send_id, live_request_id, live_sends, live_attempts)
                VALUES ($1, ARRAY[$2::timestamptz], $2 + ($3::bigint[])[1] * interval '1 second',
                    $4, $4, 1, 0)
                ON CONFLICT (phone_index) DO UPDATE SET
                    (send_log, cooldown_until, last_send_id, live_request_id, live_sends,
                     live_attempts) = (
                        SELECT
                            CASE WHEN ok THEN recent || $2 ELSE p.send_log END,
                            CASE WHEN ok THEN $2 + pause * interval '1 second'
                                 ELSE p.cooldown_until END,
                            CASE WHEN ok THEN $4 ELSE p.last_send_id END,
                            CASE WHEN ok THEN $4 ELSE p.live_request_id END,
                            CASE WHEN ok THEN 1 ELSE p.live_sends END,
                            CASE WHEN ok THEN 0 ELSE p.live_attempts END
                        FROM (SELECT
                            p.cooldown_until <= $2
                                AND (p.locked_until IS NULL OR p.locked_until <= $2)
                                AND NOT EXISTS (
                                    SELECT FROM unnest($5::bigint[], $6::int[]) AS w (seconds, most)
                                    WHERE w.most <= (
                                        SELECT count(*) FROM unnest(p.send_log) AS s
                                        WHERE s > $2 - w.seconds * interval '1 second')) AS ok,
                            ARRAY(SELECT s FROM unnest(p.send_log) AS s
                                WHERE s > $2 - $7::bigint * interval '1 second'
                                ORDER BY s) AS recent,
                            ($3::bigint[])[least(cardinality($3::bigint[]), 1 + (
                                SELECT count(*) FROM unnest(p.send_log) AS s
                                WHERE s > $2 - $8::bigint * interval '1 second'))] AS pause
                        ) AS decision)
                RETURNING p.last_send_id = $4 AS admitted, p.send_log, p.cooldown_until,
                    p.locked_until
            ), stored AS (
                INSERT INTO otp_requests (id, phone_index, phone_sealed, client_id, purpose,
                    code_nonce, created_at, expires_at)
                SELECT $4, $1, $9, $10, $11, $12, $2, $13 FROM throttle WHERE admitted
            )
            SELECT admitted AS "admitted!", send_log AS "send_log!",
                cooldown_until AS "cooldown_until!", locked_until
            FROM throttle
            "#,
            new.phone.as_bytes(),
            new.now,
            &policy.sends.cooldowns,
            new.id.0,
            &policy.sends.window_seconds(),
            &policy.sends.maxima(),
            policy.sends.horizon_seconds(),
            COOLDOWN_WINDOW_SECONDS,
            new.phone_sealed,
            new.client,
            new.purpose.name(),
            new.code_nonce,
            new.now + policy.ttl,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Admission {
            admitted: row.admitted,
            history: SendHistory {
                send_log: row.send_log,
                cooldown_until: row.cooldown_until,
            },
            locked_until: row.locked_until,
        })
    }

    /// Takes the phone's limits for one more SMS of the same request. The request must be live,
    /// with sends and tries left; `None` if none of these clients has such a request.
    pub(super) async fn begin_resend(
        &self,
        id: RequestId,
        owners: &[String],
        send_id: Uuid,
        policy: &Policy,
        now: DateTime<Utc>,
    ) -> Result<Option<(bool, StoredRequest)>, StoreError> {
        let row = sqlx::query!(
            r#"
            UPDATE phone_throttles AS p SET
                (send_log, cooldown_until, last_send_id, live_sends) = (
                    SELECT
                        CASE WHEN ok THEN recent || $2 ELSE p.send_log END,
                        CASE WHEN ok THEN $2 + pause * interval '1 second'
                             ELSE p.cooldown_until END,
                        CASE WHEN ok THEN $4 ELSE p.last_send_id END,
                        CASE WHEN ok THEN p.live_sends + 1 ELSE p.live_sends END
                    FROM (SELECT
                        p.live_request_id = r.id AND r.expires_at > $2
                            AND p.live_sends < $9 AND p.live_attempts < $10
                            AND p.cooldown_until <= $2
                            AND (p.locked_until IS NULL OR p.locked_until <= $2)
                            AND NOT EXISTS (
                                SELECT FROM unnest($5::bigint[], $6::int[]) AS w (seconds, most)
                                WHERE w.most <= (
                                    SELECT count(*) FROM unnest(p.send_log) AS s
                                    WHERE s > $2 - w.seconds * interval '1 second')) AS ok,
                        ARRAY(SELECT s FROM unnest(p.send_log) AS s
                            WHERE s > $2 - $7::bigint * interval '1 second'
                            ORDER BY s) AS recent,
                        ($3::bigint[])[least(cardinality($3::bigint[]), 1 + (
                            SELECT count(*) FROM unnest(p.send_log) AS s
                            WHERE s > $2 - $8::bigint * interval '1 second'))] AS pause
                    ) AS decision)
            FROM otp_requests AS r
            WHERE r.id = $1 AND r.client_id = ANY($11) AND p.phone_index = r.phone_index
            RETURNING p.last_send_id = $4 AS "admitted!", r.id, r.phone_index, r.phone_sealed,
                r.client_id, r.purpose, r.code_nonce, r.delivery, r.expires_at, r.verified_at,
                r.failed_at, p.live_request_id = r.id AS live, p.live_sends, p.live_attempts,
                p.locked_until, p.send_log, p.cooldown_until
            "#,
            id.0,
            now,
            &policy.sends.cooldowns,
            send_id,
            &policy.sends.window_seconds(),
            &policy.sends.maxima(),
            policy.sends.horizon_seconds(),
            COOLDOWN_WINDOW_SECONDS,
            policy.max_sends,
            policy.max_attempts,
            owners,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok((row.admitted, stored_request!(row))))
            .transpose()
    }

    /// Reads a request and where it stands.
    pub(crate) async fn find(&self, id: RequestId) -> Result<Option<StoredRequest>, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT r.id, r.phone_index, r.phone_sealed, r.client_id, r.purpose, r.code_nonce,
                r.delivery, r.expires_at, r.verified_at, r.failed_at,
                p.live_request_id = r.id AS live, p.live_sends, p.live_attempts, p.locked_until,
                p.send_log, p.cooldown_until
            FROM otp_requests AS r JOIN phone_throttles AS p USING (phone_index)
            WHERE r.id = $1
            "#,
            id.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok(stored_request!(row))).transpose()
    }

    /// Records what the provider said of an SMS that left, or may have.
    pub(super) async fn record_delivery(
        &self,
        id: RequestId,
        delivery: Delivery,
        provider_message_id: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE otp_requests
             SET delivery = $2, provider_message_id = coalesce($3, provider_message_id)
             WHERE id = $1",
            id.0,
            delivery.name(),
            provider_message_id,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives back what a send took that surely never left: its place in the limits, its cooldown,
    /// and, if it was the first of its request, the request.
    pub(super) async fn refund(&self, sent: Sent) -> Result<(), StoreError> {
        let first = sent.send_id == sent.request.0;
        sqlx::query!(
            "WITH failed AS (
                 UPDATE otp_requests
                 SET delivery = 'failed', failed_at = CASE WHEN $5 THEN $4::timestamptz END
                 WHERE id = $1
             )
             UPDATE phone_throttles SET
                 send_log = array_remove(send_log, $4),
                 cooldown_until = CASE WHEN last_send_id = $2 THEN $4 ELSE cooldown_until END,
                 live_request_id = CASE WHEN $5 THEN nullif(live_request_id, $1)
                                        ELSE live_request_id END,
                 live_sends = CASE WHEN live_request_id = $1 THEN live_sends - 1
                                   ELSE live_sends END
             WHERE phone_index = $3",
            sent.request.0,
            sent.send_id,
            sent.phone.as_bytes(),
            sent.at,
            first,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
