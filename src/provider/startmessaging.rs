//! StartMessaging, delivering codes that we make: `POST /otp/send` with `variables.otp`.
//!
//! The shapes and the meaning of each answer are those of its server as read on 2026-11-23, which
//! its tutorials do not tell: errors are `{"success":false,"error":{"code","message"}}`, the
//! per-number limit is a 400, an empty balance is a 400, and there is no idempotency.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::{Accepted, Message, Provider, ProviderError};
use crate::clock::Clock;
use crate::limit::GovernorClock;

/// Longest answer that is read; real ones are below 1 KiB.
const ANSWER_LIMIT: usize = 64 * 1024;
/// The provider's per-number window: a refusal lasts at most that long.
const NUMBER_WINDOW: Duration = Duration::from_mins(5);
/// The provider's throttle window, for a 429 without a usable `Retry-After`.
const THROTTLE_WINDOW: Duration = Duration::from_secs(10);
/// Longest `Retry-After` that is believed.
const LONGEST_WAIT: u64 = 3600;

/// How to reach the account.
#[derive(Clone, Debug)]
pub struct StartMessagingOptions {
    /// `https://api.startmessaging.com`, or a sandbox.
    pub base_url: Url,
    /// `sm_live_` and 40 hex digits.
    pub api_key: SecretString,
    /// StartMessaging's own id of an approved template.
    pub template_id: Option<Uuid>,
    /// Named in the text; the provider's default if empty.
    pub app_name: Option<String>,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time for the whole call.
    pub timeout: Duration,
    /// Our share of the provider's throttle, which counts by egress address; `None` for no limit.
    pub budget: Option<Quota>,
}

/// The client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The API key has characters that no HTTP header can carry.
    #[error("startmessaging.api_key cannot be sent in a header")]
    ApiKey(#[source] reqwest::header::InvalidHeaderValue),
    /// The address cannot be completed with a path.
    #[error("startmessaging.base_url cannot have a path added")]
    BaseUrl(#[source] url::ParseError),
    /// TLS or the resolver could not start.
    #[error("the HTTP client cannot start")]
    Client(#[source] reqwest::Error),
}

/// A client of one StartMessaging account.
pub struct StartMessaging {
    http: reqwest::Client,
    send_url: Url,
    template_id: Option<Uuid>,
    app_name: Option<String>,
    budget: Option<Budget>,
    clock: GovernorClock,
}

type Budget = RateLimiter<NotKeyed, InMemoryState, GovernorClock, NoOpMiddleware<Nanos>>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SendBody<'a> {
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

#[derive(Deserialize)]
struct Envelope {
    success: Option<bool>,
    data: Option<Data>,
    error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "messageId")]
    message: Option<String>,
    #[serde(rename = "otpRequestId")]
    otp_request: Option<String>,
    #[serde(rename = "requestId")]
    request: Option<String>,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<String>,
}

impl StartMessaging {
    /// Builds the client; nothing is sent yet.
    pub fn new(options: StartMessagingOptions, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let mut key =
            HeaderValue::from_str(options.api_key.expose_secret()).map_err(BuildError::ApiKey)?;
        key.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-api-key"), key);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            // A redirect would carry the key to wherever it points.
            .redirect(redirect::Policy::none())
            // Node.js, which the provider runs on, closes an idle connection after 5 s. We close it
            // before that, so that a send never dies on a stale one.
            .pool_idle_timeout(Duration::from_secs(4))
            .no_proxy()
            .build()
            .map_err(BuildError::Client)?;
        let mut base = options.base_url;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let clock = GovernorClock::new(clock);
        let budget = options
            .budget
            .map(|quota| RateLimiter::direct_with_clock(quota, clock.clone()));
        Ok(Self {
            http,
            send_url: base.join("otp/send").map_err(BuildError::BaseUrl)?,
            template_id: options.template_id,
            app_name: options.app_name,
            budget,
            clock,
        })
    }

    async fn send_one(&self, message: Message<'_>) -> Result<Accepted, ProviderError> {
        if let Some(Err(not_until)) = self.budget.as_ref().map(RateLimiter::check) {
            let retry_after = not_until.wait_time_from(self.clock.now());
            return Err(ProviderError::Busy { retry_after });
        }
        let body = SendBody {
            phone_number: message.phone.as_e164(),
            template_id: self.template_id,
            variables: Variables {
                otp: message.code.digits(),
                app_name: self.app_name.as_deref(),
                // Rounded down: the text must not promise more than the code holds.
                expiry: message.valid_for.num_minutes().max(1).to_string(),
            },
        };
        let sent = self
            .http
            .post(self.send_url.clone())
            .json(&body)
            .send()
            .await;
        let answer = sent.map_err(|error| {
            if error.is_connect() {
                ProviderError::Unreachable(error.without_url())
            } else {
                ProviderError::NoAnswer(error.without_url())
            }
        })?;
        let status = answer.status();
        let retry_after = retry_after(answer.headers());
        let body = read_limited(answer).await?;
        classify(status, retry_after, &body)
    }
}

impl Provider for StartMessaging {
    fn send<'a>(&'a self, message: Message<'a>) -> BoxFuture<'a, Result<Accepted, ProviderError>> {
        Box::pin(self.send_one(message))
    }
}

/// Reads at most [`ANSWER_LIMIT`] bytes; a longer answer is cut and will not parse.
async fn read_limited(mut answer: Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while body.len() <= ANSWER_LIMIT {
        let chunk = answer.chunk().await;
        match chunk.map_err(|error| ProviderError::NoAnswer(error.without_url()))? {
            Some(bytes) => body.extend_from_slice(&bytes),
            None => return Ok(body),
        }
    }
    Ok(Vec::new())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.clamp(1, LONGEST_WAIT)))
}

