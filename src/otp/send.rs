//! Sending a code: store first, then text.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::code::{Binding, OtpCode};
use super::deliver::Outgoing;
use super::guarded::Asks;
use super::phone_state::{By, PhoneState};
use super::request::{Purpose, RequestId, Standing, Status};
use super::store::{Admission, Admitted, Asking, NewRequest, Sent, StoredRequest};
use super::weigh::TurnedAway;
use super::{Otp, Policy};
use crate::audit::Action;
use crate::client::ClientId;
use crate::database::StoreError;
use crate::device_receipt::DeviceReceipt;
use crate::limit::{Limit, Quota, Refusal};
use crate::operation::Operation;
use crate::origin::Origin;
use crate::phone::PhoneNumber;
use crate::provider::ProviderError;
use crate::random::{self, RandomUnavailable};
use crate::seats::{NoSeat, Seat};
use crate::secrets::{PhoneIndex, Purpose as Seal, SealError};
use crate::telemetry::traces;

/// A phone asks for a code.
#[derive(Clone, Debug)]
pub struct SendCode {
    /// Where to.
    pub phone: PhoneNumber,
    /// Who asks for it.
    pub client: ClientId,
    /// What it is for.
    pub purpose: Purpose,
    /// Where from.
    pub origin: Origin,
    /// That the device logged in with this phone before.
    pub receipt: Option<DeviceReceipt>,
}

/// A code is on its way.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The handle to verify or resend it by.
    pub request_id: RequestId,
    /// Where it went.
    pub phone: PhoneNumber,
    /// End of its life.
    pub expires_at: DateTime<Utc>,
    /// When the next send to this phone passes.
    pub resend_at: DateTime<Utc>,
    /// SMS that may still be sent for this request.
    pub sends_remaining: i32,
    /// What is left of the phone's send limits.
    pub quotas: Vec<Quota>,
    /// When the answer was made: later than the call by what the provider took.
    pub answered_at: DateTime<Utc>,
}

/// Why no code was sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// A send limit is spent.
    #[error("a send limit is spent")]
    Limited {
        /// Which one, and for how long.
        refusal: Refusal,
        /// What is left of the phone's send limits.
        quotas: Vec<Quota>,
    },
    /// The request has no sends left; only a new one can be asked for.
    #[error("the request has no sends left")]
    SendsSpent {
        /// Time until a new code can be asked for.
        wait: Duration,
        /// What is left of the phone's send limits.
        quotas: Vec<Quota>,
    },
    /// Too many wrong codes: the request's or the phone's failure limit is spent.
    #[error("too many wrong codes")]
    TooManyAttempts {
        /// Time until a new code can be asked for.
        wait: Duration,
    },
    /// The client may not send to this country, or an operator blocked the number.
    #[error("no code may be sent to this number")]
    NotAllowed,
    /// The address, the bill or the guard against SMS pumping does not allow it.
    #[error("turned away")]
    TurnedAway {
        /// Why, and for how long.
        turned_away: Box<TurnedAway>,
        /// The decision in the audit log, if it could be written.
        decision: Option<Uuid>,
    },
    /// There is no such live request for this caller.
    #[error("no live request")]
    NotLive,
    /// The provider did not take the SMS, or did not say so.
    #[error("the provider did not confirm the SMS")]
    Provider {
        /// The request; it stays verifiable unless the SMS surely never left.
        request_id: RequestId,
        /// What went wrong.
        #[source]
        error: ProviderError,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The phone number could not be sealed or opened.
    #[error("the phone number cannot be sealed or opened")]
    Seal,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// The database has no room for the call.
    #[error(transparent)]
    NoSeat(#[from] NoSeat),
}

impl SendError {
    /// The request whose code may arrive although the provider did not confirm it.
    pub fn live_request(&self) -> Option<RequestId> {
        match self {
            Self::Provider { request_id, error } if !error.surely_not_done() => Some(*request_id),
            Self::Provider { .. }
            | Self::Limited { .. }
            | Self::SendsSpent { .. }
            | Self::TooManyAttempts { .. }
            | Self::NotAllowed
            | Self::TurnedAway { .. }
            | Self::NotLive
            | Self::Store(_)
            | Self::Seal
            | Self::Random(_)
            | Self::NoSeat(_) => None,
        }
    }
}

impl From<SealError> for SendError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Random(error) => Self::Random(error),
            SealError::Cipher => Self::Seal,
        }
    }
}

