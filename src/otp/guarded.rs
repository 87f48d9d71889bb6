//! Who asks for an SMS, what it is counted in, and what is told when it is too much.

use chrono::{DateTime, Utc};

use super::Otp;
use super::phone_state::By;
use super::request::RequestId;
use super::send::SendError;
use super::store::{Asked, Load};
use super::weigh::{TurnedAway, Weighed};
use crate::audit::{Action, Actor, Event, Outcome};
use crate::device_receipt::DeviceReceipt;
use crate::limit::budget::{Excess, Scope};
use crate::origin::Origin;
use crate::phone::PhoneNumber;
use crate::random;
use crate::rules::Verdict;
use crate::secrets::PhoneIndex;

/// Who asks for an SMS, and for what.
#[derive(Clone, Copy)]
pub(super) struct Asks<'a> {
    /// A send or a resend.
    pub(super) action: Action,
    pub(super) request: RequestId,
    pub(super) phone: (&'a PhoneNumber, PhoneIndex),
    pub(super) client: &'a str,
    pub(super) origin: &'a Origin,
    pub(super) receipt: Option<&'a DeviceReceipt>,
}

impl Asked {
    /// Whether an SMS is sent at all.
    pub(super) fn is_texted(&self) -> bool {
        self.load.is_some()
    }
}

impl Otp {
    /// Finds out who asks, and refuses what needs no database to be refused.
    pub(super) async fn asked(
        &self,
        asking: Asks<'_>,
        now: DateTime<Utc>,
    ) -> Result<Asked, SendError> {
        let (phone, index) = asking.phone;
        let client = self.clients.get(asking.client).ok_or(SendError::NotLive)?;
        let by = self.by(index, (asking.client, asking.receipt), now);
        let is_test = by == By::TestNumber;
        let verdict = self.rules.phone(phone, now);
        let address = asking.origin.address;
        let by_network = address.and_then(|address| self.rules.network(address, now));
        let switches = self.rules.switches();
        let (action, reason) = match (is_test, asking.action == Action::OtpSend) {
            (false, _) => (asking.action, None),
            (true, true) => (Action::TestNumberUse, Some("send")),
            (true, false) => (Action::TestNumberUse, Some("resend")),
        };
        let mut event = Event::new(action, Outcome::Success, Actor::Client(client.id.clone()))
            .phone(index)
            .address(asking.origin.key)
            .request(asking.request.0)
            .trace(&asking.origin.trace_id);
        event.reason = reason;
        let is_accepted =
            client.may_send_to(phone.country()) && self.test_numbers.accepts_without_code(index);
        let not_allowed = if verdict == Some(Verdict::Block) {
            Some("blocked")
        } else {
            (!is_test && !is_accepted).then_some("country")
        };
        if let Some(reason) = not_allowed {
            self.note_once(&event, reason, now).await;
            return Err(SendError::NotAllowed);
        }
        let lets_through = |verdict| verdict == Some(Verdict::Allow);
        let asked = Asked {
            by,
            // No SMS is sent to a test number, so there is nothing to guard.
            load: (!is_test).then(|| self.load(asking)),
            allowed: lets_through(verdict) || lets_through(by_network),
            emergency: switches.emergency,
            ceilings: client.ceilings,
            event_id: random::uuid_v7(self.random.as_ref(), now)?,
            event,
        };
        if switches.kill && asked.is_texted() {
            let stopped = Weighed {
                turned_away: Some(TurnedAway::by_operator()),
                ..Weighed::default()
            };
            return Err(self.turned_away(&asked, stopped).await);
        }
        Ok(asked)
    }

    /// How this caller is held against the limits of a phone.
    pub(crate) fn by(
        &self,
        phone: PhoneIndex,
        (client, receipt): (&str, Option<&DeviceReceipt>),
        now: DateTime<Utc>,
    ) -> By {
        let life = self.policy.device.receipt_life;
        let holds = |receipt: &DeviceReceipt| receipt.is_for(phone, &self.keyring, life, now);
        if self.test_numbers.code(phone, client, now).is_some() {
            By::TestNumber
        } else if receipt.is_some_and(holds) {
            By::KnownDevice
        } else {
            By::Anybody
        }
    }

