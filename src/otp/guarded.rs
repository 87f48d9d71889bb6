//! Who asks for an SMS, what it is counted in, and what is told when it is too much.

use chrono::{DateTime, TimeDelta, Utc};

use super::Otp;
use super::phone_state::By;
use super::request::RequestId;
use super::send::SendError;
use super::store::{Asked, Load};
use super::weigh::{TurnedAway, Weighed};
use crate::device_receipt::DeviceReceipt;
use crate::limit::budget::Scope;
use crate::limit::per_address::AddressKey;
use crate::limit::spend::Ceilings;
use crate::origin::Origin;
use crate::phone::PhoneNumber;
use crate::rules::Verdict;
use crate::secrets::PhoneIndex;

/// An SMS that somebody asks for.
pub(super) struct Guarded {
    pub(super) by: By,
    pub(super) phone: PhoneIndex,
    pub(super) client: String,
    pub(super) address: AddressKey,
    pub(super) trace_id: String,
    load: Option<Load>,
    allowed: bool,
    killed: bool,
    emergency: bool,
    ceilings: Ceilings,
}

impl Guarded {
    /// Whether an SMS is sent at all.
    pub(super) fn is_texted(&self) -> bool {
        self.load.is_some()
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        Asked {
            by: self.by,
            load: self.load.as_ref(),
            allowed: self.allowed,
            emergency: self.emergency,
            ceilings: &self.ceilings,
        }
    }
}

impl Otp {
    /// Finds out who asks, and refuses what needs no database to be refused.
    pub(super) fn guarded(
        &self,
        (phone, index): (&PhoneNumber, PhoneIndex),
        client: &str,
        (origin, receipt): (&Origin, Option<&DeviceReceipt>),
        now: DateTime<Utc>,
    ) -> Result<Guarded, SendError> {
        let client = self.clients.get(client).ok_or(SendError::NotLive)?;
        let id = client.id.as_str();
        let by = self.by(index, (id, receipt), now);
        // No SMS is sent to a test number, so there is nothing to guard.
        let load = (by != By::TestNumber).then(|| self.load((phone, index), id, origin));
        let switches = self.rules.switches();
        let lets_through = |verdict| verdict == Some(Verdict::Allow);
        Ok(Guarded {
            by,
            phone: index,
            client: client.id.to_string(),
            address: origin.key,
            trace_id: origin.trace_id.clone(),
            load,
            allowed: lets_through(self.rules.phone(phone, now))
                || lets_through(self.rules.network(origin.address, now)),
            killed: switches.kill,
            emergency: switches.emergency,
            ceilings: Ceilings::default(),
        })
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

    fn load(
        &self,
        (phone, index): (&PhoneNumber, PhoneIndex),
        client: &str,
        origin: &Origin,
    ) -> Load {
        let guard = &self.policy.guard;
        let country = phone.country();
        let prefix = self.keyring.lookup("prefix", phone.prefix().as_bytes());
        let mut scopes = vec![
            Scope::Client(client.to_owned()),
            Scope::Prefix(hex(&prefix)),
            Scope::Service,
        ];
        scopes.extend(country.map(Scope::Country));
        Load {
            address: (!guard.address.is_off()).then(|| (origin.key, short(index.as_bytes()))),
            country: country
                .map(|country| country.to_string())
                .unwrap_or_default(),
            scopes,
            price: guard.spend.price(country),
        }
    }

    /// Tells what an SMS that goes out made due.
    pub(super) async fn note_admitted(
        &self,
        guarded: &Guarded,
        request: RequestId,
        weighed: Weighed,
    ) {
    }

    /// Records that an SMS was turned away, and why.
    pub(super) async fn turned_away(
        &self,
        guarded: &Guarded,
        request: Option<RequestId>,
        weighed: Weighed,
    ) -> SendError {
        let turned_away = weighed.turned_away.unwrap_or_else(TurnedAway::by_operator);
        SendError::TurnedAway {
            turned_away,
            decision: None,
        }
    }
}

/// The first 64 bits of a keyed hash, in hex.
fn hex(hash: &[u8]) -> String {
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The first 64 bits of a keyed hash.
fn short(hash: &[u8]) -> [u8; 8] {
    let mut short = [0; 8];
    for (byte, source) in short.iter_mut().zip(hash) {
        *byte = *source;
    }
    short
}
