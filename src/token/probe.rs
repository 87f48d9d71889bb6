//! Tokens that name nobody, to see what a gateway makes of good ones and of bad ones.
//!
//! The good one is signed like every other, so whoever holds it is let in where tokens are all that is
//! looked at: it ends after a minute, its user and its session are drawn for it and in no database, and
//! whoever makes one leaves an audit event.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::claims::{Audience, Claims};
use super::grant::Granted;
use super::issuer::{IssueError, TYPE, sign};
use super::keys::{Published, SigningKey};
use crate::client::Client;
use crate::random::{self, Random};

/// How long the good one is good.
pub const LIFE: TimeDelta = TimeDelta::seconds(60);
/// How long ago the expired one ended: longer than any leeway.
const EXPIRED_SINCE: TimeDelta = TimeDelta::hours(1);
/// How a user proved who he is (RFC 8176): as for a test number, since nobody did.
const AMR: [&str; 2] = ["otp", "test"];

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// It ended an hour ago.
    Expired,
    /// It is for somebody else.
    Audience,
    /// Another user stands in it than when it was signed.
    Payload,
    /// One character in the middle of its signature is another.
    Signature,
    /// It says `alg: none`, and has no signature.
    Unsigned,
    /// It says `alg: HS256`, with the public key, which everybody has, as the secret.
    PublicKeyAsSecret,
    /// It names a key that there is not.
    UnknownKey,
    /// It says that it is another kind of token.
    Type,
}

/// Makes such tokens, all for the same made-up user and session.
pub struct Probes<'a> {
    issuer: &'a str,
    client: &'a Client,
    granted: &'a Granted,
    key: Arc<SigningKey>,
    /// The public half in PEM.
    pem: String,
    user: Uuid,
    session: Uuid,
}

/// No token could be made.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Signing failed, or there was no randomness.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The public key cannot be written.
    #[error("the public key cannot be written")]
    PublicKey,
}

impl<'a> Probes<'a> {
    /// Draws user and session. Tokens are signed by the active key.
    pub fn new(
        issuer: &'a str,
        (client, granted): (&'a Client, &'a Granted),
        published: &Published,
        random: &dyn Random,
    ) -> Result<Self, ProbeError> {
        let key = Arc::clone(published.active());
        let der = published.verifying().public_der(key.kid());
        let uuid = || random::uuid_v4(random).map_err(IssueError::from);
        Ok(Self {
            issuer,
            client,
            granted,
            pem: pem(&der.ok_or(ProbeError::PublicKey)?),
            key,
            user: uuid()?,
            session: uuid()?,
        })
    }

    /// The made-up user: the tokens' `sub`.
    pub fn user(&self) -> Uuid {
        self.user
    }

    /// The made-up session: the tokens' `sid`.
    pub fn session(&self) -> Uuid {
        self.session
    }

    /// The key that signs them.
    pub fn kid(&self) -> &str {
        self.key.kid()
    }

    /// A token with a flaw, made `now`.
    pub fn token(
        &self,
        flaw: Flaw,
        random: &dyn Random,
        now: DateTime<Utc>,
    ) -> Result<SecretString, ProbeError> {
        let fresh = || random::uuid_v4(random).map_err(IssueError::from);
        let amr = AMR.map(str::to_owned);
        let scope = self.granted.scope();
        let iat = if flaw == Flaw::Expired {
            now - EXPIRED_SINCE - LIFE
        } else {
            now
        };
        let stranger = format!("not-{}", fresh()?);
        let claims = |sub| -> Result<Claims<'_>, ProbeError> {
            Ok(Claims {
                iss: self.issuer,
                sub,
                aud: if flaw == Flaw::Audience {
                    Audience::One(&stranger)
                } else {
                    Audience::from(self.granted.audience())
                },
                client_id: self.client.id.as_str(),
                iat: iat.timestamp(),
                exp: (iat + LIFE).timestamp(),
                jti: fresh()?,
                sid: self.session,
                auth_time: iat.timestamp(),
                amr: &amr,
                scope: &scope,
                phone_number: None,
                phone_number_verified: None,
                own: &self.client.claims,
            })
        };
        let signed = |typ, kid: &str, sub| Ok(sign(&self.key, typ, kid, &claims(sub)?)?);
        let ours = |sub| signed(TYPE, self.kid(), sub);
        match flaw {
            Flaw::None | Flaw::Expired | Flaw::Audience => ours(self.user),
            Flaw::Type => signed("JWT", self.kid(), self.user),
            Flaw::UnknownKey => signed(TYPE, &stranger, self.user),
            Flaw::Payload => Ok(exchanged(&ours(self.user)?, &ours(fresh()?)?)),
            Flaw::Signature => Ok(flipped(&ours(self.user)?)),
            Flaw::Unsigned => Ok(unsigned(&ours(self.user)?, self.kid())),
            Flaw::PublicKeyAsSecret => {
                let mut header = Header::new(Algorithm::HS256);
                header.typ = Some(TYPE.to_owned());
                header.kid = Some(self.kid().to_owned());
                let secret = EncodingKey::from_secret(self.pem.as_bytes());
                let jwt = jsonwebtoken::encode(&header, &claims(self.user)?, &secret);
                Ok(SecretString::from(jwt.map_err(IssueError::Sign)?))
            }
        }
    }
}

/// Header, payload and signature.
fn parts(token: &SecretString) -> (&str, &str, &str) {
    let token = token.expose_secret();
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let (header, payload) = signed.split_once('.').unwrap_or((signed, ""));
    (header, payload, signature)
}

/// The payload of the other one, which was signed too, but not with this signature.
fn exchanged(token: &SecretString, other: &SecretString) -> SecretString {
    let ((header, _, signature), (_, payload, _)) = (parts(token), parts(other));
    SecretString::from(format!("{header}.{payload}.{signature}"))
}

/// The last character of a signature has bits that nobody reads; those in its middle all count.
fn flipped(token: &SecretString) -> SecretString {
    let (header, payload, signature) = parts(token);
    let middle = signature.len() / 2;
    let flip = |(at, letter)| match letter {
        'A' if at == middle => 'B',
        _ if at == middle => 'A',
        letter => letter,
    };
    let signature: String = signature.chars().enumerate().map(flip).collect();
    SecretString::from(format!("{header}.{payload}.{signature}"))
}

fn unsigned(token: &SecretString, kid: &str) -> SecretString {
    let (_, payload, _) = parts(token);
    let header = json!({"typ": TYPE, "alg": "none", "kid": kid}).to_string();
    let header = URL_SAFE_NO_PAD.encode(header);
    SecretString::from(format!("{header}.{payload}."))
}

/// RFC 7468 section 13, in lines of 64 as everybody writes them.
fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    for (at, letter) in body.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text + "\n-----END PUBLIC KEY-----\n"
}
