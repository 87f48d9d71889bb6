//! The claims of an access token. Claim names are spelled here and nowhere else.

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Names a client's own claims may not take: those below, and what the field gives a meaning that a
/// client must not bend (RFC 7519, RFC 7800, RFC 8693, RFC 9068, `OpenID` Connect Core 1.0).
const RESERVED: [&str; 31] = [
    "iss",
    "sub",
    "aud",
    "client_id",
    "iat",
    "exp",
    "nbf",
    "jti",
    "sid",
    "auth_time",
    "amr",
    "acr",
    "azp",
    "act",
    "may_act",
    "cnf",
    "events",
    "nonce",
    "at_hash",
    "c_hash",
    "active",
    "token_type",
    "username",
    "email",
    "email_verified",
    "phone_number_verified",
    "phone_number",
    "scope",
    "scp",
    "typ",
    "alg",
];

/// Whether a client's own claims may not have this name.
pub fn is_reserved(name: &str) -> bool {
    RESERVED
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// `aud`: one audience is written as a string, several as a list (RFC 7519 section 4.1.3).
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Audience<'a> {
    /// One.
    One(&'a str),
    /// Several.
    Many(&'a [String]),
}

impl<'a> From<&'a [String]> for Audience<'a> {
    fn from(audience: &'a [String]) -> Self {
        match audience {
            [one] => Self::One(one),
            many => Self::Many(many),
        }
    }
}

/// An access token's claims (RFC 9068 section 2.2). There is no `nbf`: verifiers whose clock is
/// behind would refuse a fresh token.
#[derive(Serialize)]
pub struct Claims<'a> {
    /// Issuer, exactly as configured.
    pub iss: &'a str,
    /// The user: opaque, never the phone.
    pub sub: Uuid,
    /// Who the token is for.
    pub aud: Audience<'a>,
    /// The client that asked for the code.
    pub client_id: &'a str,
    /// Issued at, seconds since 1970.
    pub iat: i64,
    /// Expires at, seconds since 1970.
    pub exp: i64,
    /// This token's own id.
    pub jti: Uuid,
    /// The session.
    pub sid: Uuid,
    /// When the code was checked, seconds since 1970.
    pub auth_time: i64,
    /// How: a one-time code over SMS, a single factor (RFC 8176).
    pub amr: &'a [String],
    /// Its scopes, space-separated; left out if there are none.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub scope: &'a str,
    /// The number in E.164, with scope `phone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<&'a str>,
    /// Always true where `phone_number` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number_verified: Option<bool>,
    /// The client's own; none of them is reserved.
    #[serde(flatten)]
    pub own: &'a Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_claim_is_reserved() {
        let audience = ["api".to_owned(), "other".to_owned()];
        let amr = ["otp".to_owned(), "sms".to_owned()];
        let claims = Claims {
            iss: "https://id.example",
            sub: Uuid::nil(),
            aud: Audience::from(audience.as_slice()),
            client_id: "web",
            iat: 1,
            exp: 2,
            jti: Uuid::nil(),
            sid: Uuid::nil(),
            auth_time: 1,
            amr: &amr,
            scope: "phone",
            phone_number: Some("+919876543210"),
            phone_number_verified: Some(true),
            own: &Map::new(),
        };

        let json = serde_json::to_value(&claims).unwrap();

        for name in json.as_object().unwrap().keys() {
            assert!(is_reserved(name), "{name}");
        }
        assert_eq!(json["aud"], serde_json::json!(["api", "other"]));
        assert_eq!(json["amr"], serde_json::json!(["otp", "sms"]));
    }

    #[test]
    fn one_audience_is_a_string() {
        let audience = ["api".to_owned()];

        let json = serde_json::to_value(Audience::from(audience.as_slice())).unwrap();

        assert_eq!(json, serde_json::json!("api"));
    }
}
