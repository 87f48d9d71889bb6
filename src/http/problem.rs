//! Errors as callers see them: RFC 9457 problem details.
//!
//! Every error of the inside is mapped here and nowhere else; the bodies of 5xx answers are
//! constant, their causes go to the log.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::codes::Code;
use super::reply::Reply;
use crate::database::StoreError;
use crate::idempotency::IdempotencyError;
use crate::limit::{Limit, Quota, Refusal};
use crate::otp::request::RequestId;
use crate::otp::send::SendError;
use crate::otp::verify::VerifyError;
use crate::otp::weigh::{Spent, TurnedAway};
use crate::phone::PhoneError;
use crate::provider::ProviderError;
use crate::random::RandomUnavailable;
use crate::rules::RulesError;
use crate::seats::NoSeat;
use crate::session::SessionError;
use crate::sign_in::SignInError;
use crate::telemetry::Chain;
use crate::token::grant::NotGiven;

use std::time::Duration;

/// Seconds to wait when nothing better is known, such as until a database is back.
const SOON: Duration = Duration::from_secs(5);
/// Seconds to wait where a person must act first, such as an empty balance.
const LATER: Duration = Duration::from_mins(1);

/// One problem, ready to be rendered.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Which one.
    pub code: Code,
    /// What to do about it, for the developer who reads it.
    pub detail: &'static str,
    /// Further members of the body.
    pub members: Map<String, Value>,
    /// Time to wait, rounded up to whole seconds.
    pub retry_after: Option<Duration>,
    /// Whether the same call may turn out otherwise, although its status looks like an end.
    pub open_ended: bool,
    /// What is left of the limits that were looked at.
    pub quotas: Vec<Quota>,
    /// How to authenticate.
    pub challenge: Option<&'static str>,
}

impl Problem {
    /// A problem with the code's usual detail.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: code.meaning(),
            members: Map::new(),
            retry_after: None,
            open_ended: false,
            quotas: Vec::new(),
            challenge: code.challenge(),
        }
    }

    /// No bearer token came at all, of which nothing can be said (RFC 6750 section 3.1).
    pub fn no_token() -> Self {
        Self {
            challenge: Some(r#"Bearer realm="otp-auth""#),
            ..Self::new(Code::InvalidToken)
        }
    }

    /// A `400 invalid_request` that points at one member of the body.
    pub fn field(pointer: &'static str, detail: &str) -> Self {
        Self::fields(&[(pointer, detail)])
    }

    /// A `400 invalid_request` that points at several members of the body.
    pub fn fields(errors: &[(&'static str, &str)]) -> Self {
        let errors: Vec<Value> = errors
            .iter()
            .map(|(pointer, detail)| json!({"pointer": pointer, "detail": detail}))
            .collect();
        Self::new(Code::InvalidRequest).with("errors", Value::from(errors))
    }

    /// Replaces the detail.
    #[must_use]
    pub fn detail(mut self, detail: &'static str) -> Self {
        self.detail = detail;
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    /// Says how long to wait, in the header and in the body.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self.with("retry_after", json!(whole_seconds(wait)))
    }

    /// Adds what is left of limits, for the `RateLimit` fields.
    #[must_use]
    pub fn quotas(mut self, quotas: Vec<Quota>) -> Self {
        self.quotas.extend(quotas);
        self
    }

    /// A defect of ours; the cause goes to the log only.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %Chain(cause), "internal error");
        Self::new(Code::InternalError)
    }

    /// Renders the body. `issuer` is where the problem pages are served.
    pub fn render(self, issuer: &str, trace_id: &str) -> Reply {
        let mut body = self.members;
        body.insert(
            "type".to_owned(),
            json!(format!("{issuer}/problems/{}", self.code.name())),
        );
        body.insert("title".to_owned(), json!(self.code.title()));
        body.insert("status".to_owned(), json!(self.code.status()));
        body.insert("detail".to_owned(), json!(self.detail));
        body.insert("code".to_owned(), json!(self.code.name()));
        body.insert("request_trace_id".to_owned(), json!(trace_id));
        let mut reply = Reply::json(self.code.status(), &Value::Object(body));
        "application/problem+json".clone_into(&mut reply.content_type);
        reply.retry_after = self.retry_after.map(whole_seconds);
        reply.www_authenticate = self.challenge.map(str::to_owned);
        reply.open_ended = self.open_ended;
        reply.quotas = self.quotas;
        reply
    }
}

/// Rounds up to whole seconds, at least one: whoever waits that long has waited long enough.
pub fn whole_seconds(wait: Duration) -> u64 {
    let partial = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + partial).max(1)
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(Code::RateLimited)
            .with("limit", json!(refusal.limit.name()))
            .wait(refusal.wait)
    }
}

