//! Checking a code against its request.
//!
//! Where this service makes the codes, nothing is written here: what is read cannot change (the
//! nonce, the phone, the expiry), and what can (tries, lock, single use) is decided by the one
//! statement in `sign_in/store/` that counts the try. So the right code of a request that this process sent
//! a moment ago needs no reading (`recent.rs`). Where the provider makes them, it is asked
//! (`ask.rs`).

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Otp;
use super::code::Guess;
use super::phone_state::By;
use super::request::{RequestId, Status};
use super::send::wait_until;
use super::store::StoredRequest;
use crate::audit::Action;
use crate::client::Caller;
use crate::database::StoreError;
use crate::device_receipt::DeviceReceipt;
use crate::phone::Country;
use crate::provider::{CodeOwner, ProviderError};
use crate::seats::{NoSeat, Seat};
use crate::secrets::SealError;

/// Why a code was neither right nor wrong.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Unknown, expired, used, superseded, failed, blocked, or not this caller's: one answer for all.
    #[error("no live request")]
    NotLive,
    /// The request's or the phone's failure limit is spent.
    #[error("too many wrong codes")]
    TooManyAttempts {
        /// Time until a new code can be asked for.
        wait: Duration,
    },
    /// Another code for the same request is just being checked by the provider.
    #[error("the provider is still checking another code")]
    Busy {
        /// Time until that is over at the latest.
        wait: Duration,
    },
    /// The provider did not say whether the code is right. The same code may be tried again and is
    /// not counted twice.
    #[error("the provider did not check the code")]
    Provider {
        /// The request; it stays verifiable.
        request_id: RequestId,
        /// What went wrong.
        #[source]
        error: ProviderError,
    },
    /// The code could not be sealed, or there was no randomness.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database has no room for the call.
    #[error(transparent)]
    NoSeat(#[from] NoSeat),
}

/// A try, and how far it is decided.
pub(crate) enum Attempt {
    /// Compared here; it is counted and takes effect in one statement.
    Compared {
        request: StoredRequest,
        matches: bool,
        by: By,
    },
    /// The provider says that it is right.
    Proven { request: StoredRequest },
    /// The provider says that it is wrong; the try is counted.
    Wrong {
        request: StoredRequest,
        attempts: i32,
        locked: bool,
        brought: Option<Action>,
    },
}

impl Otp {
    /// Reads the request and finds out about the code.
    pub(crate) async fn attempt(
        &self,
        id: RequestId,
        guess: &Guess,
        (caller, receipt): (&Caller, Option<&DeviceReceipt>),
        seat: &mut Seat,
        now: DateTime<Utc>,
    ) -> Result<Attempt, VerifyError> {
        // Who knows the request needs none, who reads it does so with others, and what comes of it may be decided
        // without the database.
        seat.leave();
        if let Some(right) = self.recently_sent(id, guess, (caller, receipt), now) {
            return Ok(right);
        }
        let request = self.together.readings.join(id).await??;
        let request = of_caller(request, caller)?;
        if self.is_blocked(&request, now) {
            return Err(VerifyError::NotLive);
        }
        let by = self.by(request.phone, (&request.client, receipt), now);
        let here = self.provider.code_owner() == CodeOwner::Service || by == By::TestNumber;
        if !here {
            // The provider is waited for without a seat, and a try that is counted is not to be told to come back.
            return Box::pin(self.ask(request, guess, (caller, by))).await;
        }
        self.pending(&request, by, now)?;
        let matches = self.code_of_stored(&request, now).matches(guess);
        Ok(Attempt::Compared {
            request,
            matches,
            by,
        })
    }

    /// Why a request that was open a moment ago is not any more.
    pub(crate) async fn why_refused(
        &self,
        id: RequestId,
        (caller, by): (&Caller, By),
        now: DateTime<Utc>,
    ) -> VerifyError {
        let looked = async {
            let request = self.stored(id, caller).await?;
            self.pending(&request, by, now)
        };
        looked.await.err().unwrap_or(VerifyError::NotLive)
    }

    /// A request of this caller's.
    pub(crate) async fn stored(
        &self,
        id: RequestId,
        caller: &Caller,
    ) -> Result<StoredRequest, VerifyError> {
        of_caller(self.up_to_date(id).await?, caller)
    }

    /// Whether a code for this request may be tried.
    pub(super) fn pending(
        &self,
        request: &StoredRequest,
        by: By,
        now: DateTime<Utc>,
    ) -> Result<(), VerifyError> {
        match request.standing.status(by, &self.policy, now) {
            Status::Pending => Ok(()),
            Status::Verified | Status::Expired | Status::Failed => Err(VerifyError::NotLive),
            Status::Locked => Err(self.too_many(request, by, now)),
        }
    }

    /// Counts a code that was tried. Of a test number there was no SMS, so it is left out.
    pub(crate) fn count_try(&self, country: Option<Country>, by: By, is_right: bool) {
        if by != By::TestNumber {
            self.metrics.verified(country, is_right);
        }
    }

    pub(super) fn too_many(
        &self,
        request: &StoredRequest,
        by: By,
        now: DateTime<Utc>,
    ) -> VerifyError {
        self.metrics.verify_turned_away("attempts");
        let next = request.standing.phone.next_send_at(by, &self.policy, now);
        VerifyError::TooManyAttempts {
            wait: wait_until(next, now),
        }
    }
}

/// The request, if there is one and it is this caller's.
fn of_caller(
    request: Option<StoredRequest>,
    caller: &Caller,
) -> Result<StoredRequest, VerifyError> {
    request
        .filter(|request| caller.may_act_for(&request.client))
        .ok_or(VerifyError::NotLive)
}
