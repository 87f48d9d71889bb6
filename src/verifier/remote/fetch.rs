//! One request for the issuer's key set.

use std::time::Duration;

use reqwest::header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, Response, StatusCode, Url, redirect};

use crate::verifier::keys::{KeySet, KeySetError};

/// The longest set that is read, in bytes: some hundred RSA keys. Ours are below 2 KiB.
pub const MAX_SET_BYTES: usize = 1024 * 1024;

/// How long a set is fresh that does not say so itself; what the issuer says today.
pub const DEFAULT_AGE: Duration = Duration::from_mins(5);

/// The shortest time for which a set is fresh, whatever it says: the issuer is not asked more often.
pub const MIN_AGE: Duration = Duration::from_mins(1);

/// The longest, so that a withdrawn key is not believed for a day because of a header.
pub const MAX_AGE: Duration = Duration::from_hours(1);

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// Longest wait for all of it; a caller with a new `kid` waits as long.
const TOTAL: Duration = Duration::from_secs(5);

/// Why there is no new set.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the issuer cannot be reached")]
    Http(#[from] reqwest::Error),
    #[error("the issuer answers {0}")]
    Status(StatusCode),
    #[error("the key set is too long")]
    TooLong,
    #[error(transparent)]
    Set(#[from] KeySetError),
    /// An issuer always has a key; a set without one is a fault of something on the way.
    #[error("the key set has no key that can be used")]
    NoKeys,
}

/// What the issuer says.
#[derive(Debug)]
pub(super) enum Answer {
    /// As before.
    Same { age: Duration },
    New {
        keys: KeySet,
        etag: Option<HeaderValue>,
        age: Duration,
    },
}

pub(super) fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        // Who may redirect could bring keys from anywhere, also without TLS.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()
}

pub(super) struct Fetcher {
    http: Client,
    url: Url,
}

impl Fetcher {
    pub(super) fn new(http: Client, url: Url) -> Self {
        Self { http, url }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) async fn fetch(&self, etag: Option<HeaderValue>) -> Result<Answer, FetchError> {
        let mut request = self
            .http
            .get(self.url.clone())
            .header(ACCEPT, "application/jwk-set+json, application/json");
        let conditional = etag.is_some();
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.send().await?;
        let age = age(response.headers());
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if conditional => return Ok(Answer::Same { age }),
            other => return Err(FetchError::Status(other)),
        }
        let etag = response.headers().get(ETAG).cloned();
        let keys = KeySet::parse(&body(response).await?)?;
        if keys.is_empty() {
            return Err(FetchError::NoKeys);
        }
        Ok(Answer::New { keys, etag, age })
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_SET_BYTES {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// How long a set is fresh (RFC 9111 section 5.2.2.1), within our bounds. `no-cache` and `no-store` mean
/// the shortest: without keeping it, no token could be checked.
fn age(headers: &HeaderMap) -> Duration {
    let directives = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase());
    let mut age = DEFAULT_AGE;
    for directive in directives {
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            let seconds = seconds.trim_matches('"').parse();
            age = seconds.map_or(DEFAULT_AGE, Duration::from_secs);
        } else if directive == "no-cache" || directive == "no-store" {
            return MIN_AGE;
        }
    }
    age.clamp(MIN_AGE, MAX_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_fresh_for_a_minute_to_an_hour() {
        for (value, seconds) in [
            ("public, max-age=300, stale-while-revalidate=60", 300),
            ("max-age=59", 60),
            ("max-age=60", 60),
            ("max-age=61", 61),
            ("max-age=0", 60),
            ("MAX-AGE=3599", 3599),
            ("max-age=3600", 3600),
            ("max-age=3601", 3600),
            ("max-age=99999999999999999999", 300),
            ("max-age=soon", 300),
            ("s-maxage=900", 300),
            ("public", 300),
            ("no-store", 60),
            ("max-age=900,no-cache", 60),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));

            assert_eq!(age(&headers), Duration::from_secs(seconds), "{value}");
        }
        assert_eq!(age(&HeaderMap::new()), DEFAULT_AGE);
    }
}
