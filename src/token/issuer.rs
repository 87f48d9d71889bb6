//! Makes access tokens out of logins.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::Header;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

use super::claims::{Audience, Claims};
use super::keys::SigningKeys;
use crate::client::Client;
use crate::phone::PhoneNumber;
use crate::random::{self, Random, RandomUnavailable};
use crate::sign_in::Login;

/// A signed access token. It cannot be printed.
pub struct AccessToken {
    jwt: SecretString,
    expires_in: Duration,
}

impl AccessToken {
    /// The compact JWS, for the one reply that carries it.
    pub fn expose(&self) -> &str {
        self.jwt.expose_secret()
    }

    /// Its life from the moment it was made, in seconds.
    pub fn expires_in(&self) -> u64 {
        self.expires_in.as_secs()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(***)")
    }
}

/// A token could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// Signing failed.
    #[error("the token cannot be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// Signs access tokens.
#[derive(Clone, Debug)]
pub struct Issuer {
    issuer: String,
    keys: Arc<SigningKeys>,
}

impl Issuer {
    /// Signs as `issuer` with the active one of these keys.
    pub fn new(issuer: String, keys: Arc<SigningKeys>) -> Self {
        Self { issuer, keys }
    }

    /// Issues the access token of a login.
    pub fn issue(
        &self,
        login: &Login,
        client: &Client,
        random: &dyn Random,
    ) -> Result<AccessToken, IssueError> {
        let now = login.at();
        let expires_in = client.access_token_ttl;
        let scope = client.scopes.join(" ");
        let claims = Claims {
            iss: &self.issuer,
            sub: login.user_id(),
            aud: Audience::from(client.audience.as_slice()),
            client_id: client.id.as_str(),
            iat: now.timestamp(),
            exp: (now + expires_in).timestamp(),
            jti: random::uuid_v4(random)?,
            sid: login.session_id(),
            auth_time: now.timestamp(),
            amr: login.amr(),
            scope: &scope,
            phone_number: login.phone().map(PhoneNumber::as_e164),
            phone_number_verified: login.phone().map(|_| true),
        };
        let key = self.keys.active();
        let mut header = Header::new(key.algorithm());
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(key.kid().to_owned());
        let jwt =
            jsonwebtoken::encode(&header, &claims, key.private()).map_err(IssueError::Sign)?;
        Ok(AccessToken {
            jwt: SecretString::from(jwt),
            expires_in,
        })
    }
}
