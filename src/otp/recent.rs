//! Requests of a moment ago, so that nothing has to be read for the right code of one.
//!
//! What decides here cannot change: whose the request is, its code, its end. What can (whether it is live, its tries,
//! a lock) is decided by the statement that uses the code up, as for a request that was read. A wrong code is not
//! judged here, and a request that another replica sent, or this one forgot, is read as ever.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::Otp;
use super::code::Guess;
use super::phone_state::PhoneState;
use super::request::{Delivery, RequestId, Standing};
use super::store::{NewRequest, Sms, StoredRequest};
use super::verify::Attempt;
use crate::client::Caller;
use crate::device_receipt::DeviceReceipt;
use crate::provider::CodeOwner;

/// Requests that are remembered, of some 700 bytes each. Our own figure: StartMessaging takes 20 SMS a second from one
/// address, so that these are all of more than three minutes.
const MOST: usize = 4096;

/// The requests whose SMS left last and whose codes were not used here.
pub struct Recent(Cache<Uuid, Arc<StoredRequest>>);

impl Default for Recent {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl Recent {
    fn keep(&self, request: StoredRequest) {
        self.0.insert(request.id.0, Arc::new(request));
    }

    /// A request of which this holds; it is forgotten, since its code is about to be used up.
    fn take(
        &self,
        id: RequestId,
        holds: impl FnOnce(&StoredRequest) -> bool,
    ) -> Option<StoredRequest> {
        let (_, request) = self.0.remove(&id.0)?;
        if holds(&request) {
            return Arc::into_inner(request);
        }
        self.0.insert(id.0, request);
        None
    }
}

impl Otp {
    /// Remembers a request whose SMS the provider took: one whose SMS never left could be begun again, with another
    /// code.
    pub(super) fn remember(&self, new: &NewRequest, phone: PhoneState) {
        if self.provider.code_owner() != CodeOwner::Service {
            return;
        }
        self.recent.keep(StoredRequest {
            id: new.id,
            phone: new.phone,
            phone_sealed: new.phone_sealed.clone(),
            client: new.client.as_str().to_owned(),
            purpose: new.purpose,
            code_nonce: new.code_nonce.to_vec(),
            sms: Sms {
                send_ids: vec![new.id.0],
                key: Some(new.id.0),
                delivery: Delivery::Sent,
                references: Vec::new(),
            },
            check_until: None,
            standing: Standing::begun(new.now + self.policy.ttl, phone),
        });
    }

    /// That this is the code of a request of a moment ago.
    pub(super) fn recently_sent(
        &self,
        id: RequestId,
        guess: &Guess,
        (caller, receipt): (&Caller, Option<&DeviceReceipt>),
        now: DateTime<Utc>,
    ) -> Option<Attempt> {
        let request = self.recent.take(id, |request| {
            caller.may_act_for(&request.client)
                && now < request.standing.expires_at
                && !self.is_blocked(request, now)
                && self.code_of_stored(request, now).matches(guess)
        })?;
        let by = self.by(request.phone, (&request.client, receipt), now);
        Some(Attempt::Compared {
            request,
            matches: true,
            by,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otp::request::Purpose;
    use crate::otp::tests::{at, phone};
    use crate::secrets::PhoneIndex;

    fn request(id: u128) -> StoredRequest {
        StoredRequest {
            id: RequestId(Uuid::from_u128(id)),
            phone: PhoneIndex::try_from(vec![7; 32]).unwrap(),
            phone_sealed: Vec::new(),
            client: "app".to_owned(),
            purpose: Purpose::Login,
            code_nonce: vec![7; 16],
            sms: Sms {
                send_ids: Vec::new(),
                key: None,
                delivery: Delivery::Sent,
                references: Vec::new(),
            },
            check_until: None,
            standing: Standing::begun(at(300), phone()),
        }
    }

    #[test]
    fn a_request_is_taken_once() {
        let recent = Recent::default();
        recent.keep(request(1));
        recent.keep(request(2));

        let taken = recent.take(request(1).id, |request| request.client == "app");

        assert_eq!(taken.map(|request| request.id), Some(request(1).id));
        assert!(recent.take(request(1).id, |_| true).is_none());
        assert!(recent.take(request(2).id, |_| true).is_some());
    }

    #[test]
    fn one_that_is_not_wanted_stays() {
        let recent = Recent::default();
        recent.keep(request(1));

        assert!(recent.take(request(1).id, |_| false).is_none());

        assert!(recent.take(request(1).id, |_| true).is_some());
    }

    #[test]
    fn no_more_than_the_most_are_kept() {
        let recent = Recent::default();
        let all = 1..=u128::try_from(MOST).unwrap() * 3;
        for id in all.clone() {
            recent.keep(request(id));
        }

        let kept = all.filter(|id| recent.take(request(*id).id, |_| true).is_some());

        let kept = kept.count();
        assert!(kept <= MOST && kept > MOST / 2, "{kept}");
    }
}
