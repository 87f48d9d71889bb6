//! That the provider took many SMS, recorded by one statement.
//!
//! Its commit does not wait for the disk (`synchronous_commit`). Should PostgreSQL crash within the next second, the
//! record can be lost, and then the SMS is one whose sender died before he recorded it: the code is stored and
//! verifies, a repeat sends nothing, and the background closes it when its lease ends.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Sent, span};
use crate::database::StoreError;
use crate::provider::Accepted;
use crate::seats::kept::Kept;
use crate::seats::shared::Errand;

/// That the provider took an SMS.
pub(in crate::otp) struct Acceptance {
    pub(in crate::otp) sent: Sent,
    pub(in crate::otp) accepted: Accepted,
    /// When to ask it about the delivery.
    pub(in crate::otp) ask_at: Option<DateTime<Utc>>,
}

/// Records them.
pub(in crate::otp) struct Acceptances {
    connection: Kept,
}

impl Acceptances {
    /// In this database.
    pub(in crate::otp) fn new(pool: PgPool) -> Self {
        Self {
            connection: Kept::new(pool),
        }
    }

    /// A newer SMS of the same request keeps its own state; the provider's handle of the code is worth having in any
    /// case.
    #[expect(
        clippy::as_conversions,
        reason = "how `query!` is told that items may be NULL"
    )]
    async fn record(&self, all: &[Arc<Acceptance>]) -> Result<(), StoreError> {
        let mut connection = self.connection.take().await?;
        let ids =
            |part: fn(&Acceptance) -> Uuid| all.iter().map(|one| part(one)).collect::<Vec<_>>();
        let requests = ids(|one| one.sent.request.0);
        let (first, last) = span(&requests);
        let texts = |part: fn(&Acceptance) -> Option<String>| {
            all.iter().map(|one| part(one)).collect::<Vec<_>>()
        };
        let ask_at = all.iter().map(|one| {
            let can_be_asked = one.accepted.message_id.is_some();
            one.ask_at.filter(|_| can_be_asked)
        });
        let ask_at: Vec<Option<DateTime<Utc>>> = ask_at.collect();
        sqlx::query!(
            "WITH soon AS MATERIALIZED (
                 SELECT set_config('synchronous_commit', 'off', true)
             ), locked AS MATERIALIZED (
                 -- In one order, as whoever changes several of them must.
                 SELECT id FROM otp_requests, soon WHERE id = ANY ($1::uuid[]) AND id BETWEEN $6 AND $7 ORDER BY id
                 FOR UPDATE OF otp_requests
             )
             UPDATE otp_requests AS r SET
                 (delivery, provider_message_id, due_at, polls) = (
                     SELECT
                         CASE WHEN latest THEN 'sent' ELSE r.delivery END,
                         CASE WHEN latest THEN a.message_id ELSE r.provider_message_id END,
                         CASE WHEN latest THEN a.ask_at ELSE r.due_at END,
                         CASE WHEN latest THEN 0 ELSE r.polls END
                     FROM (SELECT r.send_ids[cardinality(r.send_ids)] = a.send_id
                               AND r.delivery IN ('queued', 'unknown')) AS state (latest)),
                 provider_refs = CASE WHEN a.reference IS NULL OR a.reference = ANY (r.provider_refs)
                                      THEN r.provider_refs ELSE r.provider_refs || a.reference END
             FROM locked, unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[])
                 AS a (id, send_id, message_id, reference, ask_at)
             WHERE r.id = ANY ($1) AND r.id BETWEEN $6 AND $7 AND r.id = locked.id AND a.id = locked.id",
            &requests,
            &ids(|one| one.sent.send_id),
            &texts(|one| one.accepted.message_id.clone()) as &[Option<String>],
            &texts(|one| one.accepted.reference.clone()) as &[Option<String>],
            &ask_at as &[Option<DateTime<Utc>>],
            first,
            last,
        )
        .execute(&mut *connection)
        .await?;
        self.connection.keep(connection);
        Ok(())
    }
}

impl Errand for Acceptances {
    type Item = Arc<Acceptance>;
    type Done = Result<(), StoreError>;

    fn alone(one: &Arc<Acceptance>) -> Vec<Vec<u8>> {
        vec![one.sent.request.0.as_bytes().to_vec()]
    }

    fn goes_with(_: &Arc<Acceptance>, _: &Arc<Acceptance>) -> bool {
        true
    }

    async fn carry_out(&self, all: Vec<Arc<Acceptance>>) -> Vec<Self::Done> {
        match self.record(&all).await {
            Ok(()) => all.iter().map(|_| Ok(())).collect(),
            Err(error) => StoreError::of_all(error, all.len()),
        }
    }

    fn rest(&self) {
        self.connection.give_back();
    }
}
