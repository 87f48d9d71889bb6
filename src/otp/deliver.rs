//! Handing an admitted SMS to the provider, and recording what became of it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::sleep;

use super::Otp;
use super::code::OtpCode;
use super::request::RequestId;
use super::send::SendError;
use super::store::{Acceptance, Outcome, Sent, Store};
use crate::database::StoreError;
use crate::metrics::{self, Queue, Queued, Sms};
use crate::phone::PhoneNumber;
use crate::provider::{Accepted, Fault, Message, ProviderError};
use crate::seats::Seat;
use crate::telemetry::{Chain, traces};

/// First pause before an outcome that could not be recorded is tried again; each is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Pauses at most: 12.6 s in all, about as long as a database takes to restart.
const PAUSES: u32 = 6;

/// An admitted SMS with all that is needed to send it.
pub(super) struct Outgoing<'a> {
    pub(super) sent: Sent,
    pub(super) phone: &'a PhoneNumber,
    pub(super) code: &'a OtpCode,
    /// Whether it is to be texted; nothing is to a test number.
    pub(super) texted: bool,
    /// Its name for the provider.
    pub(super) key: uuid::Uuid,
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
        self.conclude(out.sent, &result).await;
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

    /// Records what became of an SMS; in the background, for a while, if the database is away. The
    /// caller's answer does not depend on it: the code is stored, and the SMS may be out.
    pub(super) async fn conclude(&self, sent: Sent, result: &Result<Accepted, ProviderError>) {
        let now = self.clock.now();
        let outcome = match result {
            Ok(accepted) => Outcome::Accepted {
                accepted: accepted.clone(),
                ask_at: self
                    .provider
                    .tells_deliveries()
                    .then(|| self.first_question(now)),
            },
            Err(error) if error.surely_not_done() => Outcome::NeverLeft { at: now },
            Err(_) => Outcome::Unknown,
        };
        let recorded = self.record(&sent, &outcome);
        if let Err(error) = traces::step("record the outcome", recorded).await {
            tracing::error!(request.id = %sent.request, error = %Chain(&error), "outcome of a send not recorded yet");
            let waits = self.metrics.queued(Queue::Outcomes);
            tokio::spawn(keep_trying(self.store.clone(), (sent, outcome), waits));
        }
    }

    /// That one was taken is recorded together with others.
    async fn record(&self, sent: &Sent, outcome: &Outcome) -> Result<(), StoreError> {
        if let Outcome::Accepted { accepted, ask_at } = outcome {
            let acceptance = Acceptance {
                sent: sent.clone(),
                accepted: accepted.clone(),
                ask_at: *ask_at,
            };
            if let Ok(recorded) = self.together.acceptances.join(Arc::new(acceptance)).await {
                return recorded;
            }
        }
        self.store.conclude(sent, outcome).await
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

async fn keep_trying(store: Store, (sent, outcome): (Sent, Outcome), _waits: Queued) {
    for pause in (0..PAUSES).map(|n| FIRST_PAUSE * (1 << n)) {
        sleep(pause).await;
        if store.conclude(&sent, &outcome).await.is_ok() {
            return;
        }
    }
    tracing::error!(request.id = %sent.request, "outcome of a send not recorded");
}
