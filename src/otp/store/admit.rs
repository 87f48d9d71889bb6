//! Letting an SMS through, or not: each is one statement under the phone's row lock.
//!
//! The condition stands twice, since a checked query must be one literal, and a function in the
//! database would be shared by two versions during an upgrade; `tests/api/model.rs` holds both to
//! one rule.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Sms, Store, StoredRequest, stored_request};
use crate::database::StoreError;
use crate::limit::per_phone::{COOLDOWN_WINDOW_SECONDS, SendHistory};
use crate::otp::Policy;
use crate::otp::request::{Delivery, Purpose, RequestId, Standing};
use crate::secrets::PhoneIndex;

/// A request about to be stored.
pub(in crate::otp) struct NewRequest<'a> {
    pub(in crate::otp) id: RequestId,
    /// New for every try, so that a refused one is never taken for an earlier admitted one.
    pub(in crate::otp) admission: Uuid,
    pub(in crate::otp) phone: PhoneIndex,
    pub(in crate::otp) phone_sealed: &'a [u8],
    pub(in crate::otp) client: &'a str,
    pub(in crate::otp) purpose: Purpose,
    pub(in crate::otp) code_nonce: &'a [u8],
    pub(in crate::otp) now: DateTime<Utc>,
}

/// What the phone's row said after a send was tried.
pub(in crate::otp) struct Admission {
    pub(in crate::otp) admitted: bool,
    /// Whether it was not admitted because somebody else had begun this very request.
    pub(in crate::otp) begun: bool,
    pub(in crate::otp) history: SendHistory,
    pub(in crate::otp) locked_until: Option<DateTime<Utc>>,
}

/// An SMS about to be admitted for a live request.
pub(in crate::otp) struct OneMore<'a> {
    pub(in crate::otp) request: RequestId,
    pub(in crate::otp) owners: &'a [String],
    pub(in crate::otp) send_id: Uuid,
    pub(in crate::otp) admission: Uuid,
    /// Whether an SMS whose fate is not known keeps its name, so that the provider need not send it
    /// twice.
    pub(in crate::otp) keep_key: bool,
    pub(in crate::otp) now: DateTime<Utc>,
}