impl From<PhoneError> for Problem {
    fn from(error: PhoneError) -> Self {
        match error {
            PhoneError::Invalid => Self::new(Code::InvalidPhoneNumber),
            PhoneError::NotAllowed => Self::new(Code::PhoneNumberNotAllowed),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_outage() {
            tracing::error!(error = %Chain(&error), "database out of reach");
            Self::new(Code::ServiceUnavailable).wait(SOON)
        } else {
            Self::internal(&error)
        }
    }
}

impl From<NoSeat> for Problem {
    fn from(NoSeat { retry_after }: NoSeat) -> Self {
        Self::new(Code::ServiceUnavailable).wait(retry_after)
    }
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::Store(error) => error.into(),
            IdempotencyError::Random(_) | IdempotencyError::Seal(_) | IdempotencyError::Open(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<RulesError> for Problem {
    fn from(error: RulesError) -> Self {
        match error {
            RulesError::Store(error) => error.into(),
            RulesError::Seal(_) => Self::internal(&error),
        }
    }
}

impl From<RandomUnavailable> for Problem {
    fn from(error: RandomUnavailable) -> Self {
        Self::internal(&error)
    }
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Limited { refusal, quotas } => Self::from(refusal).quotas(quotas),
            // Waiting does not help this request: the time is that until a new one passes.
            SendError::SendsSpent { wait, quotas } => Self::new(Code::RateLimited)
                .detail("This request has no sends left. Wait, then send a new code.")
                .with("limit", json!("phone"))
                .wait(wait)
                .quotas(quotas),
            SendError::TooManyAttempts { wait } => Self::new(Code::TooManyAttempts).wait(wait),
            SendError::NotAllowed => Self::new(Code::PhoneNumberNotAllowed),
            SendError::TurnedAway {
                turned_away,
                decision,
            } => turned_away_problem(&turned_away, decision),
            SendError::NotLive => Self::new(Code::OtpRequestExpired),
            SendError::Provider { request_id, error } => provider(&error, request_id),
            SendError::Store(error) => error.into(),
            SendError::NoSeat(error) => error.into(),
            SendError::Seal | SendError::Random(_) => Self::internal(&error),
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Incorrect { attempts_remaining } => Self::new(Code::OtpIncorrect)
                .with("verified", json!(false))
                .with("attempts_remaining", json!(attempts_remaining)),
            SignInError::Verify(VerifyError::NotLive)
            | SignInError::UnknownClient
            | SignInError::Session(SessionError::Invalid) => Self::new(Code::OtpRequestExpired),
            SignInError::Session(error) => error.into(),
            SignInError::Verify(VerifyError::TooManyAttempts { wait }) => {
                Self::new(Code::TooManyAttempts).wait(wait)
            }
            SignInError::Verify(VerifyError::Busy { wait }) => {
                Self::new(Code::ServiceUnavailable).wait(wait)
            }
            // The same code may be tried again, also with the same `Idempotency-Key`.
            SignInError::Verify(VerifyError::Provider { request_id, error }) => {
                let mut problem = provider(&error, request_id);
                problem.open_ended = true;
                problem
            }
            SignInError::Verify(VerifyError::Store(error)) => error.into(),
            SignInError::NoSeat(error) | SignInError::Verify(VerifyError::NoSeat(error)) => {
                error.into()
            }
            SignInError::Verify(VerifyError::Seal(_))
            | SignInError::Random(_)
            | SignInError::Phone(_)
            | SignInError::Receipt(_) => Self::internal(&error),
        }
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Invalid => Self::new(Code::InvalidToken)
                .detail("The refresh token is unknown, used, over, or not this client's."),
            SessionError::NotGiven(what) => {
                let pointer = match what {
                    NotGiven::Audience => "/audience",
                    NotGiven::Scope => "/scope",
                };
                Self::field(pointer, &what.to_string())
            }
            SessionError::Store(error) => error.into(),
            SessionError::Random(_)
            | SessionError::Seal(_)
            | SessionError::Open(_)
            | SessionError::Issue(_) => Self::internal(&error),
        }
    }
}

/// Why an SMS was turned away, as far as callers are told. The decision's id is for the operator, who can
/// look it up.
fn turned_away_problem(turned_away: &TurnedAway, decision: Option<Uuid>) -> Problem {
    let refused = |limit| {
        Problem::from(Refusal {
            limit,
            wait: turned_away.wait,
        })
    };
    let problem = match turned_away.what {
        Spent::Address => refused(Limit::Ip),
        Spent::Budget => refused(Limit::Service),
        Spent::Money => Problem::new(Code::ProviderUnavailable).wait(turned_away.wait),
    };
    match decision {
        Some(id) => problem.with("decision_id", json!(id)),
        None => problem,
    }
}

/// What a provider's failure means for the caller. The provider's own words stay in the log.
fn provider(error: &ProviderError, request_id: RequestId) -> Problem {
    let id = || json!(request_id.to_string());
    match error {
        ProviderError::NumberCooling { retry_after } => Problem::from(Refusal {
            limit: Limit::Phone,
            wait: *retry_after,
        }),
        ProviderError::Busy { retry_after }
        | ProviderError::BreakerOpen { retry_after }
        | ProviderError::Throttled { retry_after } => {
            Problem::new(Code::ProviderUnavailable).wait(*retry_after)
        }
        ProviderError::Unreachable(_) => Problem::new(Code::ProviderUnavailable).wait(SOON),
        ProviderError::AccountFault { .. } => Problem::new(Code::ProviderUnavailable).wait(LATER),
        ProviderError::Rejected { .. } | ProviderError::WrongMode { .. } => {
            Problem::new(Code::ProviderError)
        }
        // The SMS may arrive all the same; with its id the caller can still verify the code.
        ProviderError::SendFailed { .. }
        | ProviderError::Failed { .. }
        | ProviderError::Nonsense { .. } => {
            Problem::new(Code::ProviderError).with("request_id", id())
        }
        ProviderError::TimedOut | ProviderError::Broken(_) => {
            Problem::new(Code::ProviderTimeout).with("request_id", id())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_round_up_to_whole_seconds() {
        for (millis, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (29_999, 30)] {
            assert_eq!(
                whole_seconds(Duration::from_millis(millis)),
                seconds,
                "{millis} ms"
            );
        }
    }
}
