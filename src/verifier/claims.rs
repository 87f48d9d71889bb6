//! What a checked token says.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::check::Refused;

/// The claims of an access token (RFC 9068 section 2.2). Only [`super::verify`] makes them, so to hold
/// them is to have a token that was checked.
#[derive(Clone, PartialEq)]
pub struct Claims {
    issuer: String,
    subject: String,
    audience: Vec<String>,
    client_id: String,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    not_before: Option<DateTime<Utc>>,
    token_id: String,
    session_id: String,
    auth_time: Option<DateTime<Utc>>,
    amr: Vec<String>,
    scopes: Vec<String>,
    phone_number: Option<PhoneNumber>,
    extra: Map<String, Value>,
}

impl Claims {
    /// `iss`: who issued the token.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `sub`: the user. Opaque, never the phone, never given to another user.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `aud`: who the token is for; never empty.
    pub fn audience(&self) -> &[String] {
        &self.audience
    }

    /// `client_id`: the client that the user logged in with.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// `iat`: when the token was issued, to the second.
    pub fn issued_at(&self) -> DateTime<Utc> {
        self.issued_at
    }

    /// `exp`: when the token ends, to the second.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }

    pub(super) fn not_before(&self) -> Option<DateTime<Utc>> {
        self.not_before
    }

    /// `jti`: this token's own id.
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// `sid`: the session. It stays the same when tokens are refreshed.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// `auth_time`: when the user entered a code, to the second.
    pub fn auth_time(&self) -> Option<DateTime<Utc>> {
        self.auth_time
    }

    /// `amr`: how the user was recognised (RFC 8176).
    pub fn amr(&self) -> &[String] {
        &self.amr
    }

    /// `scope`: what the client may do.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Whether this is one of the scopes; they are compared with case (RFC 6749 section 3.3).
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|one| one == scope)
    }

    /// `phone_number`, where the client's scopes have `phone` and the issuer says that it is verified.
    pub fn phone_number(&self) -> Option<&PhoneNumber> {
        self.phone_number.as_ref()
    }

    /// All other claims: those that operators gave to the client.
    pub fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }

    /// Takes the claims out of a payload whose signature was checked.
    pub(super) fn take(mut members: Map<String, Value>) -> Result<Self, Refused> {
        let from = &mut members;
        Ok(Self {
            issuer: required(from, "iss", text)?,
            subject: required(from, "sub", text)?,
            audience: required(from, "aud", one_or_more)?,
            client_id: required(from, "client_id", text)?,
            issued_at: required(from, "iat", time)?,
            expires_at: required(from, "exp", time)?,
            not_before: optional(from, "nbf", time)?,
            token_id: required(from, "jti", text)?,
            session_id: required(from, "sid", text)?,
            auth_time: optional(from, "auth_time", time)?,
            amr: optional(from, "amr", list)?.unwrap_or_default(),
            scopes: optional(from, "scope", words)?.unwrap_or_default(),
            phone_number: phone_number(from)?,
            extra: members,
        })
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("subject", &self.subject)
            .field("audience", &self.audience)
            .field("client_id", &self.client_id)
            .field("expires_at", &self.expires_at)
            .field("token_id", &self.token_id)
            .field("session_id", &self.session_id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// A verified phone number. It does not print itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// The number in E.164: `+` and at most 15 digits.
    pub fn as_e164(&self) -> &str {
        &self.0
    }

    fn parse(value: Value) -> Option<Self> {
        let number = text(value)?;
        let digits = number.strip_prefix('+')?;
        let well_formed =
            (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        well_formed.then_some(Self(number))
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(***)")
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

type Members = Map<String, Value>;

fn required<T>(
    members: &mut Members,
    name: &'static str,
    read: fn(Value) -> Option<T>,
) -> Result<T, Refused> {
    members
        .remove(name)
        .and_then(read)
        .ok_or(Refused::MissingClaim(name))
}

fn optional<T>(
    members: &mut Members,
    name: &'static str,
    read: fn(Value) -> Option<T>,
) -> Result<Option<T>, Refused> {
    match members.remove(name) {
        Some(value) => read(value).map(Some).ok_or(Refused::Malformed),
        None => Ok(None),
    }
}

fn phone_number(members: &mut Members) -> Result<Option<PhoneNumber>, Refused> {
    let verified = members.remove("phone_number_verified") == Some(Value::Bool(true));
    let number = optional(members, "phone_number", PhoneNumber::parse)?;
    Ok(number.filter(|_| verified))
}

fn text(value: Value) -> Option<String> {
    if let Value::String(text) = value {
        (!text.is_empty()).then_some(text)
    } else {
        None
    }
}

/// Seconds since 1970. The issuer writes whole ones.
fn time(value: Value) -> Option<DateTime<Utc>> {
    if let Value::Number(seconds) = value {
        DateTime::from_timestamp(seconds.as_i64()?, 0)
    } else {
        None
    }
}

fn list(value: Value) -> Option<Vec<String>> {
    if let Value::Array(items) = value {
        items.into_iter().map(text).collect()
    } else {
        None
    }
}

/// `aud` is a string or a list (RFC 7519 section 4.1.3).
fn one_or_more(value: Value) -> Option<Vec<String>> {
    if value.is_string() {
        text(value).map(|one| vec![one])
    } else {
        list(value).filter(|many| !many.is_empty())
    }
}

fn words(value: Value) -> Option<Vec<String>> {
    if let Value::String(words) = value {
        Some(words.split_whitespace().map(str::to_owned).collect())
    } else {
        None
    }
}