impl Otp {
    /// Sends a new code, superseding the phone's older one. The request is named by the operation.
    pub async fn send(
        &self,
        ask: SendCode,
        operation: Operation,
        mut seat: Seat,
        now: DateTime<Utc>,
    ) -> Result<Issued, SendError> {
        let random = self.random.as_ref();
        let id = RequestId(operation.id);
        let admission = random::uuid_v4(random)?;
        let nonce: [u8; 16] = random::bytes(random)?;
        let index = self.keyring.phone_index(&ask.phone);
        let e164 = ask.phone.as_e164().as_bytes();
        let sealed = self
            .keyring
            .seal(Seal::Phone, index.as_bytes(), e164, random)?;
        let new = NewRequest {
            id,
            admission,
            phone: index,
            phone_sealed: sealed,
            client: ask.client.clone(),
            purpose: ask.purpose,
            code_nonce: nonce,
            now,
        };
        let asking = Asks {
            action: Action::OtpSend,
            request: id,
            phone: (&ask.phone, index),
            client: ask.client.as_str(),
            origin: &ask.origin,
            receipt: ask.receipt.as_ref(),
        };
        let asked = self.asked(asking, now).await?;
        let asking = Arc::new(Asking { new, asked });
        let asked = &asking.asked;
        let by = asked.by;

        let admitted = self.admit(&asking, &mut seat);
        let phone = match traces::step("admit the SMS", admitted).await? {
            Admission::Admitted(phone, weighed) => {
                self.note_admitted(asked, weighed).await;
                phone
            }
            // Whoever began it died; or this process stood still, and somebody took over.
            Admission::Begun => {
                let stored = self.up_to_date(id).await?.ok_or(SendError::NotLive)?;
                return self.sent_before(operation, ask.phone, &stored, by, now);
            }
            Admission::Refused(phone) => {
                let error = refused(&self.policy, &phone, by, now);
                self.note_refused(asked, &error, now).await;
                return Err(error);
            }
            Admission::TurnedAway(weighed) => {
                return Err(self.turned_away(asked, weighed).await);
            }
        };

        let code = self.code_of(
            index,
            id,
            &asking.new.code_nonce,
            (ask.client.as_str(), ask.purpose),
            now,
        );
        let sms = Sent {
            request: id,
            send_id: operation.id,
            admission,
            phone: index,
            at: now,
            before: None,
        };
        let expires_at = now + self.policy.ttl;
        self.deliver(Outgoing {
            sent: sms,
            phone: &ask.phone,
            code: &code,
            texted: asked.is_texted(),
            key: operation.id,
            is_kept: operation.kept,
            expires_at,
            seat,
        })
        .await?;
        let issued = Issued {
            request_id: id,
            phone: ask.phone,
            expires_at,
            resend_at: phone.next_send_at(by, &self.policy, now),
            sends_remaining: self.policy.max_sends - 1,
            quotas: self.policy.sends.quotas(&phone.history, now),
            answered_at: self.clock.now(),
        };
        self.remember(&asking.new, phone);
        Ok(issued)
    }

    /// Together with others who ask at the same time; or alone, if something sets it apart.
    async fn admit(&self, asking: &Arc<Asking>, seat: &mut Seat) -> Result<Admission, SendError> {
        if asking.asked.is_texted() {
            seat.leave();
            match self.together.admissions.join(Arc::clone(asking)).await?? {
                Admitted::Together(through) => {
                    let (begun, weighed) = *through;
                    return Ok(Admission::Admitted(begun, weighed));
                }
                Admitted::Alone => seat.retake().await?,
            }
        }
        let admitted = self.store.admit(&asking.new, &asking.asked, &self.policy);
        Ok(admitted.await?)
    }

