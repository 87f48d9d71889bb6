//! Calls as a stranger makes them, and why one failed, in words for whoever is on call.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{AGE, DATE, HeaderMap};
use reqwest::{RequestBuilder, Response, redirect};
use url::Url;

use super::drift::{Reading, timed};
use crate::clock::Clock;
use crate::telemetry::Chain;

/// Longest body that is read, in bytes: a JWK set with a few RSA keys has 4 KiB.
const LONGEST: usize = 256 * 1024;

/// Calls others, without a proxy, and follows nobody who sends it elsewhere.
pub(super) struct Web {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

/// An answer.
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The other side's clock, if it told.
    pub(super) clock: Option<Reading>,
}

impl Page {
    /// A header, empty if it is not there or no text.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

impl Web {
    pub(super) fn new(timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, clock })
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.http.get(url)
    }

    /// Makes a call, and reads the answer as far as it goes.
    pub(super) async fn call(&self, request: RequestBuilder) -> Result<Page, reqwest::Error> {
        let (response, asked, answered) = timed(self.clock.as_ref(), request.send()).await;
        let response = response?;
        let date = date(response.headers());
        Ok(Page {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            clock: date.map(|said| Reading::of_date(said, asked, answered)),
            body: read(response).await?,
        })
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while body.len() <= LONGEST {
        match response.chunk().await? {
            Some(bytes) => body.extend_from_slice(&bytes),
            None => break,
        }
    }
    Ok(body)
}

/// `Date`, and how long a cache on the way has kept the answer since (RFC 9111 section 5.1).
fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = |name| headers.get(name)?.to_str().ok();
    let date = DateTime::parse_from_rfc2822(text(DATE)?).ok()?.to_utc();
    let age: Option<u32> = text(AGE).and_then(|age| age.trim().parse().ok());
    Some(date + TimeDelta::seconds(age.unwrap_or(0).into()))
}

/// Why there is no answer: what was seen, and what to do about it.
pub(super) fn explain(error: &reqwest::Error) -> (String, &'static str) {
    let mut text = String::new();
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        text = format!("{text}{error}\n");
        cause = error.source();
    }
    if error.is_timeout() {
        let advice = "something on the way drops the call: look at firewalls and security groups";
        return ("no answer in time".to_owned(), advice);
    }
    let told = EXPLAINED.iter().find(|(sign, ..)| text.contains(sign));
    if let Some((_, seen, advice)) = told {
        return ((*seen).to_owned(), advice);
    }
    let cause = error.source().map(|cause| Chain(cause).to_string());
    let advice = "look at what answers at that address";
    (cause.unwrap_or_else(|| error.to_string()), advice)
}

/// What the TLS library and the system say, what that means, and what to do.
const EXPLAINED: [(&str, &str, &str); 8] = [
    (
        "certificate expired",
        "the certificate has expired",
        "renew it, or have the server load the renewed one",
    ),
    (
        "certificate not valid yet",
        "the certificate is not valid yet",
        "look at this machine's clock, then at the certificate",
    ),
    (
        "certificate not valid for name",
        "the certificate is for another name",
        "get one for this name, or correct the address",
    ),
    (
        "UnknownIssuer",
        "the certificate is from an authority that this machine does not know",
        "have the server send its intermediate certificates too, or give this machine the authority \
         (SSL_CERT_FILE)",
    ),
    (
        "invalid peer certificate",
        "the certificate cannot be used",
        "get another one",
    ),
    (
        "received corrupt message",
        "it does not speak TLS",
        "correct scheme or port of the address",
    ),
    (
        "dns error",
        "the name has no address",
        "correct the name, or look at DNS",
    ),
    (
        "Connection refused",
        "nobody listens there",
        "start it, or correct the port",
    ),
];

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_cache_on_the_way_makes_no_clock_wrong() {
        let mut headers = HeaderMap::new();
        assert_eq!(date(&headers), None);
        let said = HeaderValue::from_static("Thu, 26 Nov 2026 10:00:00 GMT");
        headers.insert(DATE, said);
        let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
        assert_eq!(date(&headers), at("2026-11-26T10:00:00Z"));
        headers.insert(AGE, HeaderValue::from_static("90"));
        assert_eq!(date(&headers), at("2026-11-26T10:01:30Z"));
        headers.insert(DATE, HeaderValue::from_static("today"));
        assert_eq!(date(&headers), None);
    }
}
