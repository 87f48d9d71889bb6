//! Letting an SMS through, or not, as far as its phone is concerned: each is one statement, which locks
//! the phone's row and changes it only if the limits allow.
//!
//! The condition stands twice, since a checked query must be one literal, and a function in the
//! database would be shared by two versions during an upgrade; `tests/api/model.rs` holds both to
//! one rule.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::take::Load;
use super::{Sms, StoredRequest, phone_state, stored_request};
use crate::client::ClientId;
use crate::database::StoreError;
use crate::limit::budget::Scope;
use crate::limit::per_phone::{COOLDOWN_WINDOW_SECONDS, KnownHistory, SendHistory};
use crate::otp::Policy;
use crate::otp::phone_state::{By, PhoneState};
use crate::otp::request::{Delivery, Purpose, RequestId, Standing};
use crate::secrets::PhoneIndex;

/// A request about to be stored.
pub(in crate::otp) struct NewRequest {
    pub(in crate::otp) id: RequestId,
    /// New for every try, so that a refused one is never taken for an earlier admitted one.
    pub(in crate::otp) admission: Uuid,
    pub(in crate::otp) phone: PhoneIndex,
    pub(in crate::otp) phone_sealed: Vec<u8>,
    pub(in crate::otp) client: ClientId,
    pub(in crate::otp) purpose: Purpose,
    pub(in crate::otp) code_nonce: [u8; 16],
    pub(in crate::otp) now: DateTime<Utc>,
}

/// An SMS about to be admitted for a live request.
#[derive(Clone, Copy)]
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

