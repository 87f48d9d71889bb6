//! Sending the same digits again.

use chrono::{DateTime, Utc};

use super::Otp;
use super::request::RequestId;
use super::send::{Issued, Outgoing, SendError, resend_refused};
use super::store::{Sent, StoredRequest};
use crate::client::Caller;
use crate::phone::PhoneNumber;
use crate::random;
use crate::secrets::{OpenError, Purpose as Seal};

impl Otp {
    /// Texts a live request's code once more. Its life is not extended; the SMS counts in the
    /// phone's limits like any other.
    pub async fn resend(
        &self,
        id: RequestId,
        caller: &Caller,
        now: DateTime<Utc>,
    ) -> Result<Issued, SendError> {
        let send_id = random::uuid_v7(self.random.as_ref(), now)?;
        let owners = caller.owners();
        let row = self
            .store
            .begin_resend(id, &owners, send_id, &self.policy, now)
            .await?;
        let (admitted, stored) = row.ok_or(SendError::NotLive)?;
        if !admitted {
            return Err(resend_refused(&self.policy, &stored.standing, now));
        }

        let phone = self.open_phone(&stored)?;
        let code = self.code_of_stored(&stored);
        let standing = &stored.standing;
        let sent = Sent {
            request: id,
            send_id,
            phone: stored.phone,
            at: now,
        };
        let expires_at = standing.expires_at;
        self.deliver(Outgoing {
            sent,
            phone: phone.clone(),
            code,
            expires_at,
        })
        .await?;
        Ok(Issued {
            request_id: id,
            phone,
            expires_at,
            resend_at: self.policy.sends.next_send_at(&standing.history, now),
            sends_remaining: standing.sends_remaining(&self.policy, now),
            quotas: self.policy.sends.quotas(&standing.history, now),
            answered_at: self.clock.now(),
        })
    }

    /// The number a stored request was for.
    pub(crate) fn open_phone(&self, stored: &StoredRequest) -> Result<PhoneNumber, SendError> {
        let binding = stored.phone.as_bytes();
        let opened = self
            .keyring
            .open(Seal::Phone, binding, &stored.phone_sealed);
        let opened = opened.map_err(|OpenError| SendError::Seal)?;
        let number = std::str::from_utf8(&opened).ok();
        number
            .and_then(|number| PhoneNumber::from_stored_e164(number).ok())
            .ok_or(SendError::Seal)
    }
}