    /// What to answer where this very SMS was admitted before, by somebody who has not answered. It
    /// is not sent again: if nobody knows whether it left, it may have.
    pub(super) fn sent_before(
        &self,
        operation: Operation,
        phone: PhoneNumber,
        stored: &StoredRequest,
        by: By,
        now: DateTime<Utc>,
    ) -> Result<Issued, SendError> {
        let is_latest = stored.sms.send_ids.last() == Some(&operation.id);
        if !is_latest || stored.sms.is_unresolved() {
            return Err(SendError::Provider {
                request_id: stored.id,
                error: ProviderError::TimedOut,
            });
        }
        Ok(self.issued(phone, stored, by, now))
    }

    /// That a stored request's SMS is on its way.
    pub(super) fn issued(
        &self,
        phone: PhoneNumber,
        stored: &StoredRequest,
        by: By,
        now: DateTime<Utc>,
    ) -> Issued {
        let standing = &stored.standing;
        Issued {
            request_id: stored.id,
            phone,
            expires_at: standing.expires_at,
            resend_at: standing.phone.next_send_at(by, &self.policy, now),
            sends_remaining: standing.sends_remaining(by, &self.policy, now),
            quotas: self.policy.sends.quotas(&standing.phone.history, now),
            answered_at: self.clock.now(),
        }
    }

    /// The code of a request; the configured one for a test number.
    pub(super) fn code_of(
        &self,
        phone: PhoneIndex,
        request: RequestId,
        nonce: &[u8],
        (client, purpose): (&str, Purpose),
        now: DateTime<Utc>,
    ) -> OtpCode {
        let fixed = self.test_numbers.code(phone, client, now).cloned();
        fixed.unwrap_or_else(|| {
            let binding = Binding {
                nonce,
                request: request.0,
                client,
                purpose: purpose.name(),
            };
            OtpCode::derive(&self.keyring, binding)
        })
    }

    /// [`Self::code_of`] a stored request.
    pub(crate) fn code_of_stored(&self, stored: &StoredRequest, now: DateTime<Utc>) -> OtpCode {
        let nonce = &stored.code_nonce;
        let what = (stored.client.as_str(), stored.purpose);
        self.code_of(stored.phone, stored.id, nonce, what, now)
    }
}

/// Why a send was not admitted.
fn refused(policy: &Policy, phone: &PhoneState, by: By, now: DateTime<Utc>) -> SendError {
    if phone.locked_until(By::Anybody, policy, now).is_some() {
        return SendError::TooManyAttempts {
            wait: wait_until(phone.next_send_at(by, policy, now), now),
        };
    }
    limited(policy, phone, by, now)
}

/// Why a live request was not sent again.
pub(super) fn resend_refused(
    policy: &Policy,
    standing: &Standing,
    by: By,
    now: DateTime<Utc>,
) -> SendError {
    let wait = wait_until(standing.phone.next_send_at(by, policy, now), now);
    match standing.status(by, policy, now) {
        Status::Verified | Status::Expired | Status::Failed => SendError::NotLive,
        Status::Locked => SendError::TooManyAttempts { wait },
        Status::Pending if standing.sends >= policy.max_sends => SendError::SendsSpent {
            wait,
            quotas: policy.sends.quotas(&standing.phone.history, now),
        },
        Status::Pending => limited(policy, &standing.phone, by, now),
    }
}

fn limited(policy: &Policy, phone: &PhoneState, by: By, now: DateTime<Utc>) -> SendError {
    let history = &phone.history;
    // The statement may have refused what would pass by now: another replica's clock is ahead of ours.
    let limit = policy
        .sends
        .refusal(history, now)
        .map(|refusal| refusal.limit);
    SendError::Limited {
        refusal: Refusal {
            limit: limit.unwrap_or(Limit::Phone),
            wait: wait_until(phone.next_send_at(by, policy, now), now),
        },
        quotas: policy.sends.quotas(history, now),
    }
}

/// Time from `now` to `until`, zero if past.
pub(crate) fn wait_until(until: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (until - now).to_std().unwrap_or(Duration::ZERO)
}
