//! Handing an admitted SMS to the provider, and recording what became of it.

use chrono::{DateTime, Utc};

use super::Otp;
use super::code::OtpCode;
use super::request::RequestId;
use super::send::SendError;
use super::store::{Outcome, Sent};
use crate::metrics::{self, Sms};
use crate::phone::PhoneNumber;
use crate::provider::{Accepted, Fault, Message, ProviderError};
use crate::seats::Seat;
use crate::telemetry::Chain;

/// An admitted SMS with all that is needed to send it.
pub(super) struct Outgoing<'a> {
    pub(super) sent: Sent,
    pub(super) phone: &'a PhoneNumber,
    pub(super) code: &'a OtpCode,
    /// Whether it is to be texted; nothing is to a test number.
    pub(super) texted: bool,
    /// Its name for the provider.
    pub(super) key: uuid::Uuid,
    /// Whether the answer is kept for a repeat.
    pub(super) is_kept: bool,
    pub(super) expires_at: DateTime<Utc>,
    /// What it was admitted with; the provider is waited for without, and the outcome needs none.
    pub(super) seat: Seat,
}

impl Otp {
    /// Has the provider text an admitted code and records the outcome.
    ///
    /// Once begun it must run to its end, or the outcome waits for the lease to end; `http/call.rs`
    /// runs every POST in a task that outlives a caller who hangs up.
    pub(super) async fn deliver(&self, mut out: Outgoing<'_>) -> Result<(), SendError> {
        out.seat.leave();
        let request_id = out.sent.request;
        let message = Message {
            phone: out.phone,
            code: out.code,
            valid_for: out.expires_at - out.sent.at,
            key: out.key,
        };
        let result = if out.texted {
            let deadline = self.provider.deadline();
            let result = self.provider.send(message, deadline).await;
            self.count(&out, &result);
            result
        } else {
            Ok(Accepted::default())
        };
        match &result {
            // Nothing but the record knows the provider's handle, and a kept answer is to agree with it.
            Ok(accepted) if accepted.reference.is_none() && !out.is_kept => {
                let outcome = self.outcome(&result);
                self.together.outcomes.record_soon(out.sent, outcome);
            }
            Ok(_) | Err(_) => self.conclude(out.sent, &result).await,
        }
        match result {
            Ok(_) => Ok(()),
            Err(error) => {
                tell(request_id, &error, "provider did not confirm a send");
                Err(SendError::Provider { request_id, error })
            }
        }
    }

    fn count(&self, out: &Outgoing<'_>, result: &Result<Accepted, ProviderError>) {
        let sms = match out.sent.before {
            None => Sms::First,
            Some(_) => Sms::Again,
        };
        let sent = match result {
            Ok(_) => metrics::Sent::Accepted,
            Err(error) if error.surely_not_done() => metrics::Sent::Failed,
            Err(_) => metrics::Sent::Unknown,
        };
        let country = out.phone.country();
        let price = self.policy.guard.spend.price(country);
        self.metrics.sms_sent(country, sms, sent, price);
    }

    /// Records what became of an SMS.
    pub(super) async fn conclude(&self, sent: Sent, result: &Result<Accepted, ProviderError>) {
        self.together
            .outcomes
            .record(sent, self.outcome(result))
            .await;
    }

    fn outcome(&self, result: &Result<Accepted, ProviderError>) -> Outcome {
        let now = self.clock.now();
        match result {
            Ok(accepted) => Outcome::Accepted {
                accepted: accepted.clone(),
                ask_at: self
                    .provider
                    .tells_deliveries()
                    .then(|| self.first_question(now)),
            },
            Err(error) if error.surely_not_done() => Outcome::NeverLeft { at: now },
            Err(_) => Outcome::Unknown,
        }
    }
}

/// Logs a failure of the provider, as an error where somebody must act: our account or our call is at
/// fault, and waiting mends neither.
pub(super) fn tell(request: RequestId, error: &ProviderError, what: &'static str) {
    let (fault, error) = (error.nature().fault, Chain(error));
    match fault {
        Fault::Account | Fault::Caller => {
            tracing::error!(request.id = %request, %error, ?fault, "{what}");
        }
        Fault::Number | Fault::Provider | Fault::Guard => {
            tracing::warn!(request.id = %request, %error, ?fault, "{what}");
        }
    }
}