/// Takes the phone's limits, supersedes its older request and stores the new one: the phone with this send
/// in it, and whether it has a user; `None` if the limits do not allow it. A request whose first SMS surely
/// never left may be begun again; no other may, however late whoever began it first comes: he may have stood
/// still until his lease was over.
pub(super) async fn begin(
    connection: &mut PgConnection,
    new: &NewRequest,
    (by, load): (By, Option<&Load>),
    policy: &Policy,
) -> Result<Option<(PhoneState, bool)>, StoreError> {
    let limits = by.limits(policy);
    let scopes = load.map(|load| load.scopes.iter().map(Scope::name).collect());
    let scopes: Vec<String> = scopes.unwrap_or_default();
    let row = sqlx::query!(
        r#"
        WITH throttle AS (
            INSERT INTO phone_throttles AS p (phone_index, send_log, cooldown_until,
                last_send_id, live_request_id, live_sends, live_attempts)
            SELECT $1, ARRAY[$2::timestamptz], $2 + ($3::bigint[])[1] * interval '1 second',
                $14, $4, 1, 0
            WHERE NOT EXISTS (SELECT FROM otp_requests WHERE id = $4 AND failed_at IS NULL)
            ON CONFLICT (phone_index) DO UPDATE SET
                send_log = ARRAY(SELECT s FROM unnest(p.send_log) AS s
                    WHERE s > $2 - $7::bigint * interval '1 second' ORDER BY s) || $2,
                known_send_log = CASE WHEN $16::bool THEN ARRAY(
                        SELECT s FROM unnest(p.known_send_log) AS s
                        WHERE s > $2 - $7::bigint * interval '1 second' ORDER BY s) || $2
                    ELSE p.known_send_log END,
                cooldown_until = $2 + interval '1 second'
                    * ($3::bigint[])[least(cardinality($3::bigint[]), 1 + (
                        SELECT count(*) FROM unnest(p.send_log) AS s
                        WHERE s > $2 - $8::bigint * interval '1 second'))],
                last_send_id = $14, live_request_id = $4, live_sends = 1, live_attempts = 0,
                superseded_request_id = p.live_request_id, superseded_sends = p.live_sends,
                superseded_attempts = p.live_attempts, superseded_check_tag = p.check_tag,
                superseded_check_sealed = p.check_sealed,
                check_id = NULL, check_until = NULL, check_tag = NULL, check_sealed = NULL
            WHERE p.live_request_id IS DISTINCT FROM $4
                AND CASE WHEN $16 THEN p.known_failures_in_row < $17
                    ELSE p.failures_in_row < $17 AND (p.cooldown_until <= $2 OR $20)
                        AND (p.locked_until IS NULL OR p.locked_until <= $2) END
                AND NOT EXISTS (
                    SELECT FROM unnest($5::bigint[], $6::int[]) AS w (seconds, most)
                    WHERE w.most <= (
                        SELECT count(*)
                        FROM unnest(CASE WHEN $16 THEN p.known_send_log ELSE p.send_log END) AS s
                        WHERE s > $2 - w.seconds * interval '1 second'))
            RETURNING p.send_log, p.cooldown_until, p.locked_until, p.failures_in_row,
                p.known_send_log, p.known_failure_log, p.known_failures_in_row
        ), stored AS (
            INSERT INTO otp_requests AS r (id, phone_index, phone_sealed, client_id, purpose,
                code_nonce, created_at, expires_at, send_ids, provider_key, due_at, counted_in,
                cost_micros)
            SELECT $4, $1, $9, $10, $11, $12, $2, $13, ARRAY[$4], $4, $15, $18, $19 FROM throttle
            ON CONFLICT (id) DO UPDATE SET code_nonce = excluded.code_nonce,
                created_at = excluded.created_at, expires_at = excluded.expires_at,
                delivery = 'queued', failed_at = NULL, due_at = excluded.due_at, polls = 0,
                counted_in = excluded.counted_in, cost_micros = excluded.cost_micros
            WHERE r.failed_at IS NOT NULL
        )
        SELECT send_log AS "send_log!", cooldown_until AS "cooldown_until!", locked_until,
            failures_in_row AS "failures_in_row!", known_send_log AS "known_send_log!",
            known_failure_log AS "known_failure_log!",
            known_failures_in_row AS "known_failures_in_row!",
            EXISTS (SELECT FROM users WHERE phone_index = $1) AS "account!"
        FROM throttle
        "#,
        new.phone.as_bytes(),
        new.now,
        &policy.sends.cooldowns,
        new.id.0,
        &limits.window_seconds(),
        &limits.maxima(),
        policy.sends.horizon_seconds(),
        COOLDOWN_WINDOW_SECONDS,
        new.phone_sealed,
        new.client.as_str(),
        new.purpose.name(),
        &new.code_nonce[..],
        new.now + policy.ttl,
        new.admission,
        new.now + policy.lease,
        by == By::KnownDevice,
        policy.failures.in_row,
        &scopes,
        load.map_or(0, |load| load.price),
        by == By::TestNumber,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let account = row.account;
        (phone_state!(row), account)
    }))
}

/// Why a phone's limits do not allow a send, and whether it is this very request that is there already.
pub(super) async fn look(
    connection: &mut PgConnection,
    phone: PhoneIndex,
    request: RequestId,
) -> Result<(bool, PhoneState), StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT p.send_log, p.cooldown_until, p.locked_until, p.failures_in_row, p.known_send_log,
            p.known_failure_log, p.known_failures_in_row,
            coalesce(p.live_request_id = $2, false)
                OR EXISTS (SELECT FROM otp_requests WHERE id = $2 AND failed_at IS NULL)
                AS "begun!"
        FROM phone_throttles AS p WHERE p.phone_index = $1
        "#,
        phone.as_bytes(),
        request.0,
    )
    .fetch_one(connection)
    .await?;
    Ok((row.begun, phone_state!(row)))
}

