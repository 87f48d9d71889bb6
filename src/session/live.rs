//! A session that lives.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::phone::PhoneNumber;

/// A session that lives: somebody gave a right code, and nobody ended it since. Only a login
/// ([`crate::sign_in`]) and this module's statements make one, and a token is issued for nothing else.
#[derive(Debug)]
pub struct LiveSession {
    pub(super) id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) amr: Vec<String>,
    pub(super) phone: Option<PhoneNumber>,
}

impl LiveSession {
    /// A session that nobody logged in to, for benches/.
    #[cfg(feature = "benching")]
    pub fn made_up(created_at: DateTime<Utc>, expires_at: DateTime<Utc>) -> Self {
        Self {
            id: Uuid::from_u128(1),
            user_id: Uuid::from_u128(2),
            created_at,
            expires_at,
            amr: ["otp", "sms"].map(str::to_owned).into(),
            phone: None,
        }
    }

    /// The session: the token's `sid`.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The user: the token's `sub`.
    pub fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// When the code was checked: the token's `auth_time`.
    pub fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    /// The session's end, however much it is used.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }

    /// How the phone was proved (RFC 8176): the token's `amr`.
    pub fn amr(&self) -> &[String] {
        &self.amr
    }

    /// The number, where it may be told.
    pub fn phone(&self) -> Option<&PhoneNumber> {
        self.phone.as_ref()
    }
}
