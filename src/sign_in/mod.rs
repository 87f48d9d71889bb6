//! The one place where a code meets a token: a right code becomes a user, a session and a JWT.

mod log;
mod store;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::audit::{self, Action, Actor, Audit, Event};
use crate::client::{Caller, Client, Clients};
use crate::database::StoreError;
use crate::device_receipt::DeviceReceipt;
use crate::operation::Operation;
use crate::origin::Origin;
use crate::otp::Otp;
use crate::otp::code::Guess;
use crate::otp::phone_state::By;
use crate::otp::request::RequestId;
use crate::otp::send::SendError;
use crate::otp::store::StoredRequest;
use crate::otp::verify::{Attempt, VerifyError};
use crate::phone::PhoneNumber;
use crate::random::{self, Random, RandomUnavailable};
use crate::seats::shared::Group;
use crate::seats::{Class, NoSeat, Seat, Seats};
use crate::secrets::SealError;
use crate::session::{SessionError, Sessions, Tokens};
use crate::telemetry::traces;
use crate::token::grant::{Granted, Wanted};
use store::{Noted, Outcome, Settlements, Tried};

/// What a right code is worth.
#[derive(Debug)]
pub struct SignedIn {
    /// The session that began, and its tokens.
    pub tokens: Tokens,
    /// Whether this phone had no user before.
    pub new_user: bool,
    /// That this device logged in with this phone.
    pub receipt: DeviceReceipt,
}

