//! The checks of a token, in their order.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::claims::Claims;
use super::json;
use super::jws::Jws;
use super::keys::KeySet;

/// The most by which the clocks of issuer and verifier may differ (RFC 7519 section 4.1.4: "usually no
/// more than a few minutes"; ours is stricter, for a token that was ended lives on as long).
pub const MAX_LEEWAY: Duration = Duration::from_mins(1);

/// Why a token is not accepted. It holds nothing of the token but a `kid`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too long, not three parts of base64url, no JSON objects, or a claim of another type.
    #[error("the token is malformed")]
    Malformed,
    /// The header's `typ` is not that of an access token: it is a token of another kind.
    #[error("this is no access token")]
    Type,
    /// The header names an extension that must be understood.
    #[error("the token has a critical extension")]
    Critical,
    /// No key of the issuer has this `kid`; perhaps not yet.
    #[error("the token is signed with an unknown key")]
    UnknownKey {
        /// What the token's header says, at most 128 bytes of anything.
        kid: String,
    },
    /// Not the algorithm of the key, or none that is ever accepted.
    #[error("the token has the wrong algorithm")]
    Algorithm,
    /// The key's holder did not sign this.
    #[error("the signature is wrong")]
    Signature,
    /// Issued by somebody else.
    #[error("the token is from another issuer")]
    Issuer,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its session was ended before its time.
    #[error("the session of the token has ended")]
    Ended,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A claim that every access token has is missing, empty or of another type.
    #[error("the token has no usable claim {0}")]
    MissingClaim(&'static str),
}

/// Settings under which no token, or too many, would be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpectedError {
    /// No issuer.
    #[error("the issuer is empty")]
    Issuer,
    /// No audience, or an empty one.
    #[error("an audience is needed, and none may be empty")]
    Audience,
    /// Longer than [`MAX_LEEWAY`].
    #[error("the leeway is longer than 60 s")]
    Leeway,
}

/// What a token must say to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    issuer: String,
    audiences: Vec<String>,
    leeway: TimeDelta,
}

impl Expected {
    /// Accepts tokens of exactly this issuer for any one of these audiences; clocks may differ by
    /// `leeway`, at most [`MAX_LEEWAY`].
    pub fn new<A: Into<String>>(
        issuer: impl Into<String>,
        audiences: impl IntoIterator<Item = A>,
        leeway: Duration,
    ) -> Result<Self, ExpectedError> {
        let issuer = issuer.into();
        let audiences: Vec<String> = audiences.into_iter().map(Into::into).collect();
        if issuer.is_empty() {
            return Err(ExpectedError::Issuer);
        }
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
            return Err(ExpectedError::Audience);
        }
        match TimeDelta::from_std(leeway) {
            Ok(delta) if leeway <= MAX_LEEWAY => Ok(Self {
                issuer,
                audiences,
                leeway: delta,
            }),
            Ok(_) | Err(_) => Err(ExpectedError::Leeway),
        }
    }

    /// The issuer, as `iss` must say it to the byte (RFC 8725 section 3.8).
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `iat` is not compared with `now`: the issuer signed it, and to refuse a fresh token because this
    /// machine's clock is behind would help nobody. It is also why tokens of ours have no `nbf`.
    fn accepts(&self, claims: &Claims, now: DateTime<Utc>) -> Result<(), Refused> {
        if claims.issuer() != self.issuer {
            return Err(Refused::Issuer);
        }
        if !self
            .audiences
            .iter()
            .any(|audience| claims.audience().contains(audience))
        {
            return Err(Refused::Audience);
        }
        // Moving `now` instead of the token's times cannot overflow, whatever the token says.
        if now - self.leeway >= claims.expires_at() {
            return Err(Refused::Expired);
        }
        if claims
            .not_before()
            .is_some_and(|start| now + self.leeway < start)
        {
            return Err(Refused::NotYetValid);
        }
        Ok(())
    }
}

/// Checks an access token (RFC 9068 section 4): its form and type, that a key of the issuer signed it
/// with that key's algorithm, and that it is from this issuer, for this audience, and of this time.
///
/// `now` is the time of day. Nothing is fetched: for [`Refused::UnknownKey`] a newer key set may help.
pub fn verify(
    token: &str,
    keys: &KeySet,
    expected: &Expected,
    now: DateTime<Utc>,
) -> Result<Claims, Refused> {
    let jws = Jws::parse(token)?;
    let Some(key) = keys.get(&jws.kid) else {
        return Err(Refused::UnknownKey { kid: jws.kid });
    };
    if key.algorithm() != jws.algorithm {
        return Err(Refused::Algorithm);
    }
    if !key.signed(jws.signed, &jws.signature) {
        return Err(Refused::Signature);
    }
    // The parser's error would quote the token.
    let Ok(payload) = json::object(&jws.payload) else {
        return Err(Refused::Malformed);
    };
    let claims = Claims::take(payload)?;
    expected.accepts(&claims, now)?;
    Ok(claims)
}

#[cfg(test)]
mod tests;
