//! Telling where a request stands.

use chrono::{DateTime, Utc};

use super::Otp;
use super::phone_state::By;
use super::request::{Delivery, RequestId, Status};
use crate::database::StoreError;

/// Where a request stands, as callers see it.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// The request.
    pub request_id: RequestId,
    /// Its state.
    pub status: Status,
    /// What is known of its latest SMS.
    pub delivery: Delivery,
    /// Codes that may still be tried.
    pub attempts_remaining: i32,
    /// SMS that may still be sent for it.
    pub sends_remaining: i32,
    /// End of the code's life.
    pub expires_at: DateTime<Utc>,
    /// When the next send to this phone passes.
    pub resend_at: DateTime<Utc>,
}

impl Otp {
    /// Reports on a request; `None` if there is none.
    pub async fn report(
        &self,
        id: RequestId,
        now: DateTime<Utc>,
    ) -> Result<Option<Report>, StoreError> {
        let policy = &self.policy;
        Ok(self.up_to_date(id).await?.map(|stored| Report {
            request_id: id,
            status: stored.standing.status(By::Anybody, policy, now),
            delivery: stored.sms.delivery,
            attempts_remaining: stored.standing.attempts_remaining(policy, now),
            sends_remaining: stored.standing.sends_remaining(By::Anybody, policy, now),
            expires_at: stored.standing.expires_at,
            resend_at: stored.standing.phone.next_send_at(By::Anybody, policy, now),
        }))
    }
}
