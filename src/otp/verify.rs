//! Checking a code against its request, before anything is written.
//!
//! What is read here cannot change (the nonce, the phone, the expiry); what can (tries, lock,
//! single use) is decided by the one statement in `sign_in/store.rs` that counts the try.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Otp;
use super::code::Guess;
use super::request::{RequestId, Status};
use super::send::wait_until;
use super::store::StoredRequest;
use crate::client::Caller;
use crate::database::StoreError;

/// Why a code was not even compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Unknown, expired, used, superseded, failed, or not this caller's: one answer for all.
    #[error("no live request")]
    NotLive,
    /// The request's or the phone's failure limit is spent.
    #[error("too many wrong codes")]
    TooManyAttempts {
        /// Time until a new code can be asked for.
        wait: Duration,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A try that is about to be counted.
pub(crate) struct Attempt {
    pub(crate) request: StoredRequest,
    pub(crate) matches: bool,
}

impl Otp {
    /// Reads the request and compares the code, without telling anyone the result yet.
    pub(crate) async fn attempt(
        &self,
        id: RequestId,
        guess: &Guess,
        caller: &Caller,
        now: DateTime<Utc>,
    ) -> Result<Attempt, VerifyError> {
        let request = self.live(id, caller, now).await?;
        let matches = self.code_of_stored(&request).matches(guess);
        Ok(Attempt { request, matches })
    }

    /// A request whose code may be tried, or why it may not.
    pub(crate) async fn live(
        &self,
        id: RequestId,
        caller: &Caller,
        now: DateTime<Utc>,
    ) -> Result<StoredRequest, VerifyError> {
        let request = self.store.find(id).await?.ok_or(VerifyError::NotLive)?;
        if !caller.may_act_for(&request.client) {
            return Err(VerifyError::NotLive);
        }
        match request.standing.status(&self.policy, now) {
            Status::Pending => Ok(request),
            Status::Verified | Status::Expired | Status::Failed => Err(VerifyError::NotLive),
            Status::Locked => {
                let next = request.standing.next_send_at(&self.policy, now);
                Err(VerifyError::TooManyAttempts {
                    wait: wait_until(next, now),
                })
            }
        }
    }
}
