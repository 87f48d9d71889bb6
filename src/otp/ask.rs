//! Asking the provider whether a code that it made is right.
//!
//! ```text
//! count the try and take the lease -> learn the code's reference, if it was lost
//!   -> ask, newest code first -> right: `sign_in` uses it up
//!                             -> wrong, or no answer: let go of the lease
//! ```
//!
//! A crash at any arrow leaves a counted try and a lease that ends by itself. The same code asked
//! about again then costs nothing, and a "used before" is recognized as its own lost yes (see
//! `store/check.rs`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::sleep;

use super::Otp;
use super::code::Guess;
use super::request::Status;
use super::send::wait_until;
use super::store::{Check, Reserved, Sent, StoredRequest, Word};
use super::verify::{Attempt, VerifyError};
use crate::client::Caller;
use crate::database::StoreError;
use crate::operation::Operation;
use crate::provider::guard::Deadline;
use crate::provider::{Message, ProviderError, Verdict};
use crate::telemetry::Chain;

/// How often a lease that somebody else has is looked at; most calls to a provider take longer.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What all of the provider's answers about one code come to.
enum Finding {
    Right,
    Wrong,
    /// A code of this request was used, and it was not this one.
    Used,
    Spent,
    Gone,
}

impl Otp {
    /// Counts the try and asks.
    pub(super) async fn ask(
        &self,
        request: StoredRequest,
        guess: &Guess,
        caller: &Caller,
        operation: Operation,
    ) -> Result<Attempt, VerifyError> {
        let deadline = self.provider.deadline();
        let tag = self.keyring.fingerprint(&[
            b"code check",
            request.id.0.as_bytes(),
            guess.digits().as_bytes(),
        ]);
        let mut request = request;
        let (reserved, now) = loop {
            let now = self.clock.now();
            match request.standing.status(&self.policy, now) {
                Status::Pending | Status::Locked => {}
                Status::Verified | Status::Expired | Status::Failed => {
                    return Err(VerifyError::NotLive);
                }
            }
            let check = check(&request, operation, &tag, now);
            let lease = self.policy.lease;
            if let Some(reserved) = self.store.reserve(check, lease, &self.policy).await? {
                break (reserved, now);
            }
            request = self.stored(request.id, caller).await?;
            let leased = request.check_until.filter(|until| *until > now);
            match leased {
                None => self.pending(&request, now)?,
                Some(until) if deadline.has_passed() => {
                    return Err(VerifyError::Busy {
                        wait: wait_until(until, now),
                    });
                }
                Some(_) => {}
            }
            sleep(LOOK_AGAIN).await;
        };

        let check = check(&request, operation, &tag, now);
        let references = match self.references(&request, deadline, now).await {
            Ok(references) => references,
            Err(error) => {
                let_go(self.store.give_back(check, reserved).await);
                return Err(no_word(&request, error));
            }
        };
        if references.is_empty() {
            // The provider has no code of this request that it could be asked about.
            let_go(self.store.give_back(check, reserved).await);
            return Err(VerifyError::NotLive);
        }
        let finding = self.look_into(check, reserved, guess, &references, deadline);
        match finding.await.map_err(|error| no_word(&request, error))? {
            Finding::Right => Ok(Attempt::Proven { request }),
            Finding::Wrong => Ok(Attempt::Wrong {
                attempts: reserved.attempts,
                locked: reserved.locked,
            }),
            Finding::Used | Finding::Gone => Err(VerifyError::NotLive),
            Finding::Spent => Err(self.too_many(&request, now)),
        }
    }

    /// Asks about every code that was sent for the request, the newest first: a late SMS may bring
    /// an older one. The lease is kept for a right code until it is used up.
    async fn look_into(
        &self,
        check: Check<'_>,
        reserved: Reserved,
        guess: &Guess,
        references: &[String],
        deadline: Deadline,
    ) -> Result<Finding, ProviderError> {
        let mut finding = Finding::Gone;
        let mut asked = false;
        for reference in references.iter().rev() {
            let verdict = match self.provider.check(reference, guess, deadline).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    let undone = !asked && error.surely_not_done();
                    let_go(if undone {
                        self.store.give_back(check, reserved).await
                    } else {
                        self.store.release(check, Word::Missing).await
                    });
                    return Err(error);
                }
            };
            asked = true;
            finding = match (verdict, finding) {
                (Verdict::Right, _) => return Ok(Finding::Right),
                (Verdict::AlreadyUsed, _) if reserved.repeats => return Ok(Finding::Right),
                (Verdict::Wrong, _) | (_, Finding::Wrong) => Finding::Wrong,
                (Verdict::AlreadyUsed, _) | (_, Finding::Used) => Finding::Used,
                (Verdict::Spent, _) | (_, Finding::Spent) => Finding::Spent,
                (Verdict::Gone, finding) => finding,
            };
        }
        let word = match finding {
            Finding::Wrong | Finding::Spent | Finding::Gone => Word::Refused,
            Finding::Used => Word::OtherUsed,
            Finding::Right => Word::Missing,
        };
        let_go(self.store.release(check, word).await);
        Ok(finding)
    }

    /// The provider's handles of the codes sent for a request. If its word on the latest SMS was
    /// lost, the same send is asked for once more by its stored name: the provider then tells the
    /// handle, and sends at most the one SMS that was admitted. An SMS that it says it could not send
    /// is not asked for again: it may be out all the same, and would be once more each time.
    async fn references(
        &self,
        request: &StoredRequest,
        deadline: Deadline,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, ProviderError> {
        let mut references = request.sms.references.clone();
        let lost = request
            .sms
            .key
            .zip(request.sms.send_ids.last().copied())
            .filter(|_| references.is_empty() || request.sms.is_unresolved());
        let (Some((key, send_id)), Ok(phone)) = (lost, self.open_phone(request)) else {
            return Ok(references);
        };
        let code = self.code_of_stored(request);
        let message = Message {
            phone: &phone,
            code: &code,
            valid_for: request.standing.expires_at - now,
            key,
        };
        let result = self.provider.send(message, deadline).await;
        if let Ok(accepted) = &result {
            references.extend(accepted.reference.clone());
        }
        if matches!(result, Ok(_) | Err(ProviderError::SendFailed { .. })) {
            let sent = Sent {
                request: request.id,
                send_id,
                // Nothing is given back here, so no admission is asked for.
                admission: send_id,
                phone: request.phone,
                at: now,
                before: None,
            };
            self.conclude(sent, &result).await;
        }
        match result {
            Err(error) if references.is_empty() => Err(error),
            Ok(_) | Err(_) => Ok(references),
        }
    }
}

/// A lease that could not be let go of ends by itself; only the next try waits for it.
fn let_go(result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::error!(error = %Chain(&error), "lease of a check not let go of");
    }
}

fn check<'a>(
    request: &'a StoredRequest,
    operation: Operation,
    tag: &'a [u8],
    now: DateTime<Utc>,
) -> Check<'a> {
    Check {
        request,
        id: operation.id,
        tag,
        now,
    }
}

fn no_word(request: &StoredRequest, error: ProviderError) -> VerifyError {
    let request_id = request.id;
    tracing::warn!(request.id = %request_id, error = %Chain(&error), "provider did not check a code");
    VerifyError::Provider { request_id, error }
}
