//! What can be learnt of StartMessaging and of an account there without an SMS.
//!
//! Its server answers a path that it does not have with 404 before it asks for a key, and one that it has
//! with 401 without a key: so `POST /otp/verify` without one tells whether codes are checked there. The
//! status of an SMS is asked for by an id, and an unknown id is no error: so that call tells what becomes
//! of the key.

use reqwest::header::HeaderMap;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use super::super::http::{self, BuildError};
use super::super::probe::{Seen, ask};
use super::super::resolver::CachingResolver;
use super::answer::Envelope;
use super::{CodeOwner, ProviderError, StartMessagingOptions, key_header};

/// Asks.
pub struct Probe {
    stranger: reqwest::Client,
    account: reqwest::Client,
    verify_url: Url,
    messages_url: Url,
}

/// What becomes of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// It is taken.
    Good,
    /// It is unknown or was revoked.
    Unknown,
    /// It is known, but not from the address that this machine calls from.
    WrongAddress,
    /// Its account is suspended.
    Suspended,
    /// Its account may not send yet.
    Onboarding,
    /// Its account has no money left.
    Balance,
    /// It was not looked at: too many calls came from here.
    Throttled,
    /// The answer does not tell.
    Unclear,
}

impl Probe {
    /// Builds the clients; nothing is asked yet.
    pub fn new(
        options: &StartMessagingOptions,
        resolver: &CachingResolver,
    ) -> Result<Self, BuildError> {
        let timeouts = options.timeouts;
        let account = key_header(&options.api_key)?;
        let base = &options.base_url;
        Ok(Self {
            stranger: http::client(HeaderMap::new(), timeouts, resolver.clone())?,
            account: http::client(account, timeouts, resolver.clone())?,
            verify_url: http::join(base, "otp/verify")?,
            messages_url: http::join(base, "messages/")?,
        })
    }

    /// Who makes the codes there, as far as its answer tells.
    pub async fn code_owner(&self) -> Result<(Seen, Option<CodeOwner>), ProviderError> {
        let request = self.stranger.post(self.verify_url.clone());
        let (seen, _) = ask(request.json(&json!({}))).await?;
        let owner = code_owner(seen.status);
        Ok((seen, owner))
    }

    /// What becomes of the key. `made_up` is an id that no SMS has.
    pub async fn key(&self, made_up: Uuid) -> Result<(Seen, Key), ProviderError> {
        let url = self.messages_url.join(&made_up.to_string());
        // It has a path that ends in a slash.
        let url = url.unwrap_or_else(|_| self.messages_url.clone());
        let (seen, answer) = ask(self.account.get(url)).await?;
        let envelope = Envelope::of(&answer);
        let said = envelope.as_ref().and_then(Envelope::message);
        let key = key(seen.status, said, envelope.is_some());
        Ok((seen, key))
    }
}

fn code_owner(status: u16) -> Option<CodeOwner> {
    match status {
        404 | 405 => Some(CodeOwner::Service),
        400 | 401 | 403 | 422 => Some(CodeOwner::Vendor),
        _ => None,
    }
}

/// The sentences are those of its server as read on 2026-11-23, which has one code for all of them.
fn key(status: u16, said: Option<&str>, is_envelope: bool) -> Key {
    match (status, said) {
        (200..=299, _) if is_envelope => Key::Good,
        (401, Some("Account is suspended")) => Key::Suspended,
        // The key was sent, and yet none was found that may be used from here.
        (401, Some("Authentication required")) => Key::WrongAddress,
        (401, _) => Key::Unknown,
        (402, _) => Key::Balance,
        (403, _) => Key::Onboarding,
        (429, _) => Key::Throttled,
        _ => Key::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_tells_who_makes_the_codes() {
        for (status, owner) in [
            (404, Some(CodeOwner::Service)),
            (405, Some(CodeOwner::Service)),
            (401, Some(CodeOwner::Vendor)),
            (400, Some(CodeOwner::Vendor)),
            (200, None),
            (301, None),
            (429, None),
            (502, None),
        ] {
            assert_eq!(code_owner(status), owner, "{status}");
        }
    }

    #[test]
    fn every_answer_says_one_thing_of_the_key() {
        for (status, said, is_envelope, expected) in [
            (200, None, true, Key::Good),
            (200, None, false, Key::Unclear),
            (401, Some("Invalid API key"), true, Key::Unknown),
            (401, None, false, Key::Unknown),
            (401, Some("Account is suspended"), true, Key::Suspended),
            (
                401,
                Some("Authentication required"),
                true,
                Key::WrongAddress,
            ),
            (402, None, true, Key::Balance),
            (403, Some("KYC approval pending"), true, Key::Onboarding),
            (404, Some("Cannot GET /messages/1"), true, Key::Unclear),
            (429, None, true, Key::Throttled),
            (502, None, false, Key::Unclear),
        ] {
            assert_eq!(
                key(status, said, is_envelope),
                expected,
                "{status} {said:?}"
            );
        }
    }
}
