//! Sending a live request's code again.

use chrono::{DateTime, Utc};

use super::Otp;
use super::deliver::Outgoing;
use super::guarded::Asks;
use super::request::RequestId;
use super::send::{Issued, SendError, resend_refused};
use super::store::{Again, OneMore, Sent, StoredRequest};
use crate::audit::Action;
use crate::client::Caller;
use crate::device_receipt::DeviceReceipt;
use crate::operation::Operation;
use crate::origin::Origin;
use crate::phone::PhoneNumber;
use crate::provider::CodeOwner;
use crate::random;
use crate::seats::Seat;
use crate::secrets::OpenError;
use crate::telemetry::traces;

/// Somebody asks for one more SMS.
#[derive(Clone, Debug)]
pub struct ResendCode {
    /// Of this request.
    pub request: RequestId,
    /// Who asks for it.
    pub caller: Caller,
    /// Where from.
    pub origin: Origin,
    /// That the device logged in with this phone before.
    pub receipt: Option<DeviceReceipt>,
}

impl Otp {
    /// Texts a live request's code once more. Its life is not extended; the SMS counts in the
    /// phone's limits like any other. Where the provider makes the codes, an SMS whose fate is not
    /// known is asked for again by the same name, so that the provider need not send it twice.
    pub async fn resend(
        &self,
        ask: ResendCode,
        operation: Operation,
        seat: Seat,
        now: DateTime<Utc>,
    ) -> Result<Issued, SendError> {
        let keep_key = self.provider.code_owner() == CodeOwner::Vendor;
        let id = ask.request;
        let found = self.up_to_date(id).await?;
        let found = found.filter(|found| ask.caller.may_act_for(&found.client));
        let found = found.filter(|found| !self.is_blocked(found, now));
        let found = found.ok_or(SendError::NotLive)?;
        let phone = self.open_phone(&found)?;
        let asking = Asks {
            action: Action::OtpResend,
            request: id,
            phone: (&phone, found.phone),
            client: &found.client,
            origin: &ask.origin,
            receipt: ask.receipt.as_ref(),
        };
        let asked = self.asked(asking, now).await?;
        let by = asked.by;
        let more = OneMore {
            request: id,
            owners: &ask.caller.owners(),
            send_id: operation.id,
            admission: random::uuid_v4(self.random.as_ref())?,
            keep_key,
            now,
        };
        let admitted = self.store.admit_again(&more, &asked, &self.policy);
        let stored = match traces::step("admit the SMS", admitted).await? {
            Again::Admitted(stored, weighed) => {
                self.note_admitted(&asked, weighed).await;
                stored
            }
            // Whoever began it died; or this process stood still, and somebody took over.
            Again::Refused(stored) if stored.sms.send_ids.contains(&operation.id) => {
                return self.sent_before(operation, phone, &stored, by, now);
            }
            Again::Refused(stored) => {
                let error = resend_refused(&self.policy, &stored.standing, by, now);
                self.note_refused(&asked, &error, now).await;
                return Err(error);
            }
            Again::TurnedAway(weighed) => {
                return Err(self.turned_away(&asked, weighed).await);
            }
            Again::Gone => return Err(SendError::NotLive),
        };

        let code = self.code_of_stored(&stored, now);
        let kept_key = stored
            .sms
            .key
            .filter(|_| keep_key && stored.sms.is_unresolved());
        self.deliver(Outgoing {
            sent: Sent {
                request: id,
                send_id: operation.id,
                admission: more.admission,
                phone: stored.phone,
                at: now,
                before: Some(stored.sms.clone()),
            },
            phone: &phone,
            code: &code,
            texted: asked.is_texted(),
            key: kept_key.unwrap_or(operation.id),
            is_kept: operation.kept,
            expires_at: stored.standing.expires_at,
            seat,
        })
        .await?;
        Ok(self.issued(phone, &stored, by, now))
    }

    /// The number a stored request was for.
    pub(crate) fn open_phone(&self, stored: &StoredRequest) -> Result<PhoneNumber, SendError> {
        let index = stored.phone.as_bytes();
        let opened = self.keyring.open_phone(index, &stored.phone_sealed);
        opened.map_err(|OpenError| SendError::Seal)
    }
}
