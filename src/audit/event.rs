//! What an event says.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::names::{Action, Actor, Outcome};
use crate::limit::per_address::AddressKey;
use crate::secrets::PhoneIndex;

/// One thing that happened. Nothing in it may tell a number, an address, a code or a token.
#[derive(Clone, Debug)]
pub struct Event {
    /// What.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// Who did it.
    pub actor: Actor,
    /// Why it ended so: a stable name.
    pub reason: Option<&'static str>,
    /// Whose phone it is about.
    pub phone: Option<PhoneIndex>,
    /// Where the call came from.
    pub address: Option<AddressKey>,
    /// The user it is about: the token's `sub`.
    pub user: Option<Uuid>,
    /// The request for a code.
    pub request: Option<Uuid>,
    /// The session: the token's `sid`.
    pub session: Option<Uuid>,
    /// The call's `X-Request-Id`.
    pub trace_id: Option<String>,
    /// Further facts: numbers and stable names.
    pub detail: Map<String, Value>,
}

impl Event {
    /// An event that says no more than this yet.
    pub fn new(action: Action, outcome: Outcome, actor: Actor) -> Self {
        Self {
            action,
            outcome,
            actor,
            reason: None,
            phone: None,
            address: None,
            user: None,
            request: None,
            session: None,
            trace_id: None,
            detail: Map::new(),
        }
    }

    /// Says why it ended so.
    #[must_use]
    pub fn reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Says whose phone it is about.
    #[must_use]
    pub fn phone(mut self, phone: PhoneIndex) -> Self {
        self.phone = Some(phone);
        self
    }

    /// Says where the call came from.
    #[must_use]
    pub fn address(mut self, address: AddressKey) -> Self {
        self.address = Some(address);
        self
    }

    /// Says which user it is about.
    #[must_use]
    pub fn user(mut self, user: Uuid) -> Self {
        self.user = Some(user);
        self
    }

    /// Says which request for a code it is about.
    #[must_use]
    pub fn request(mut self, request: Uuid) -> Self {
        self.request = Some(request);
        self
    }

    /// Says which session it is about.
    #[must_use]
    pub fn session(mut self, session: Uuid) -> Self {
        self.session = Some(session);
        self
    }

    /// Says in which call it happened.
    #[must_use]
    pub fn trace(mut self, trace_id: &str) -> Self {
        self.trace_id = Some(trace_id.to_owned());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }
}
