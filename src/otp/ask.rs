//! Asking the provider whether a code that it made is right.
//!
//! ```text
//! count the try and take the lease -> learn the code's reference, if it was lost
//!   -> ask about an earlier code whose answer is missing -> ask about this one
//!        -> right: `sign_in` uses it up
//!        -> wrong, or no answer: let go of the lease
//! ```
//!
//! A crash at any arrow leaves a counted try and a lease that ends by itself. The same code asked
//! about again then costs nothing, and a "used before" is recognized as its own lost yes (see
//! `store/check.rs`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::sleep;
use uuid::Uuid;

use super::Otp;
use super::code::Guess;
use super::deliver::tell;
use super::phone_state::By;
use super::request::Status;
use super::send::wait_until;
use super::store::{Check, Reserved, Sent, StoredRequest};
use super::verify::{Attempt, VerifyError};
use crate::client::Caller;
use crate::database::StoreError;
use crate::provider::guard::Deadline;
use crate::provider::{Message, ProviderError, Verdict};
use crate::random;
use crate::secrets::{Purpose as Seal, SealError};
use crate::telemetry::Chain;

/// How often a lease that somebody else has is looked at; most calls to a provider take longer.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often the provider is asked once more for an SMS whose fate is not known: as often as a code may
/// be tried.
const REMINDERS: i16 = 5;

/// Why there is no verdict.
enum NoWord {
    /// The provider did not say; whether it looked at the code at all.
    Provider { error: ProviderError, looked: bool },
    /// There is no code that it could be asked about.
    NothingToAsk,
    /// The database failed.
    Store(StoreError),
}

impl Otp {
    /// Counts the try and asks.
    pub(super) async fn ask(
        &self,
        mut request: StoredRequest,
        guess: &Guess,
        (caller, by): (&Caller, By),
    ) -> Result<Attempt, VerifyError> {
        let deadline = self.provider.deadline();
        let (id, digits) = (request.id.0, guess.digits().as_bytes());
        let tag = self
            .keyring
            .fingerprint(&[b"code check", id.as_bytes(), digits]);
        let sealed = self
            .keyring
            .seal(Seal::Guess, &tag, digits, self.random.as_ref())?;
        // Its own, not the operation's: whoever takes over must not lose his lease to us.
        let asker = random::uuid_v4(self.random.as_ref()).map_err(SealError::from)?;
        let (reserved, now) = loop {
            let now = self.clock.now();
            match request.standing.status(by, &self.policy, now) {
                // A locked one may have been locked by this very code, whose answer is missing.
                Status::Pending | Status::Locked => {}
                Status::Verified | Status::Expired | Status::Failed => {
                    return Err(VerifyError::NotLive);
                }
            }
            let check = check(&request, asker, &tag, &sealed, now);
            if let Some(reserved) = self.store.reserve(check, by, &self.policy).await? {
                break (reserved, now);
            }
            request = self.stored(request.id, caller).await?;
            let leased = request.check_until.filter(|until| *until > now);
            match leased {
                None => self.pending(&request, by, now)?,
                Some(until) if deadline.has_passed() => {
                    let wait = wait_until(until, now);
                    return Err(VerifyError::Busy { wait });
                }
                Some(_) => {}
            }
            sleep(LOOK_AGAIN).await;
        };

        let check = check(&request, asker, &tag, &sealed, now);
        match self.find_out(check, &reserved, guess, deadline).await? {
            Verdict::Right => Ok(Attempt::Proven { request }),
            Verdict::Wrong => Ok(Attempt::Wrong {
                request,
                attempts: reserved.attempts,
                locked: reserved.locked,
                brought: reserved.brought,
            }),
            Verdict::AlreadyUsed | Verdict::Gone => Err(VerifyError::NotLive),
            Verdict::Spent => Err(self.too_many(&request, by, now)),
        }
    }

    /// Asks, and lets go of the lease unless the code is right: then it is kept until the code is used
    /// up.
    async fn find_out(
        &self,
        check: Check<'_>,
        reserved: &Reserved,
        guess: &Guess,
        deadline: Deadline,
    ) -> Result<Verdict, VerifyError> {
        match self.find(check, reserved, guess, deadline).await {
            Ok(Verdict::Right) => Ok(Verdict::Right),
            Ok(verdict) => {
                let_go(self.store.release(check, true).await);
                Ok(verdict)
            }
            Err(NoWord::Provider { error, looked }) => {
                let_go(if looked {
                    self.store.release(check, false).await
                } else {
                    self.store.give_back(check, reserved).await
                });
                Err(no_word(check.request, error))
            }
            Err(NoWord::NothingToAsk) => {
                let_go(self.store.give_back(check, reserved).await);
                Err(VerifyError::NotLive)
            }
            Err(NoWord::Store(error)) => Err(error.into()),
        }
    }