impl Store {
    /// Takes the phone's limits, supersedes its older request and stores the new one. A request
    /// whose first SMS surely never left may be begun again; no other may, however late whoever
    /// began it first comes: he may have stood still until his lease was over.
    pub(in crate::otp) async fn begin(
        &self,
        new: NewRequest<'_>,
        policy: &Policy,
    ) -> Result<Admission, StoreError> {
        let row = sqlx::query!(
            r#"
            WITH begun AS (
                SELECT FROM otp_requests WHERE id = $4 AND failed_at IS NULL
            ), throttle AS (
                INSERT INTO phone_throttles AS p (phone_index, send_log, cooldown_until,
                    last_send_id, live_request_id, live_sends, live_attempts)
                VALUES ($1, ARRAY[$2::timestamptz], $2 + ($3::bigint[])[1] * interval '1 second',
                    $14, $4, 1, 0)
                ON CONFLICT (phone_index) DO UPDATE SET
                    (send_log, cooldown_until, last_send_id, live_request_id, live_sends,
                     live_attempts, superseded_request_id, superseded_sends, superseded_attempts,
                     superseded_check_tag, superseded_check_sealed, check_id, check_until,
                     check_tag, check_sealed) = (
                        SELECT
                            CASE WHEN ok THEN recent || $2 ELSE p.send_log END,
                            CASE WHEN ok THEN $2 + pause * interval '1 second'
                                 ELSE p.cooldown_until END,
                            CASE WHEN ok THEN $14 ELSE p.last_send_id END,
                            CASE WHEN ok THEN $4 ELSE p.live_request_id END,
                            CASE WHEN ok THEN 1 ELSE p.live_sends END,
                            CASE WHEN ok THEN 0 ELSE p.live_attempts END,
                            CASE WHEN ok THEN p.live_request_id ELSE p.superseded_request_id END,
                            CASE WHEN ok THEN p.live_sends ELSE p.superseded_sends END,
                            CASE WHEN ok THEN p.live_attempts ELSE p.superseded_attempts END,
                            CASE WHEN ok THEN p.check_tag ELSE p.superseded_check_tag END,
                            CASE WHEN ok THEN p.check_sealed ELSE p.superseded_check_sealed END,
                            CASE WHEN ok THEN NULL ELSE p.check_id END,
                            CASE WHEN ok THEN NULL ELSE p.check_until END,
                            CASE WHEN ok THEN NULL ELSE p.check_tag END,
                            CASE WHEN ok THEN NULL ELSE p.check_sealed END
                        FROM (SELECT
                            p.cooldown_until <= $2
                                AND (p.locked_until IS NULL OR p.locked_until <= $2)
                                AND p.live_request_id IS DISTINCT FROM $4
                                AND NOT EXISTS (SELECT FROM begun)
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
                RETURNING p.last_send_id = $14 AS admitted, p.live_request_id, p.send_log,
                    p.cooldown_until, p.locked_until
            ), stored AS (
                INSERT INTO otp_requests AS r (id, phone_index, phone_sealed, client_id, purpose,
                    code_nonce, created_at, expires_at, send_ids, provider_key, due_at)
                SELECT $4, $1, $9, $10, $11, $12, $2, $13, ARRAY[$4], $4, $15
                FROM throttle WHERE admitted
                ON CONFLICT (id) DO UPDATE SET code_nonce = excluded.code_nonce,
                    created_at = excluded.created_at, expires_at = excluded.expires_at,
                    delivery = 'queued', failed_at = NULL, due_at = excluded.due_at, polls = 0
                WHERE r.failed_at IS NOT NULL
            )
            SELECT admitted AS "admitted!",
                NOT admitted AND (coalesce(live_request_id = $4, false)
                    OR EXISTS (SELECT FROM begun)) AS "begun!",
                send_log AS "send_log!", cooldown_until AS "cooldown_until!", locked_until
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
            new.admission,
            new.now + policy.lease,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Admission {
            admitted: row.admitted,
            begun: row.begun,
            history: SendHistory {
                send_log: row.send_log,
                cooldown_until: row.cooldown_until,
            },
            locked_until: row.locked_until,
        })
    }

    /// Takes the phone's limits for one more SMS of the same request. The request must be live,
    /// with sends and tries left, and not sent again by this very operation; `None` if none of these
    /// clients has such a request. What is told of its SMS is how it was before.
    pub(in crate::otp) async fn begin_resend(
        &self,
        more: OneMore<'_>,
        policy: &Policy,
    ) -> Result<Option<(bool, StoredRequest)>, StoreError> {
        let row = sqlx::query!(
            r#"
            WITH throttle AS (
                UPDATE phone_throttles AS p SET
                    (send_log, cooldown_until, last_send_id, live_sends) = (
                        SELECT
                            CASE WHEN ok THEN recent || $2 ELSE p.send_log END,
                            CASE WHEN ok THEN $2 + pause * interval '1 second'
                                 ELSE p.cooldown_until END,
                            CASE WHEN ok THEN $12 ELSE p.last_send_id END,
                            CASE WHEN ok THEN p.live_sends + 1 ELSE p.live_sends END
                        FROM (SELECT
                            p.live_request_id = r.id AND r.expires_at > $2
                                AND NOT $4 = ANY(r.send_ids)
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
                RETURNING p.last_send_id = $12 AS admitted, r.id, r.phone_index, r.phone_sealed,
                    r.client_id, r.purpose, r.code_nonce, r.send_ids, r.provider_key,
                    r.provider_refs, r.delivery, r.expires_at, r.verified_at, r.failed_at,
                    p.live_request_id = r.id AS live, p.live_sends, p.live_attempts,
                    p.locked_until, p.check_until, p.send_log, p.cooldown_until
            ), marked AS (
                UPDATE otp_requests AS r SET
                    send_ids = r.send_ids || $4::uuid,
                    provider_key = CASE WHEN $13 AND r.delivery IN ('queued', 'unknown')
                                        THEN coalesce(r.provider_key, $4) ELSE $4 END,
                    delivery = 'queued', due_at = $14, polls = 0
                FROM throttle WHERE r.id = throttle.id AND throttle.admitted
            )
            SELECT admitted AS "admitted!", id AS "id!", phone_index AS "phone_index!",
                phone_sealed AS "phone_sealed!", client_id AS "client_id!", purpose AS "purpose!",
                code_nonce AS "code_nonce!", send_ids AS "send_ids!", provider_key,
                provider_refs AS "provider_refs!", delivery AS "delivery!",
                expires_at AS "expires_at!", verified_at, failed_at, live,
                live_sends AS "live_sends!", live_attempts AS "live_attempts!", locked_until,
                check_until, send_log AS "send_log!", cooldown_until AS "cooldown_until!"
            FROM throttle
            "#,
            more.request.0,
            more.now,
            &policy.sends.cooldowns,
            more.send_id,
            &policy.sends.window_seconds(),
            &policy.sends.maxima(),
            policy.sends.horizon_seconds(),
            COOLDOWN_WINDOW_SECONDS,
            policy.max_sends,
            policy.max_attempts,
            more.owners,
            more.admission,
            more.keep_key,
            more.now + policy.lease,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok((row.admitted, stored_request!(row))))
            .transpose()
    }
}