/// What an answer means: by status first, since the provider's 429 and 5xx share one code.
fn classify(
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
) -> Result<Accepted, ProviderError> {
    let envelope: Option<Envelope> = serde_json::from_slice(body).ok();
    let code = envelope
        .as_ref()
        .and_then(|envelope| envelope.error.as_ref())
        .and_then(|error| error.code.as_deref());
    let number = status.as_u16();
    match (number, code) {
        (200..=299, _) => match envelope {
            Some(Envelope { success, data, .. }) if success != Some(false) => {
                let id = data.and_then(|d| d.message.or(d.otp_request).or(d.request));
                Ok(Accepted { message_id: id })
            }
            Some(_) | None => Err(ProviderError::Failed { status: number }),
        },
        (429, _) => Err(ProviderError::Throttled {
            retry_after: retry_after.unwrap_or(THROTTLE_WINDOW),
        }),
        (400, Some("RATE_LIMIT_EXCEEDED")) => Err(ProviderError::NumberCooling {
            retry_after: NUMBER_WINDOW,
        }),
        (401..=403, _) | (400, Some("INSUFFICIENT_BALANCE")) => {
            Err(ProviderError::AccountFault { status: number })
        }
        // The provider's carrier call and its own bookkeeping fail alike: the SMS may be out.
        (400, Some("OTP_SEND_FAILED")) => Err(ProviderError::Failed { status: number }),
        (400, Some(_)) | (404..=428 | 430..=499, _) => {
            Err(ProviderError::Rejected { status: number })
        }
        _ => Err(ProviderError::Failed { status: number }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = r#"{"success":true,"statusCode":201,"requestId":"req_9f2c41d07b3e4a18","timestamp":"2026-11-02T09:15:30.123Z","data":{"otpRequestId":"6b1d0c1e-6d0b-4b7e-9a7e-0f4a1c2d3e4f","messageId":"f2a7c9d4-1b2c-4d3e-8f90-a1b2c3d4e5f6","status":"sent","phoneNumber":"+919876543210","createdAt":"2026-11-02T09:15:30.101Z"}}"#;

    fn verdict(status: u16, body: &str) -> String {
        match classify(StatusCode::from_u16(status).unwrap(), None, body.as_bytes()) {
            Ok(accepted) => format!("accepted {}", accepted.message_id.unwrap_or_default()),
            Err(error) => {
                let sent = if error.surely_not_sent() {
                    "not sent"
                } else {
                    "maybe sent"
                };
                let text = format!("{error:?}");
                let name = text
                    .split([' ', '(', '{'])
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                format!("{name}, {sent}")
            }
        }
    }

    fn error(code: &str) -> String {
        format!(
            r#"{{"success":false,"statusCode":0,"requestId":"0b0c","timestamp":"t","error":{{"code":"{code}","message":"m"}}}}"#
        )
    }

    #[test]
    fn every_answer_of_the_provider_has_one_meaning() {
        let accepted = "accepted f2a7c9d4-1b2c-4d3e-8f90-a1b2c3d4e5f6";
        for (status, body, expected) in [
            (201, SENT.to_owned(), accepted),
            (200, SENT.to_owned(), accepted),
            (
                201,
                r#"{"success":true,"data":null}"#.to_owned(),
                "accepted ",
            ),
            (
                201,
                r#"{"data":{"requestId":"r1"}}"#.to_owned(),
                "accepted r1",
            ),
            (
                201,
                r#"{"success":true,"requestId":"req_1","data":{}}"#.to_owned(),
                "accepted ",
            ),
            (200, error("OTP_SEND_FAILED"), "Failed, maybe sent"),
            (201, "<html>".to_owned(), "Failed, maybe sent"),
            (201, String::new(), "Failed, maybe sent"),
            (400, error("VALIDATION_ERROR"), "Rejected, not sent"),
            (400, error("INVALID_INPUT"), "Rejected, not sent"),
            (400, error("RATE_LIMIT_EXCEEDED"), "NumberCooling, not sent"),
            (400, error("INSUFFICIENT_BALANCE"), "AccountFault, not sent"),
            (400, error("OTP_SEND_FAILED"), "Failed, maybe sent"),
            (400, "not json".to_owned(), "Failed, maybe sent"),
            (401, error("UNAUTHORIZED"), "AccountFault, not sent"),
            (402, error("PAYMENT_REQUIRED"), "AccountFault, not sent"),
            (403, error("FORBIDDEN"), "AccountFault, not sent"),
            (404, error("NOT_FOUND"), "Rejected, not sent"),
            (429, error("INTERNAL_ERROR"), "Throttled, not sent"),
            (500, error("INTERNAL_ERROR"), "Failed, maybe sent"),
            (
                502,
                "<html>502 Bad Gateway</html>".to_owned(),
                "Failed, maybe sent",
            ),
            (504, "<html>504</html>".to_owned(), "Failed, maybe sent"),
            (302, String::new(), "Failed, maybe sent"),
        ] {
            assert_eq!(verdict(status, &body), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_wait_is_the_providers_within_reason() {
        let wait = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            retry_after(&headers).map(|wait| wait.as_secs())
        };

        assert_eq!(wait("10"), Some(10));
        assert_eq!(wait("0"), Some(1));
        assert_eq!(wait("999999"), Some(3600));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn the_body_is_the_one_the_provider_reads() {
        let body = SendBody {
            phone_number: "+919876543210",
            template_id: None,
            variables: Variables {
                otp: "012345",
                app_name: Some("Acme"),
                expiry: "5".to_owned(),
            },
        };

        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"phoneNumber":"+919876543210","variables":{"otp":"012345","appName":"Acme","expiry":"5"}}"#
        );
    }
}
