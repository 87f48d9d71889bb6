//! What a gateway is shown, and what must become of it.

use url::{Position, Url};

use super::super::report::Finding;
use crate::token::probe::Flaw;

/// What a call carries.
#[derive(Clone, Copy)]
pub(super) enum Carried {
    Token(Flaw),
    Nothing,
    /// The header by which gateways tell others who calls, from somebody who has no token.
    Subject,
}

/// One kind of call, and what is wrong where it ends as it must not.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) carried: Carried,
    is_let_in: bool,
    advice: &'static str,
}

const fn refused(name: &'static str, carried: Carried, advice: &'static str) -> Case {
    Case {
        name,
        carried,
        is_let_in: false,
        advice,
    }
}

/// What has to be let in; where that is not even answered, nothing more is asked.
pub(super) const GOOD: Case = Case {
    name: "gateway.good",
    carried: Carried::Token(Flaw::None),
    is_let_in: true,
    advice: "it refuses what it should let in: look at its issuer, audience, keys and clock, and at the \
             scopes it asks for",
};

/// What must not be.
pub(super) const BAD: [Case; 10] = [
    refused(
        "gateway.no_token",
        Carried::Nothing,
        "this path is not protected: anybody gets in",
    ),
    refused(
        "gateway.spoofed_subject",
        Carried::Subject,
        "anybody gets in as anybody: strip X-Auth-* from what clients send, and ask for a token",
    ),
    refused(
        "gateway.expired",
        Carried::Token(Flaw::Expired),
        "check exp, with a leeway of 60 s at most",
    ),
    refused(
        "gateway.wrong_audience",
        Carried::Token(Flaw::Audience),
        "check aud: tokens for other services are let in",
    ),
    refused(
        "gateway.tampered_payload",
        Carried::Token(Flaw::Payload),
        "check the signature: anybody gets in as anybody",
    ),
    refused(
        "gateway.tampered_signature",
        Carried::Token(Flaw::Signature),
        "check the signature: anybody gets in as anybody",
    ),
    refused(
        "gateway.alg_none",
        Carried::Token(Flaw::Unsigned),
        "allow the one algorithm of tokens.algorithm: anybody gets in as anybody",
    ),
    refused(
        "gateway.public_key_as_secret",
        Carried::Token(Flaw::PublicKeyAsSecret),
        "allow the one algorithm of tokens.algorithm: anybody gets in as anybody",
    ),
    refused(
        "gateway.unknown_key",
        Carried::Token(Flaw::UnknownKey),
        "take only the key that the token's kid names",
    ),
    refused(
        "gateway.wrong_type",
        Carried::Token(Flaw::Type),
        "check typ: it must be at+jwt",
    ),
];

/// An upstream may have no page there, or send the caller on: he is in all the same.
pub(super) fn is_let_in(status: u16) -> Option<bool> {
    match status {
        200..=399 | 404 => Some(true),
        401 | 403 => Some(false),
        _ => None,
    }
}

impl Case {
    /// Judges what it ended with.
    pub(super) fn judge(&self, url: &Url, status: u16) -> Finding {
        let became = is_let_in(status);
        let what = match became {
            Some(true) => "let in",
            Some(false) => "refused",
            None => "neither let in nor refused",
        };
        let seen = format!("{}: {status}, {what}", shown(url));
        if became == Some(self.is_let_in) {
            return Finding::ok(self.name, seen);
        }
        let advice = if became.is_none() {
            "name a protected address that answers to GET; if it is one, look at the gateway's log"
        } else {
            self.advice
        };
        Finding::fail(self.name, seen, advice)
    }
}

/// An address without what may be a secret in it.
pub(super) fn shown(url: &Url) -> &str {
    &url[..Position::AfterPath]
}

#[cfg(test)]
mod tests {
    use super::super::super::report::Level;
    use super::*;

    #[test]
    fn a_status_says_who_is_in() {
        let url = "http://gateway.example/orders?key=secret".parse().unwrap();
        for (status, good, bad) in [
            (200, Level::Ok, Level::Fail),
            (204, Level::Ok, Level::Fail),
            (302, Level::Ok, Level::Fail),
            (404, Level::Ok, Level::Fail),
            (401, Level::Fail, Level::Ok),
            (403, Level::Fail, Level::Ok),
            (400, Level::Fail, Level::Fail),
            (405, Level::Fail, Level::Fail),
            (500, Level::Fail, Level::Fail),
            (503, Level::Fail, Level::Fail),
        ] {
            let found = GOOD.judge(&url, status);
            assert_eq!(found.level, good, "{status}");
            assert!(found.seen.starts_with("http://gateway.example/orders: "));
            for case in &BAD {
                assert_eq!(
                    case.judge(&url, status).level,
                    bad,
                    "{} {status}",
                    case.name
                );
            }
        }
    }
}
