//! StartMessaging, in both forms it is written about.
//!
//! - [`CodeOwner::Service`]: `POST /otp/send` with `variables.otp`, a code that we made. This is all
//!   its server does as far as its published source shows.
//! - [`CodeOwner::Vendor`]: `POST /otp/send {phoneNumber, idempotencyKey}`, then
//!   `POST /otp/verify {requestId, otpCode}`, as its tutorials tell.
//!
//! Which one is a setting, never guessed. What its answers mean is in `answer.rs`.

mod answer;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod probe;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use super::http::{self, BuildError};
use super::resolver::CachingResolver;
use super::{
    Accepted, Call, CodeOwner, Message, Progress, ProviderError, Timeouts, Vendor, Verdict,
};
use crate::otp::code::Guess;

/// How to reach the account.
#[derive(Clone, Debug)]
pub struct StartMessagingOptions {
    /// `https://api.startmessaging.com`, or a sandbox.
    pub base_url: Url,
    /// `sm_live_` and 40 hex digits.
    pub api_key: SecretString,
    /// Who makes and checks the codes.
    pub code_owner: CodeOwner,
    /// StartMessaging's own id of an approved template.
    pub template_id: Option<Uuid>,
    /// Named in the text; the provider's default if empty.
    pub app_name: Option<String>,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// A client of one StartMessaging account.
pub struct StartMessaging {
    http: reqwest::Client,
    send_url: Url,
    verify_url: Url,
    messages_url: Url,
    code_owner: CodeOwner,
    template_id: Option<Uuid>,
    app_name: Option<String>,
}

/// A send of a code that we made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSend<'a> {
    phone_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_id: Option<Uuid>,
    variables: Variables<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Variables<'a> {
    otp: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<&'a str>,
    /// Whole minutes. Always given: older servers texted "undefined" for a missing one.
    expiry: String,
}

/// A send of a code that the provider makes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VendorSend<'a> {
    phone_number: &'a str,
    idempotency_key: Uuid,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VendorVerify<'a> {
    request_id: &'a str,
    otp_code: &'a str,
}

impl StartMessaging {
    /// Builds the client; nothing is sent yet.
    pub fn new(
        options: StartMessagingOptions,
        resolver: CachingResolver,
    ) -> Result<Self, BuildError> {
        let base = &options.base_url;
        Ok(Self {
            http: http::client(key_header(&options.api_key)?, options.timeouts, resolver)?,
            send_url: http::join(base, "otp/send")?,
            verify_url: http::join(base, "otp/verify")?,
            messages_url: http::join(base, "messages/")?,
            code_owner: options.code_owner,
            template_id: options.template_id,
            app_name: options.app_name,
        })
    }

    async fn send_one(&self, message: Message<'_>) -> Result<Accepted, ProviderError> {
        let request = self.http.post(self.send_url.clone());
        let request = match self.code_owner {
            CodeOwner::Service => request.json(&self.service_send(message)),
            CodeOwner::Vendor => request.json(&VendorSend {
                phone_number: message.phone.as_e164(),
                idempotency_key: message.key,
            }),
        };
        answer::sent(&http::exchange(request).await?, self.code_owner)
    }

    fn service_send<'a>(&'a self, message: Message<'a>) -> ServiceSend<'a> {
        ServiceSend {
            phone_number: message.phone.as_e164(),
            template_id: self.template_id,
            variables: Variables {
                otp: message.code.digits(),
                app_name: self.app_name.as_deref(),
                // Rounded down: the text must not promise more than the code holds.
                expiry: message.valid_for.num_minutes().max(1).to_string(),
            },
        }
    }

    async fn check_one(&self, reference: &str, guess: &Guess) -> Result<Verdict, ProviderError> {
        let body = VendorVerify {
            request_id: reference,
            otp_code: guess.digits(),
        };
        let request = self.http.post(self.verify_url.clone()).json(&body);
        answer::checked(&http::exchange(request).await?)
    }

    async fn ask(&self, message_id: &str) -> Result<Option<Progress>, ProviderError> {
        let mut url = self.messages_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(message_id);
        }
        answer::progress(&http::exchange(self.http.get(url)).await?)
    }
}

/// What shows whose account it is.
fn key_header(api_key: &SecretString) -> Result<HeaderMap, BuildError> {
    let mut key = HeaderValue::from_str(api_key.expose_secret()).map_err(BuildError::Secret)?;
    key.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-api-key"), key);
    Ok(headers)
}

impl Vendor for StartMessaging {
    fn name(&self) -> &'static str {
        "startmessaging"
    }

    fn code_owner(&self) -> CodeOwner {
        self.code_owner
    }

    fn send<'a>(&'a self, message: Message<'a>) -> Call<'a, Accepted> {
        Box::pin(self.send_one(message))
    }

    fn check<'a>(&'a self, reference: &'a str, guess: &'a Guess) -> Call<'a, Verdict> {
        Box::pin(self.check_one(reference, guess))
    }

    fn tells_deliveries(&self) -> bool {
        true
    }

    fn delivery<'a>(&'a self, message_id: &'a str) -> Call<'a, Option<Progress>> {
        Box::pin(self.ask(message_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodies_are_those_the_provider_reads() {
        let service = ServiceSend {
            phone_number: "+919876543210",
            template_id: None,
            variables: Variables {
                otp: "012345",
                app_name: Some("Acme"),
                expiry: "5".to_owned(),
            },
        };
        let vendor = VendorSend {
            phone_number: "+919876543210",
            idempotency_key: Uuid::nil(),
        };
        let verify = VendorVerify {
            request_id: "r1",
            otp_code: "012345",
        };

        assert_eq!(
            serde_json::to_string(&service).unwrap(),
            r#"{"phoneNumber":"+919876543210","variables":{"otp":"012345","appName":"Acme","expiry":"5"}}"#
        );
        assert_eq!(
            serde_json::to_string(&vendor).unwrap(),
            r#"{"phoneNumber":"+919876543210","idempotencyKey":"00000000-0000-0000-0000-000000000000"}"#
        );
        assert_eq!(
            serde_json::to_string(&verify).unwrap(),
            r#"{"requestId":"r1","otpCode":"012345"}"#
        );
    }
}
