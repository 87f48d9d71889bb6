//! Reading requests and where they stand: one, or many by one statement.

use std::collections::BTreeMap;

use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::{PhoneState, Sms, Store, StoredRequest, phone_state, span, stored_request};
use crate::database::StoreError;
use crate::limit::per_phone::{KnownHistory, SendHistory};
use crate::otp::request::{Delivery, Purpose, RequestId, Standing};
use crate::seats::kept::Kept;
use crate::seats::shared::Errand;
use crate::secrets::PhoneIndex;

/// Requests, or what is wrong with them, by their ids.
type Found = BTreeMap<Uuid, Result<StoredRequest, StoreError>>;

/// Reads them for those who come at the same time.
pub(in crate::otp) struct Readings {
    connection: Kept,
}

impl Readings {
    /// From this database.
    pub(in crate::otp) fn new(pool: PgPool) -> Self {
        Self {
            connection: Kept::new(pool),
        }
    }

    async fn find(&self, ids: &[Uuid]) -> Result<Found, StoreError> {
        let mut connection = self.connection.take().await?;
        let found = find(&mut *connection, ids).await?;
        self.connection.keep(connection);
        Ok(found)
    }
}

impl Errand for Readings {
    type Item = RequestId;
    type Done = Result<Option<StoredRequest>, StoreError>;

    fn alone(id: &RequestId) -> Vec<Vec<u8>> {
        vec![id.0.as_bytes().to_vec()]
    }

    fn goes_with(_: &RequestId, _: &RequestId) -> bool {
        true
    }

    async fn carry_out(&self, all: Vec<RequestId>) -> Vec<Self::Done> {
        let ids: Vec<Uuid> = all.iter().map(|id| id.0).collect();
        match self.find(&ids).await {
            Ok(mut found) => ids.iter().map(|id| found.remove(id).transpose()).collect(),
            Err(error) => StoreError::of_all(error, all.len()),
        }
    }

    fn rest(&self) {
        self.connection.give_back();
    }
}

impl Store {
    /// Reads a request and where it stands.
    pub(crate) async fn find(&self, id: RequestId) -> Result<Option<StoredRequest>, StoreError> {
        find_one(&self.pool, id).await
    }
}

/// [`Store::find`] within a transaction.
pub(super) async fn find_one(
    executor: impl PgExecutor<'_>,
    id: RequestId,
) -> Result<Option<StoredRequest>, StoreError> {
    find(executor, &[id.0]).await?.remove(&id.0).transpose()
}

/// Those of these requests that there are, or what is wrong with them.
async fn find(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<Found, StoreError> {
    let (first, last) = span(ids);
    let rows = sqlx::query!(
        r#"
            SELECT r.id, r.phone_index, r.phone_sealed, r.client_id, r.purpose, r.code_nonce,
                r.send_ids, r.provider_key, r.provider_refs, r.delivery, r.expires_at,
                r.verified_at, r.failed_at, p.live_request_id = r.id AS live, p.live_sends,
                p.live_attempts, p.locked_until, p.check_until, p.send_log, p.cooldown_until,
                p.failures_in_row, p.known_send_log, p.known_failure_log, p.known_failures_in_row
            FROM otp_requests AS r JOIN phone_throttles AS p USING (phone_index)
            WHERE r.id = ANY ($1) AND r.id BETWEEN $2 AND $3
            "#,
        ids,
        first,
        last,
    )
    .fetch_all(executor)
    .await?;
    let requests = rows.into_iter().map(|row| {
        let id = row.id;
        let read = || Ok(stored_request!(row));
        (id, read())
    });
    Ok(requests.collect())
}