/// Why a code signed nobody in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The code was not compared.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The code was wrong; the try is counted.
    #[error("wrong code")]
    Incorrect {
        /// Codes that may still be tried.
        attempts_remaining: i32,
    },
    /// The request's client is no longer registered.
    #[error("the request's client is not registered")]
    UnknownClient,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// The phone number could not be opened.
    #[error(transparent)]
    Phone(#[from] SendError),
    /// The receipt could not be made.
    #[error(transparent)]
    Receipt(#[from] SealError),
    /// The database has no room for the call.
    #[error(transparent)]
    NoSeat(#[from] NoSeat),
    /// The session could not be begun, or asks for what its client was not given.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Somebody tries a code.
#[derive(Clone, Debug)]
pub struct VerifyCode {
    /// Of this request.
    pub request: RequestId,
    /// What was typed.
    pub guess: Guess,
    /// What the tokens shall be for.
    pub wanted: Wanted,
    /// Who asks.
    pub caller: Caller,
    /// Where from.
    pub origin: Origin,
    /// That the device logged in with this phone before.
    pub receipt: Option<DeviceReceipt>,
}

/// Signs people in.
pub struct SignIn {
    pub(crate) pool: PgPool,
    pub(crate) otp: Arc<Otp>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) audit: Arc<Audit>,
    settlements: Arc<Group<Settlements>>,
}

impl SignIn {
    /// Over the database of its parts, within the runtime that settles right codes.
    pub(crate) fn new(
        pool: &PgPool,
        (otp, sessions): (&Arc<Otp>, &Arc<Sessions>),
        seats: &Arc<Seats>,
    ) -> Self {
        let settlements = Settlements::new(pool.clone(), otp.policy.clone());
        Self {
            pool: pool.clone(),
            otp: Arc::clone(otp),
            sessions: Arc::clone(sessions),
            clients: Arc::clone(&otp.clients),
            random: Arc::clone(&otp.random),
            audit: Arc::clone(&otp.audit),
            settlements: Group::new(settlements, Arc::clone(seats), Class::Login),
        }
    }

    /// Checks a code, counts the try, and for a right one signs the user in.
    ///
    /// The code's use, the user and the session are one statement: a crash leaves either all of
    /// them or none, and of any number of parallel calls one wins. The session is named by the
    /// operation: whoever repeats an operation that made one gets that one's token.
    pub async fn verify(
        &self,
        ask: &VerifyCode,
        operation: Operation,
        mut seat: Seat,
        now: DateTime<Utc>,
    ) -> Result<SignedIn, SignInError> {
        let (id, caller) = (ask.request, &ask.caller);
        let who = (caller, ask.receipt.as_ref());
        if operation.repeated
            && let Some(session) = store::session(&self.pool, operation.id).await?
        {
            let request = self.otp.stored(id, caller).await?;
            let client = self.client_of(&request)?;
            let tokens = self.sessions.begin_again(session.id, client, now).await?;
            return self.signed_in(&request, tokens, session.new_user);
        }
        if !ask.wanted.is_all() {
            // Looked at first: a mistake in what is asked for must not cost the code.
            let request = self.otp.stored(id, caller).await?;
            let all = Granted::all(self.client_of(&request)?);
            all.narrowed(&ask.wanted).map_err(SessionError::from)?;
        }
        let attempt = self.otp.attempt(id, &ask.guess, who, &mut seat, now);
        let attempt = traces::step("compare the code", attempt).await?;
        let (request, right, proven, by) = match attempt {
            Attempt::Compared {
                request,
                matches,
                by,
            } => (request, matches, false, by),
            Attempt::Proven { request } => (request, true, true, By::Anybody),
            Attempt::Wrong {
                request,
                attempts,
                locked,
                brought,
            } => {
                self.count_wrong(&request, By::Anybody);
                self.note_wrong(ask, &request, brought).await;
                return Err(self.incorrect(attempts, locked));
            }
        };
        // Looked for first: a client that is gone must not cost a code that was compared here.
        let client = self.client_of(&request)?;
        let user = random::uuid_v4(self.random.as_ref())?;
        let noted = Noted {
            id: random::uuid_v7(self.random.as_ref(), now)?,
            cap_id: random::uuid_v7(self.random.as_ref(), now)?,
            lock_id: random::uuid_v7(self.random.as_ref(), now)?,
            action: action(by),
            actor: Actor::Client(client.id.clone()),
            origin: ask.origin.clone(),
        };
        let begins_with = (&ask.wanted, amr(by), &ask.origin.seen);
        let new = self
            .sessions
            .prepare(operation.id, client, begins_with, now)?;
        let tried = Box::new(Tried {
            noted,
            request,
            right,
            proven,
            by,
            user,
            session: new,
            sessions_per_user: self.sessions.per_user,
            at: now,
        });
        let settled = self.settle(tried, &mut seat);
        let (tried, outcome) = traces::step("settle the try", settled).await?;
        log::told(&tried.noted, &outcome, now);
        let Tried {
            request, session, ..
        } = *tried;
        match outcome {
            Outcome::Right { user_id, .. } => {
                let phone = self.otp.open_phone(&request);
                let country = phone.as_ref().ok().and_then(PhoneNumber::country);
                self.otp.count_try(country, by, true);
                let phone = phone?;
                let client = self.client_of(&request)?;
                let tokens = self.sessions.begun(session, user_id, phone, client)?;
                self.signed_in(&request, tokens, user_id == user)
            }
            Outcome::Wrong {
                attempts, locked, ..
            } => {
                self.count_wrong(&request, by);
                Err(self.incorrect(attempts, locked))
            }
            // Somebody else ended the request since it was read; say what it is now.
            Outcome::Refused => Err(self.otp.why_refused(id, (caller, by), now).await.into()),
        }
    }

    /// Together with others that come at the same time; or alone, if something sets it apart.
    async fn settle(
        &self,
        mut tried: Box<Tried>,
        seat: &mut Seat,
    ) -> Result<(Box<Tried>, Outcome), SignInError> {
        if tried.goes_together() {
            seat.leave();
            let (back, settled) = self.settlements.join(tried).await?;
            tried = back;
            if let Some(outcome) = settled? {
                return Ok((tried, outcome));
            }
        }
        // A try that is counted already is not to be told to come back.
        if !tried.proven {
            seat.retake().await?;
        }
        let outcome = store::settle(&self.pool, &tried, &self.otp.policy).await?;
        Ok((tried, outcome))
    }

    /// Tells the audit log of a wrong code that the provider checked; the try itself was counted before it
    /// was asked.
    async fn note_wrong(&self, ask: &VerifyCode, request: &StoredRequest, brought: Option<Action>) {
        let Ok(client) = self.client_of(request) else {
            return;
        };
        let actor = Actor::Client(client.id.clone());
        let about = |action, outcome, actor| {
            let event = Event::new(action, outcome, actor).reason("wrong_code");
            event.phone(request.phone).request(request.id.0)
        };
        let failure = about(Action::OtpVerify, audit::Outcome::Failure, actor);
        let failure = failure.address(ask.origin.key).trace(&ask.origin.trace_id);
        self.audit.note(&failure).await;
        if let Some(action) = brought {
            let lock = about(action, audit::Outcome::Success, Actor::Service);
            self.audit.note(&lock.reason("wrong_codes")).await;
        }
    }

    fn count_wrong(&self, request: &StoredRequest, by: By) {
        let phone = self.otp.open_phone(request).ok();
        let country = phone.and_then(|phone| phone.country());
        self.otp.count_try(country, by, false);
    }

    fn incorrect(&self, attempts: i32, locked: bool) -> SignInError {
        let left = self.otp.policy.max_attempts - attempts;
        let attempts_remaining = if locked { 0 } else { left.max(0) };
        SignInError::Incorrect { attempts_remaining }
    }

    fn client_of(&self, request: &StoredRequest) -> Result<&Client, SignInError> {
        let client = self.clients.get(&request.client);
        client.ok_or(SignInError::UnknownClient)
    }

    fn signed_in(
        &self,
        request: &StoredRequest,
        tokens: Tokens,
        new_user: bool,
    ) -> Result<SignedIn, SignInError> {
        Ok(SignedIn {
            tokens,
            new_user,
            receipt: self.otp.receipt(request.phone, self.otp.now())?,
        })
    }
}

fn action(by: By) -> Action {
    match by {
        By::Anybody | By::KnownDevice => Action::OtpVerify,
        By::TestNumber => Action::TestNumberUse,
    }
}

/// A one-time code over SMS, a single factor (RFC 8176); `test` where the code is a fixed one and there
/// was no SMS.
fn amr(by: By) -> Vec<String> {
    let how = match by {
        By::Anybody | By::KnownDevice => "sms",
        By::TestNumber => "test",
    };
    vec!["otp".to_owned(), how.to_owned()]
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::Verify(VerifyError::Store(error))
    }
}