/// Takes the phone's limits for one more SMS of the same request; `None` if they do not allow it. The
/// request must be live, with sends and tries left, and not sent again by this very operation. What is
/// told of its SMS is how it was before.
pub(super) async fn begin_again(
    connection: &mut PgConnection,
    more: &OneMore<'_>,
    by: By,
    policy: &Policy,
) -> Result<Option<(StoredRequest, bool)>, StoreError> {
    let limits = by.limits(policy);
    let row = sqlx::query!(
        r#"
        WITH throttle AS (
            UPDATE phone_throttles AS p SET
                send_log = ARRAY(SELECT s FROM unnest(p.send_log) AS s
                    WHERE s > $2 - $7::bigint * interval '1 second' ORDER BY s) || $2::timestamptz,
                known_send_log = CASE WHEN $15::bool THEN ARRAY(
                        SELECT s FROM unnest(p.known_send_log) AS s
                        WHERE s > $2 - $7::bigint * interval '1 second' ORDER BY s) || $2
                    ELSE p.known_send_log END,
                cooldown_until = $2 + interval '1 second'
                    * ($3::bigint[])[least(cardinality($3::bigint[]), 1 + (
                        SELECT count(*) FROM unnest(p.send_log) AS s
                        WHERE s > $2 - $8::bigint * interval '1 second'))],
                last_send_id = $12, live_sends = p.live_sends + 1
            FROM otp_requests AS r
            WHERE r.id = $1 AND r.client_id = ANY($11) AND p.phone_index = r.phone_index
                AND p.live_request_id = r.id AND r.expires_at > $2 AND NOT $4 = ANY(r.send_ids)
                AND p.live_sends < $9 AND p.live_attempts < $10
                AND CASE WHEN $15 THEN p.known_failures_in_row < $16
                    ELSE p.failures_in_row < $16 AND (p.cooldown_until <= $2 OR $17)
                        AND (p.locked_until IS NULL OR p.locked_until <= $2) END
                AND NOT EXISTS (
                    SELECT FROM unnest($5::bigint[], $6::int[]) AS w (seconds, most)
                    WHERE w.most <= (
                        SELECT count(*)
                        FROM unnest(CASE WHEN $15 THEN p.known_send_log ELSE p.send_log END) AS s
                        WHERE s > $2 - w.seconds * interval '1 second'))
            RETURNING r.id, r.phone_index, r.phone_sealed, r.client_id, r.purpose, r.code_nonce,
                r.send_ids, r.provider_key, r.provider_refs, r.delivery, r.expires_at,
                r.verified_at, r.failed_at, p.live_request_id = r.id AS live, p.live_sends,
                p.live_attempts, p.locked_until, p.check_until, p.send_log, p.cooldown_until,
                p.failures_in_row, p.known_send_log, p.known_failure_log, p.known_failures_in_row
        ), marked AS (
            UPDATE otp_requests AS r SET
                send_ids = r.send_ids || $4::uuid,
                provider_key = CASE WHEN $13 AND r.delivery IN ('queued', 'unknown')
                                    THEN coalesce(r.provider_key, $4) ELSE $4 END,
                delivery = 'queued', due_at = $14, polls = 0
            FROM throttle WHERE r.id = throttle.id
        )
        SELECT id AS "id!", phone_index AS "phone_index!",
            phone_sealed AS "phone_sealed!", client_id AS "client_id!", purpose AS "purpose!",
            code_nonce AS "code_nonce!", send_ids AS "send_ids!", provider_key,
            provider_refs AS "provider_refs!", delivery AS "delivery!",
            expires_at AS "expires_at!", verified_at, failed_at, live,
            live_sends AS "live_sends!", live_attempts AS "live_attempts!", locked_until,
            check_until, send_log AS "send_log!", cooldown_until AS "cooldown_until!",
            failures_in_row AS "failures_in_row!", known_send_log AS "known_send_log!",
            known_failure_log AS "known_failure_log!",
            known_failures_in_row AS "known_failures_in_row!",
            EXISTS (SELECT FROM users AS u WHERE u.phone_index = throttle.phone_index)
                AS "account!"
        FROM throttle
        "#,
        more.request.0,
        more.now,
        &policy.sends.cooldowns,
        more.send_id,
        &limits.window_seconds(),
        &limits.maxima(),
        policy.sends.horizon_seconds(),
        COOLDOWN_WINDOW_SECONDS,
        policy.max_sends,
        policy.max_attempts,
        more.owners,
        more.admission,
        more.keep_key,
        more.now + policy.lease,
        by == By::KnownDevice,
        policy.failures.in_row,
        by == By::TestNumber,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let account = row.account;
        Ok((stored_request!(row), account))
    })
    .transpose()
}
