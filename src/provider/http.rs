//! What every vendor needs of HTTP: a client that stays connected, and one exchange.

use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, redirect};
use serde_json::{Map, Value};
use url::Url;

use super::resolver::CachingResolver;
use super::{ProviderError, Timeouts};
use crate::telemetry::traces;

/// Longest answer that is read, in bytes; real ones are below 1 KiB.
const ANSWER_LIMIT: usize = 64 * 1024;
/// Longest `Retry-After` that is believed, in seconds.
const LONGEST_WAIT: u64 = 3600;
/// Longest id of a vendor that is kept, in bytes; real ones are UUIDs.
const LONGEST_ID: usize = 255;
/// How long an idle connection is kept. nginx, which is in front of StartMessaging, closes one
/// after 75 s (its default `keepalive_timeout`); we close it before, so that a call rarely meets a
/// connection that is just being closed.
const IDLE: Duration = Duration::from_mins(1);
/// How often an idle HTTP/2 connection is asked whether it stands: it is kept warm, and a dead one
/// is found before a user waits for it.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A vendor's client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A secret has characters that no HTTP header can carry.
    #[error("the provider's key cannot be sent in a header")]
    Secret(#[source] reqwest::header::InvalidHeaderValue),
    /// The address cannot be completed with a path.
    #[error("the provider's address cannot have a path added")]
    Address(#[source] url::ParseError),
    /// TLS could not start.
    #[error("the HTTP client cannot start")]
    Client(#[source] reqwest::Error),
}

/// An answer that was read to its end, or to its limit.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// Builds a client that sends these headers with every call.
pub(super) fn client(
    mut headers: HeaderMap,
    timeouts: Timeouts,
    resolver: CachingResolver,
) -> Result<reqwest::Client, BuildError> {
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    reqwest::Client::builder()
        .default_headers(headers)
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.total)
        // A redirect would carry key and code to wherever it points.
        .redirect(redirect::Policy::none())
        .tcp_nodelay(true)
        .pool_idle_timeout(IDLE)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_while_idle(true)
        .dns_resolver(resolver)
        .no_proxy()
        .build()
        .map_err(BuildError::Client)
}

/// Adds a path to an address that may have one of its own.
pub(super) fn join(base: &Url, path: &str) -> Result<Url, BuildError> {
    let mut base = base.clone();
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    base.join(path).map_err(BuildError::Address)
}

/// Makes one call. An error says whether it can have had an effect.
pub(super) async fn exchange(request: RequestBuilder) -> Result<Answer, ProviderError> {
    read(begin(request).await?).await
}

/// The first half of an exchange: what there is before the body.
pub(super) async fn begin(request: RequestBuilder) -> Result<Response, ProviderError> {
    let (http, request) = request.build_split();
    let mut request = request.map_err(broken)?;
    let (method, url) = (request.method().as_str(), request.url());
    let span = traces::outgoing(method, url.host_str(), url.port_or_known_default());
    for (name, value) in span {
        // Hexadecimal digits, and what a header brought.
        if let Ok(value) = HeaderValue::from_str(&value) {
            request.headers_mut().insert(name, value);
        }
    }
    let response = http.execute(request).await.map_err(|error| {
        if error.is_connect() {
            ProviderError::Unreachable(error.without_url())
        } else {
            broken(error)
        }
    })?;
    traces::answered(response.status().as_u16());
    Ok(response)
}

/// The second half.
pub(super) async fn read(response: Response) -> Result<Answer, ProviderError> {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let body = read_limited(response).await?;
    Ok(Answer {
        status,
        retry_after,
        body,
    })
}

fn broken(error: reqwest::Error) -> ProviderError {
    if error.is_timeout() {
        ProviderError::TimedOut
    } else {
        ProviderError::Broken(error.without_url())
    }
}

/// Reads at most [`ANSWER_LIMIT`] bytes. A longer answer counts as empty: it is nothing that a
/// vendor says, and the rest is never read.
async fn read_limited(mut response: Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while body.len() <= ANSWER_LIMIT {
        match response.chunk().await.map_err(broken)? {
            Some(bytes) => body.extend_from_slice(&bytes),
            None => return Ok(body),
        }
    }
    Ok(Vec::new())
}

pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.clamp(1, LONGEST_WAIT)))
}

impl Answer {
    /// The body, if it is a JSON object. What it says it is (`Content-Type`) does not matter: a
    /// front proxy may change it.
    pub(super) fn members(&self) -> Option<Map<String, Value>> {
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(members)) => Some(members),
            Ok(_) | Err(_) => None,
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn of(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self {
            status,
            retry_after: None,
            body: body.as_ref().to_vec(),
        }
    }
}

/// An id as vendors give them: text, or a number, and not absurdly long.
pub(super) fn id(value: Option<&Value>) -> Option<String> {
    let id = match value? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (1..=LONGEST_ID).contains(&id.len()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_wait_is_the_vendors_within_reason() {
        let wait = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            retry_after(&headers).map(|wait| wait.as_secs())
        };

        assert_eq!(wait("10"), Some(10));
        assert_eq!(wait("0"), Some(1));
        assert_eq!(wait("999999"), Some(3600));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }

    #[test]
    fn only_what_can_be_an_id_is_one() {
        for (value, expected) in [
            (json!("m1"), Some("m1")),
            (json!(17), Some("17")),
            (json!(""), None),
            (json!(null), None),
            (json!(true), None),
            (json!(["m1"]), None),
            (json!("x".repeat(256)), None),
        ] {
            assert_eq!(id(Some(&value)).as_deref(), expected, "{value}");
        }
        assert_eq!(id(None), None);
    }

    #[test]
    fn a_path_is_added_to_whatever_address_there_is() {
        for (base, expected) in [
            ("https://sms.example", "https://sms.example/otp/send"),
            ("https://sms.example/", "https://sms.example/otp/send"),
            ("https://sms.example/v2", "https://sms.example/v2/otp/send"),
            ("https://sms.example/v2/", "https://sms.example/v2/otp/send"),
        ] {
            let joined = join(&base.parse().unwrap(), "otp/send").unwrap();
            assert_eq!(joined.as_str(), expected, "{base}");
        }
    }
}
