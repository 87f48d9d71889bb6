//! Sending a live request's code again.

use chrono::{DateTime, Utc};

use super::Otp;
use super::deliver::Outgoing;
use super::request::RequestId;
use super::send::{Issued, SendError, resend_refused};
use super::store::{OneMore, Sent, StoredRequest};
use crate::client::Caller;
use crate::operation::Operation;
use crate::phone::PhoneNumber;
use crate::provider::CodeOwner;
use crate::random;
use crate::secrets::{OpenError, Purpose as Seal};

impl Otp {
    /// Texts a live request's code once more. Its life is not extended; the SMS counts in the
    /// phone's limits like any other. Where the provider makes the codes, an SMS whose fate is not
    /// known is asked for again by the same name, so that the provider need not send it twice.
    pub async fn resend(
        &self,
        id: RequestId,
        caller: &Caller,
        operation: Operation,
        now: DateTime<Utc>,
    ) -> Result<Issued, SendError> {
        // Read first only where something may be blocked: the statement below takes the limits.
        if self.rules.has_phone_rules()
            && let Some(request) = self.store.find(id).await?
            && self.is_blocked(&request, now)
        {
            return Err(SendError::NotLive);
        }
        let keep_key = self.provider.code_owner() == CodeOwner::Vendor;
        let more = OneMore {
            request: id,
            owners: &caller.owners(),
            send_id: operation.id,
            admission: random::uuid_v4(self.random.as_ref())?,
            keep_key,
            now,
        };
        let admission = more.admission;
        let row = self.store.begin_resend(more, &self.policy).await?;
        let (admitted, stored) = row.ok_or(SendError::NotLive)?;
        if !admitted {
            // Whoever began it died; or this process stood still, and somebody took over.
            if stored.sms.send_ids.contains(&operation.id) {
                return self.sent_before(operation, self.open_phone(&stored)?, &stored, now);
            }
            return Err(resend_refused(&self.policy, &stored.standing, now));
        }

        let phone = self.open_phone(&stored)?;
        let code = self.code_of_stored(&stored);
        let kept_key = stored
            .sms
            .key
            .filter(|_| keep_key && stored.sms.is_unresolved());
        self.deliver(Outgoing {
            sent: Sent {
                request: id,
                send_id: operation.id,
                admission,
                phone: stored.phone,
                at: now,
                before: Some(stored.sms.clone()),
            },
            phone: &phone,
            code: &code,
            key: kept_key.unwrap_or(operation.id),
            expires_at: stored.standing.expires_at,
        })
        .await?;
        Ok(self.issued(phone, &stored, now))
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
