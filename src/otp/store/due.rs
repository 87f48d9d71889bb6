//! What the background has to look at: SMS whose sender is gone, and deliveries to ask about.
//!
//! Whoever takes a row moves its time on by a lease, so that each is looked at once however many
//! replicas look, and again if the one that took it dies.

use chrono::{DateTime, TimeDelta, Utc};

use super::Store;
use crate::database::StoreError;
use crate::otp::request::{Delivery, RequestId};
use crate::phone::Country;

/// Something to look at.
pub(in crate::otp) enum Due {
    /// The lease of an SMS's sender ended without a word: it died. The SMS may be out.
    Abandoned { country: Option<Country> },
    /// The provider is to be asked about an SMS.
    Question {
        request: RequestId,
        message_id: String,
        country: Option<Country>,
        /// Questions asked so far, this one counted.
        asked: i16,
    },
}

impl Store {
    /// Takes up to `most` rows whose time has come.
    pub(in crate::otp) async fn take_due(
        &self,
        most: i64,
        lease: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Vec<Due>, StoreError> {
        let rows = sqlx::query!(
            r#"
            UPDATE otp_requests AS r SET
                delivery = CASE WHEN r.delivery = 'queued' THEN 'unknown' ELSE r.delivery END,
                due_at = CASE WHEN r.delivery = 'sent' AND r.provider_message_id IS NOT NULL
                              THEN $2::timestamptz END,
                polls = r.polls + 1
            FROM (SELECT id FROM otp_requests WHERE due_at <= $1
                  ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) AS taken
            WHERE r.id = taken.id
            RETURNING r.id, r.polls, r.due_at IS NULL AS "abandoned!", r.provider_message_id,
                r.counted_in
            "#,
            now,
            now + lease,
            most,
        )
        .fetch_all(&self.pool)
        .await?;
        let due = rows.into_iter().map(|row| {
            let country = country_of(&row.counted_in);
            match row.provider_message_id {
                Some(message_id) if !row.abandoned => Due::Question {
                    request: RequestId(row.id),
                    message_id,
                    country,
                    asked: row.polls,
                },
                Some(_) | None => Due::Abandoned { country },
            }
        });
        Ok(due.collect())
    }

    /// Records what the provider said of a delivery, and when to ask again. A newer SMS of the same
    /// request is not touched.
    pub(in crate::otp) async fn record_delivery(
        &self,
        request: RequestId,
        message_id: &str,
        delivery: Delivery,
        ask_at: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE otp_requests SET delivery = $3, due_at = $4
             WHERE id = $1 AND provider_message_id = $2 AND delivery = 'sent'",
            request.0,
            message_id,
            delivery.name(),
            ask_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// The country among the counters that an SMS is counted in.
fn country_of(counted_in: &[String]) -> Option<Country> {
    let mut names = counted_in.iter();
    let code = names.find_map(|name| name.strip_prefix("country:"))?;
    Country::parse(code).ok()
}
