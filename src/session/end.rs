//! Ending sessions.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::store::{self, Turn};
use super::{SessionError, Sessions};
use crate::audit::Actor;
use crate::client::Client;
use crate::database::{self, StoreError};
use crate::limit::per_address::AddressKey;
use crate::random;
use crate::secrets::PhoneIndex;

/// Why a session is ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its user did.
    User,
    /// An operator did.
    Admin,
    /// Its client did (RFC 7009).
    Client,
    /// A refresh token was used twice.
    RefreshTokenReuse,
    /// Its user's phone was blocked.
    PhoneBlocked,
}

impl EndReason {
    /// The stable name. `too_many` beside these is that of a session that made room for a newer one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
            Self::Client => "client",
            Self::RefreshTokenReuse => "refresh_token_reuse",
            Self::PhoneBlocked => "phone_blocked",
        }
    }
}

/// Which sessions are ended.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// This one.
    Session(Uuid),
    /// This one, if it is that user's.
    OneOf(Uuid, Uuid),
    /// This one, if it was begun with that client.
    OfClient(Uuid, &'a Client),
    /// All of a user.
    User(Uuid),
    /// All of a phone's user.
    Phone(PhoneIndex),
    /// The one of a refresh token, if nobody should have that token any more.
    Robbed(Turn<'a>),
}

/// Who ends sessions, why and when.
#[derive(Clone, Debug)]
pub struct Ending<'a> {
    /// Why.
    pub reason: EndReason,
    /// Who.
    pub actor: Actor,
    /// In which call.
    pub trace_id: &'a str,
    /// Where from.
    pub address: Option<AddressKey>,
    /// When.
    pub now: DateTime<Utc>,
}

impl Sessions {
    /// Ends sessions, and says how many lived until now. The audit log is told in the same transaction, and
    /// this process refuses their tokens when this returns.
    pub async fn end(&self, whose: Whose<'_>, ending: Ending<'_>) -> Result<usize, SessionError> {
        let event = random::uuid_v7(self.random.as_ref(), ending.now)?;
        let mut tx = database::begin(&self.pool)
            .await
            .map_err(StoreError::from)?;
        let ended = store::end(&mut tx, whose, &ending, event).await?;
        tx.commit().await.map_err(StoreError::from)?;
        if ended > 0 {
            self.revocations.look().await;
        }
        Ok(ended)
    }
}
