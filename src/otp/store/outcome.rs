//! Recording what became of an admitted SMS. Each of these may be carried out twice with the same
//! result, since a lost connection does not tell whether it was.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Sent, Store};
use crate::database::StoreError;
use crate::otp::request::{Delivery, RequestId};
use crate::provider::Accepted;

/// What became of an admitted SMS.
#[derive(Clone)]
pub(in crate::otp) enum Outcome {
    /// The provider took it. `ask_at` is when to ask it about the delivery, if it can be asked.
    Accepted {
        accepted: Accepted,
        ask_at: Option<DateTime<Utc>>,
    },
    /// It may have left, or not.
    Unknown,
    /// It surely never left; at this time.
    NeverLeft { at: DateTime<Utc> },
}

impl Store {
    /// Records an outcome.
    pub(in crate::otp) async fn conclude(
        &self,
        sent: &Sent,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        match outcome {
            Outcome::Accepted { accepted, ask_at } => self.accept(sent, accepted, *ask_at).await,
            Outcome::Unknown => self.leave_open(sent).await,
            Outcome::NeverLeft { at } => self.refund(sent, *at).await,
        }
    }

    /// A newer SMS of the same request keeps its own state; the provider's handle of the code is
    /// worth having in any case.
    async fn accept(
        &self,
        sent: &Sent,
        accepted: &Accepted,
        ask_at: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        let ask_at = ask_at.filter(|_| accepted.message_id.is_some());
        sqlx::query!(
            "UPDATE otp_requests AS r SET
                 (delivery, provider_message_id, due_at, polls) = (
                     SELECT
                         CASE WHEN latest THEN 'sent' ELSE r.delivery END,
                         CASE WHEN latest THEN $3 ELSE r.provider_message_id END,
                         CASE WHEN latest THEN $5 ELSE r.due_at END,
                         CASE WHEN latest THEN 0 ELSE r.polls END
                     FROM (SELECT r.send_ids[cardinality(r.send_ids)] = $2
                               AND r.delivery IN ('queued', 'unknown')) AS state (latest)),
                 provider_refs = CASE WHEN $4::text IS NULL OR $4 = ANY(r.provider_refs)
                                      THEN r.provider_refs ELSE r.provider_refs || $4 END
             WHERE id = $1",
            sent.request.0,
            sent.send_id,
            accepted.message_id,
            accepted.reference,
            ask_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes one of the times that the provider may be asked once more for the latest SMS, whose fate
    /// is not known; `false` if none is left. It should send nothing then, but no limit would stop it
    /// if it did.
    pub(in crate::otp) async fn take_reminder(
        &self,
        request: RequestId,
        send_id: Uuid,
        most: i16,
    ) -> Result<bool, StoreError> {
        let taken = sqlx::query!(
            "UPDATE otp_requests SET polls = polls + 1
             WHERE id = $1 AND send_ids[cardinality(send_ids)] = $2 AND polls < $3
                 AND delivery IN ('queued', 'unknown')",
            request.0,
            send_id,
            most,
        )
        .execute(&self.pool)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Gives such a time back: the provider certainly did nothing.
    pub(in crate::otp) async fn give_back_reminder(
        &self,
        request: RequestId,
        send_id: Uuid,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE otp_requests SET polls = polls - 1
             WHERE id = $1 AND send_ids[cardinality(send_ids)] = $2 AND polls > 0
                 AND delivery IN ('queued', 'unknown')",
            request.0,
            send_id,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn leave_open(&self, sent: &Sent) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE otp_requests SET delivery = 'unknown', due_at = NULL
             WHERE id = $1 AND send_ids[cardinality(send_ids)] = $2 AND delivery = 'queued'",
            sent.request.0,
            sent.send_id,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives back what an SMS took that surely never left: its place in the limits and its cooldown.
    /// If it was the first of its request, the request ends, and the one it superseded is live
    /// again: a code that did arrive is not lost to one that did not. Otherwise all is as it was
    /// before it.
    ///
    /// The place in the send log is what can be given back once only.
    async fn refund(&self, sent: &Sent, now: DateTime<Utc>) -> Result<(), StoreError> {
        let first = sent.before.is_none();
        let before = sent.before.as_ref();
        let delivery = before.map_or(Delivery::Failed, |sms| sms.delivery);
        sqlx::query!(
            "WITH refunded AS (
                 UPDATE phone_throttles AS p SET
                     send_log = array_remove(p.send_log, $4),
                     known_send_log = array_remove(p.known_send_log, $4),
                     cooldown_until = CASE WHEN p.last_send_id = $8 THEN $4
                                           ELSE p.cooldown_until END,
                     -- What is remembered of a code belongs to its request.
                     (check_tag, check_sealed) = (
                         SELECT CASE WHEN ends THEN p.superseded_check_tag ELSE p.check_tag END,
                             CASE WHEN ends THEN p.superseded_check_sealed ELSE p.check_sealed END
                         FROM (SELECT $5 AND coalesce(p.live_request_id = $1, false)) AS state (ends)),
                     (live_request_id, live_sends, live_attempts, superseded_request_id) = (
                         SELECT
                             CASE WHEN $5 AND ours THEN p.superseded_request_id
                                  ELSE p.live_request_id END,
                             CASE WHEN $5 AND ours THEN p.superseded_sends
                                  WHEN ours THEN p.live_sends - 1 ELSE p.live_sends END,
                             CASE WHEN $5 AND ours THEN p.superseded_attempts
                                  ELSE p.live_attempts END,
                             CASE WHEN $5 AND (ours OR p.superseded_request_id = $1) THEN NULL
                                  ELSE p.superseded_request_id END
                         FROM (SELECT coalesce(p.live_request_id = $1, false)) AS state (ours))
                 WHERE p.phone_index = $3 AND $4 = ANY(p.send_log)
                 RETURNING true
             ), counted AS (
                 SELECT c.scope, r.cost_micros
                 FROM refunded, otp_requests AS r, sms_counters AS c
                 WHERE r.id = $1 AND c.scope = ANY (r.counted_in)
                 ORDER BY c.scope FOR UPDATE OF c
             ), uncounted AS (
                 -- What another window counts by now is not this SMS's.
                 UPDATE sms_counters AS c SET
                     hour_messages = c.hour_messages - (c.hour_start <= $4)::int,
                     hour_cost = c.hour_cost - (c.hour_start <= $4)::int * counted.cost_micros,
                     hour_unverified = greatest(0, c.hour_unverified - (c.hour_start <= $4)::int),
                     day_messages = c.day_messages - (c.day_start <= $4)::int,
                     day_cost = c.day_cost - (c.day_start <= $4)::int * counted.cost_micros,
                     day_unverified = greatest(0, c.day_unverified - (c.day_start <= $4)::int),
                     month_cost = c.month_cost
                         - (c.month_start <= $4)::int * counted.cost_micros
                 FROM counted WHERE c.scope = counted.scope
             )
             UPDATE otp_requests AS r SET
                 failed_at = CASE WHEN $5 THEN $9::timestamptz END,
                 send_ids = CASE WHEN $5 THEN r.send_ids ELSE array_remove(r.send_ids, $2) END,
                 delivery = CASE WHEN latest THEN $6 ELSE r.delivery END,
                 provider_key = CASE WHEN latest AND NOT $5 THEN $7 ELSE r.provider_key END,
                 due_at = CASE WHEN NOT latest THEN r.due_at
                               WHEN $6 = 'sent' AND r.provider_message_id IS NOT NULL
                               THEN $9::timestamptz END
             FROM refunded,
                 (SELECT send_ids[cardinality(send_ids)] = $2 AS latest
                  FROM otp_requests WHERE id = $1) AS state
             WHERE r.id = $1",
            sent.request.0,
            sent.send_id,
            sent.phone.as_bytes(),
            sent.at,
            first,
            delivery.name(),
            before.and_then(|sms| sms.key),
            sent.admission,
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
