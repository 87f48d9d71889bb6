//! A session is about to be: everything that its row holds, before there is one.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{LiveSession, Seen, SessionError, Sessions, store};
use crate::client::Client;
use crate::phone::PhoneNumber;
use crate::token::grant::{Granted, Wanted};
use crate::token::issuer::{AccessToken, Draft};
use crate::token::refresh::RefreshToken;

/// A session that is stored next, with the tokens that its user gets then.
#[derive(Debug)]
pub struct NewSession {
    pub(crate) id: Uuid,
    pub(crate) wanted: Wanted,
    pub(crate) amr: Vec<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) refresh: RefreshToken,
    pub(crate) refresh_expires_at: DateTime<Utc>,
    pub(crate) seen_sealed: Vec<u8>,
    pub(crate) draft: Draft,
}

/// What a login or a refresh gives.
#[derive(Debug)]
pub struct Tokens {
    /// The session they are of.
    pub session: LiveSession,
    /// The access token.
    pub access: AccessToken,
    /// The refresh token.
    pub refresh: RefreshToken,
    /// When the refresh token ends if it is not used.
    pub refresh_expires_at: DateTime<Utc>,
    /// When they were made.
    pub at: DateTime<Utc>,
    /// What the access token is for.
    pub granted: Granted,
}

impl Tokens {
    /// Life of the refresh token if it is not used, in whole seconds.
    pub fn refresh_expires_in(&self) -> i64 {
        (self.refresh_expires_at - self.at).num_seconds().max(0)
    }
}

impl Sessions {
    /// Prepares the session of a login. What the login asks for must be the client's to give.
    pub fn prepare(
        &self,
        id: Uuid,
        client: &Client,
        (wanted, amr, seen): (&Wanted, Vec<String>, &Seen),
        now: DateTime<Utc>,
    ) -> Result<NewSession, SessionError> {
        let random = self.random.as_ref();
        Granted::all(client).narrowed(wanted)?;
        let expires_at = now + client.refresh.absolute;
        Ok(NewSession {
            id,
            wanted: wanted.clone(),
            amr,
            created_at: now,
            expires_at,
            refresh: RefreshToken::generate(id, &self.keyring, random)?,
            refresh_expires_at: expires_at.min(now + client.refresh.idle),
            seen_sealed: seen.seal(id, &self.keyring, random)?,
            draft: self.issuer.draft(client, now),
        })
    }

    /// The tokens of a session that was stored.
    pub fn begun(
        &self,
        new: NewSession,
        user_id: Uuid,
        phone: PhoneNumber,
        client: &Client,
    ) -> Result<Tokens, SessionError> {
        let session = LiveSession {
            id: new.id,
            user_id,
            created_at: new.created_at,
            expires_at: new.expires_at,
            amr: new.amr,
            phone: Some(phone),
        };
        let granted = Granted::all(client).narrowed(&new.wanted)?;
        let random = self.random.as_ref();
        let access = self
            .issuer
            .issue(&new.draft, &session, (client, &granted), random)?;
        Ok(Tokens {
            session,
            access,
            refresh: new.refresh,
            refresh_expires_at: new.refresh_expires_at,
            at: new.created_at,
            granted,
        })
    }

    /// New tokens of a session whose first ones nobody has: the process that made it died before it
    /// answered. Should it be alive after all, its refresh token gets this one within the grace.
    pub async fn begin_again(
        &self,
        id: Uuid,
        client: &Client,
        now: DateTime<Utc>,
    ) -> Result<Tokens, SessionError> {
        let random = self.random.as_ref();
        let current = store::current(&self.pool, id).await?;
        let replaced = current.ok_or(SessionError::Invalid)?;
        let refresh = RefreshToken::generate(id, &self.keyring, random)?;
        let sealed = refresh.seal(replaced, &self.keyring, random)?;
        let draft = self.issuer.draft(client, now);
        let turn = store::Turn {
            session: id,
            client,
            presented: replaced,
            grace: self.grace,
            draft: &draft,
            now,
        };
        let row = store::rotate(&self.pool, turn, refresh.hash(), &sealed).await?;
        let row = row.ok_or(SessionError::Invalid)?;
        self.tokens(row, refresh, (client, &Wanted::default()), &draft, now)
    }
}