    async fn find(
        &self,
        check: Check<'_>,
        reserved: &Reserved,
        guess: &Guess,
        deadline: Deadline,
    ) -> Result<Verdict, NoWord> {
        let references = self.references(check.request, deadline, check.now);
        let references = references.await?;
        if references.is_empty() {
            return Err(NoWord::NothingToAsk);
        }
        if let Some((tag, sealed)) = &reserved.earlier {
            let earlier = self.opened(tag, sealed).ok_or(NoWord::NothingToAsk)?;
            match self.look_into(&earlier, true, &references, deadline).await {
                // Then this one, which is another, is not. The earlier one stays remembered.
                Ok(Verdict::Right) => return Ok(Verdict::Wrong),
                Ok(_) => {}
                Err((error, _)) => return Err(not_looked(error)),
            }
            self.store.remember(check).await.map_err(NoWord::Store)?;
        }
        let found = self.look_into(guess, reserved.repeats, &references, deadline);
        found
            .await
            .map_err(|(error, looked)| NoWord::Provider { error, looked })
    }

    /// Asks about a code for every SMS of the request, the newest first: a late one may bring an
    /// older code. One answer must be yes, or the one that tells most is given: wrong, used before,
    /// spent, gone. `own` says that a code that was used before must have been this one. An error comes
    /// with whether the code was, or may have been, looked at.
    async fn look_into(
        &self,
        guess: &Guess,
        own: bool,
        references: &[String],
        deadline: Deadline,
    ) -> Result<Verdict, (ProviderError, bool)> {
        let mut found = Verdict::Gone;
        let mut looked = false;
        for reference in references.iter().rev() {
            let verdict = match self.provider.check(reference, guess, deadline).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    looked |= !error.surely_not_done();
                    return Err((error, looked));
                }
            };
            looked = true;
            found = match (verdict, found) {
                (Verdict::Right, _) => return Ok(Verdict::Right),
                (Verdict::AlreadyUsed, _) if own => return Ok(Verdict::Right),
                (Verdict::Wrong, _) | (_, Verdict::Wrong) => Verdict::Wrong,
                (Verdict::AlreadyUsed, _) | (_, Verdict::AlreadyUsed) => Verdict::AlreadyUsed,
                (Verdict::Spent, _) | (_, Verdict::Spent) => Verdict::Spent,
                (Verdict::Gone, found) => found,
            };
        }
        Ok(found)
    }

    /// A remembered code. One that cannot be opened cannot be told from this one by the provider's
    /// "used before", so that nothing may be asked any more.
    fn opened(&self, tag: &[u8], sealed: &[u8]) -> Option<Guess> {
        let opened = self.keyring.open(Seal::Guess, tag, sealed).ok()?;
        Guess::parse_tutorial(std::str::from_utf8(&opened).ok()?).ok()
    }

    /// The provider's handles of the codes sent for a request. If its word on the latest SMS was
    /// lost, the same send is asked for once more by its stored name: the provider then tells the
    /// handle, and sends at most the one SMS that was admitted. In case it does not keep to that, it is
    /// asked [`REMINDERS`] times at most.
    async fn references(
        &self,
        request: &StoredRequest,
        deadline: Deadline,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, NoWord> {
        let mut references = request.sms.references.clone();
        let lost = request
            .sms
            .key
            .zip(request.sms.send_ids.last().copied())
            .filter(|_| request.sms.is_unresolved());
        let (Some((key, send_id)), Ok(phone)) = (lost, self.open_phone(request)) else {
            return Ok(references);
        };
        let taken = self.store.take_reminder(request.id, send_id, REMINDERS);
        if !taken.await.map_err(NoWord::Store)? {
            return Ok(references);
        }
        let code = self.code_of_stored(request, now);
        let message = Message {
            phone: &phone,
            code: &code,
            valid_for: request.standing.expires_at - now,
            key,
        };
        match self.provider.send(message, deadline).await {
            Ok(accepted) => {
                references.extend(accepted.reference.clone());
                let sent = Sent {
                    request: request.id,
                    send_id,
                    // Nothing is given back here, so no admission is asked for.
                    admission: send_id,
                    phone: request.phone,
                    at: now,
                    before: None,
                };
                self.conclude(sent, &Ok(accepted)).await;
                Ok(references)
            }
            Err(error) => {
                if error.surely_not_done() {
                    let back = self.store.give_back_reminder(request.id, send_id);
                    back.await.map_err(NoWord::Store)?;
                }
                if references.is_empty() {
                    return Err(not_looked(error));
                }
                Ok(references)
            }
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
    id: Uuid,
    tag: &'a [u8],
    sealed: &'a [u8],
    now: DateTime<Utc>,
) -> Check<'a> {
    Check {
        request,
        id,
        tag,
        sealed,
        now,
    }
}

fn not_looked(error: ProviderError) -> NoWord {
    NoWord::Provider {
        error,
        looked: false,
    }
}

fn no_word(request: &StoredRequest, error: ProviderError) -> VerifyError {
    let request_id = request.id;
    tell(request_id, &error, "provider did not check a code");
    VerifyError::Provider { request_id, error }
}
