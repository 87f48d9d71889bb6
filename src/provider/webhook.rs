//! A company's own SMS gateway: one signed HTTP POST an SMS.
//!
//! The form is that of Standard Webhooks (standardwebhooks.com, version 1.0.0), for which every
//! language has a library that checks it: `webhook-id`, `webhook-timestamp`, and `webhook-signature`
//! with `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`. The id is the same in every try to
//! send one SMS, so a gateway that remembers ids sends it once. The receiver answers:
//!
//! | status | meaning |
//! |---|---|
//! | 2xx | taken; a JSON body may tell its `message_id` |
//! | 409 | taken before, by this id |
//! | 429 | too many calls; `Retry-After` is waited for |
//! | 422 | this number cannot be sent to for now |
//! | 401, 403 | the signature or the account is refused: a person must act |
//! | other 4xx | the call is refused; nothing was sent |
//! | anything else, or none | unknown: the SMS may be out |

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use secrecy::zeroize::Zeroizing;
use serde::Serialize;
use url::Url;

use super::http::{self, Answer, BuildError};
use super::resolver::CachingResolver;
use super::{Accepted, AccountFault, Call, CodeOwner, Message, ProviderError, Timeouts, Vendor};
use crate::clock::Clock;
use crate::standard_webhooks::Signer;

/// What a 422 without `Retry-After` is taken to ask for: as long as StartMessaging refuses a number.
const NUMBER_WAIT: Duration = Duration::from_mins(5);
/// What a 429 without `Retry-After` is taken to ask for.
const THROTTLE_WAIT: Duration = Duration::from_secs(10);

/// Where the gateway is.
pub struct WebhookOptions {
    /// The address that is posted to, as it is.
    pub url: Url,
    /// The bytes of the shared secret, 24 to 64 (Standard Webhooks, section "Signature scheme").
    pub secret: Zeroizing<Vec<u8>>,
    /// Named to the gateway, for its text.
    pub app_name: Option<String>,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// A client of one gateway.
pub struct Webhook {
    http: reqwest::Client,
    url: Url,
    signer: Signer,
    app_name: Option<String>,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    phone_number: &'a str,
    code: &'a str,
    /// Seconds.
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<&'a str>,
}

impl Webhook {
    /// Builds the client; nothing is sent yet.
    pub fn new(
        options: WebhookOptions,
        resolver: CachingResolver,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            http: http::client(HeaderMap::new(), options.timeouts, resolver)?,
            url: options.url,
            signer: Signer::new(&options.secret),
            app_name: options.app_name,
            clock,
        })
    }

    async fn post(&self, message: Message<'_>) -> Result<Accepted, ProviderError> {
        let now = self.clock.now();
        let event = Event {
            kind: "otp.send",
            timestamp: now.to_rfc3339(),
            data: Data {
                phone_number: message.phone.as_e164(),
                code: message.code.digits(),
                expires_in: message.valid_for.num_seconds(),
                app_name: self.app_name.as_deref(),
            },
        };
        // Text and numbers only: it cannot fail.
        let body = serde_json::to_string(&event).unwrap_or_default();
        let request = self.http.post(self.url.clone());
        let id = message.key.to_string();
        let request = self.signer.sign(request, &id, now, body);
        sent(&http::exchange(request).await?)
    }
}

impl Vendor for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn code_owner(&self) -> CodeOwner {
        CodeOwner::Service
    }

    fn send<'a>(&'a self, message: Message<'a>) -> Call<'a, Accepted> {
        Box::pin(self.post(message))
    }
}

pub(super) fn sent(answer: &Answer) -> Result<Accepted, ProviderError> {
    let status = answer.status;
    match status {
        200..=299 | 409 => {
            let members = answer.members();
            Ok(Accepted {
                message_id: members.and_then(|members| http::id(members.get("message_id"))),
                reference: None,
            })
        }
        401 => Err(ProviderError::AccountFault {
            fault: AccountFault::Key,
            status,
        }),
        402 | 403 => Err(ProviderError::AccountFault {
            fault: AccountFault::Onboarding,
            status,
        }),
        404 | 405 | 410 => Err(ProviderError::WrongMode { status }),
        422 => Err(ProviderError::NumberCooling {
            retry_after: answer.retry_after.unwrap_or(NUMBER_WAIT),
        }),
        429 => Err(ProviderError::Throttled {
            retry_after: answer.retry_after.unwrap_or(THROTTLE_WAIT),
        }),
        400..=499 => Err(ProviderError::Rejected { status }),
        _ => Err(ProviderError::Failed { status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_a_gateway_has_one_meaning() {
        for (status, body, expected) in [
            (200, r#"{"message_id":"m1"}"#, "accepted m1"),
            (202, "", "accepted -"),
            (204, "<html>", "accepted -"),
            (409, "", "accepted -"),
            (301, "", "failed"),
            (400, "", "rejected"),
            (401, "", "account_fault"),
            (403, "", "account_fault"),
            (404, "", "wrong_mode"),
            (422, "", "number_cooling"),
            (429, "", "throttled"),
            (500, "", "failed"),
            (503, r#"{"message_id":"m1"}"#, "failed"),
        ] {
            let told = match sent(&Answer::of(status, body)) {
                Ok(accepted) => {
                    format!("accepted {}", accepted.message_id.as_deref().unwrap_or("-"))
                }
                Err(error) => error.kind().to_owned(),
            };
            assert_eq!(told, expected, "{status} {body}");
        }
    }
}