    fn load(&self, asking: Asks<'_>) -> Load {
        let (phone, index) = asking.phone;
        let guard = &self.policy.guard;
        let country = phone.country();
        let prefix = self.keyring.lookup("prefix", phone.prefix().as_bytes());
        let mut scopes = vec![
            Scope::Client(asking.client.to_owned()),
            Scope::Prefix(hex(&prefix)),
            Scope::Service,
        ];
        scopes.extend(country.map(Scope::Country));
        let address = (!guard.address.is_off()).then_some(asking.origin.key);
        scopes.extend(address.map(|key| Scope::Address(hex(key.as_bytes()))));
        Load {
            address: address.map(|key| (key, short(index.as_bytes()))),
            country: country
                .map(|country| country.to_string())
                .unwrap_or_default(),
            scopes,
            price: guard.spend.price(country),
        }
    }

    /// Tells what an SMS that goes out made due.
    pub(super) async fn note_admitted(&self, asked: &Asked, weighed: Weighed) {
        if let Some(excess) = &weighed.recorded {
            self.metrics.send_recorded(excess.reason);
            let event = ended(&asked.event, Outcome::Recorded, excess.reason);
            self.audit.note(&with_excess(event, excess)).await;
        }
        for level in &weighed.levels {
            self.alerts.reached(level).await;
        }
    }

    /// Records that an SMS was turned away, and why.
    pub(super) async fn turned_away(&self, asked: &Asked, weighed: Weighed) -> SendError {
        for level in &weighed.levels {
            self.alerts.reached(level).await;
        }
        let turned_away = weighed.turned_away.unwrap_or_else(TurnedAway::by_operator);
        self.metrics.send_turned_away(turned_away.reason);
        let mut event = ended(&asked.event, Outcome::Refused, turned_away.reason);
        if let Some(excess) = &turned_away.excess {
            event = with_excess(event, excess);
        }
        let wait = turned_away.wait.as_secs();
        let event = event.with("wait_seconds", wait);
        let decision = self.audit.record(&event).await;
        SendError::TurnedAway {
            decision: decision.inspect_err(|error| {
                tracing::error!(error = %crate::telemetry::Chain(error), "decision not recorded");
            }).ok(),
            turned_away: Box::new(turned_away),
        }
    }

    /// Records that the phone's limits refused an SMS.
    pub(super) async fn note_refused(&self, asked: &Asked, error: &SendError, now: DateTime<Utc>) {
        let reason = match error {
            SendError::Limited { refusal, .. } => refusal.limit.name(),
            SendError::SendsSpent { .. } => "sends_spent",
            SendError::TooManyAttempts { .. } => "locked",
            SendError::NotAllowed
            | SendError::TurnedAway { .. }
            | SendError::NotLive
            | SendError::Provider { .. }
            | SendError::Store(_)
            | SendError::Seal
            | SendError::Random(_)
            | SendError::NoSeat(_) => return,
        };
        self.note_once(&asked.event, reason, now).await;
    }

    /// Records a refusal that only its phone is to blame for; once a minute for each phone and reason, or
    /// whoever floods one would fill the log.
    async fn note_once(&self, event: &Event, reason: &'static str, now: DateTime<Utc>) {
        self.metrics.send_turned_away(reason);
        let is_first = |phone| self.refusals.is_first(phone, reason, now);
        if event.phone.is_some_and(is_first) {
            let event = ended(event, Outcome::Refused, reason);
            self.audit.note(&event).await;
        }
    }
}

/// What was asked for, with another end than success.
fn ended(event: &Event, outcome: Outcome, reason: &'static str) -> Event {
    let mut event = event.clone().reason(reason);
    event.outcome = outcome;
    event
}

fn with_excess(event: Event, excess: &Excess) -> Event {
    event
        .with("scope", excess.scope.name())
        .with("period", excess.period.name())
        .with("counted", excess.counted)
        .with("allowed", excess.allowed)
}

/// [`short`] as text.
fn hex(hash: &[u8]) -> String {
    format!("{:016x}", u64::from_be_bytes(short(hash)))
}

/// The first 64 bits of a keyed hash.
fn short(hash: &[u8]) -> [u8; 8] {
    hash.first_chunk().copied().unwrap_or_default()
}
