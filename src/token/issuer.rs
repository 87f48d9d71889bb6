//! Makes access tokens for sessions that live.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::Header;
use secrecy::{ExposeSecret, SecretString};

use super::claims::{Audience, Claims};
use super::grant::Granted;
use super::keys::{SigningKey, SigningKeys};
use crate::client::Client;
use crate::phone::PhoneNumber;
use crate::random::{self, Random, RandomUnavailable};
use crate::session::LiveSession;

/// `typ` of an access token (RFC 9068 section 2.1).
pub(super) const TYPE: &str = "at+jwt";

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

/// A token that is about to be signed: with which key, and how long it will live. Both are stored
/// before the token exists, so that nobody has one that the database does not know of.
#[derive(Clone, Debug)]
pub struct Draft {
    key: Arc<SigningKey>,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl Draft {
    /// The key's id.
    pub fn kid(&self) -> &str {
        self.key.kid()
    }

    /// The token's end, unless the session ends before that.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }
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

    /// Begins a token for a client.
    pub fn draft(&self, client: &Client, now: DateTime<Utc>) -> Draft {
        Draft {
            key: self.keys.active(),
            issued_at: now,
            expires_at: now + client.access_token_ttl,
        }
    }

    /// Issues the access token of a session. It never outlives the session.
    pub fn issue(
        &self,
        draft: &Draft,
        session: &LiveSession,
        (client, granted): (&Client, &Granted),
        random: &dyn Random,
    ) -> Result<AccessToken, IssueError> {
        let expires_at = draft.expires_at.min(session.expires_at());
        let (iat, exp) = (draft.issued_at.timestamp(), expires_at.timestamp());
        let phone = session.phone().filter(|_| granted.has_phone());
        let scope = granted.scope();
        let claims = Claims {
            iss: &self.issuer,
            sub: session.user_id(),
            aud: Audience::from(granted.audience()),
            client_id: client.id.as_str(),
            iat,
            exp,
            jti: random::uuid_v4(random)?,
            sid: session.id(),
            auth_time: session.created_at().timestamp(),
            amr: session.amr(),
            scope: &scope,
            phone_number: phone.map(PhoneNumber::as_e164),
            phone_number_verified: phone.map(|_| true),
            own: &client.claims,
        };
        Ok(AccessToken {
            jwt: sign(&draft.key, TYPE, draft.key.kid(), &claims)?,
            expires_in: Duration::from_secs(u64::try_from(exp - iat).unwrap_or(0)),
        })
    }
}

/// Signs claims, under a header that names this type and this key.
pub(super) fn sign(
    key: &SigningKey,
    typ: &str,
    kid: &str,
    claims: &Claims<'_>,
) -> Result<SecretString, IssueError> {
    let mut header = Header::new(key.algorithm());
    header.typ = Some(typ.to_owned());
    header.kid = Some(kid.to_owned());
    // The compact serialization of RFC 7515, section 7.1.
    let signed = || {
        let (header, claims) = (serde_json::to_vec(&header)?, serde_json::to_vec(claims)?);
        let mut jwt = URL_SAFE_NO_PAD.encode(header);
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut jwt);
        let signature = key.sign(jwt.as_bytes())?;
        jwt.push('.');
        jwt.push_str(&signature);
        Ok(SecretString::from(jwt))
    };
    signed().map_err(IssueError::Sign)
}
