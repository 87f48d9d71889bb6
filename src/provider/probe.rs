//! Asks a vendor whether it is there. No call here names a phone, so none can have an SMS sent.

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap};
use reqwest::{RequestBuilder, Response};
use url::Url;

use super::http::{self, Answer, BuildError};
use super::resolver::CachingResolver;
use super::{ProviderError, Timeouts};

/// What a vendor answered.
pub struct Seen {
    /// HTTP status.
    pub status: u16,
    /// Its clock, to the second.
    pub date: Option<DateTime<Utc>>,
}

impl Seen {
    fn of(response: &Response) -> Self {
        Self {
            status: response.status().as_u16(),
            date: date(response.headers()),
        }
    }
}

/// Makes one call and reads its answer.
pub(super) async fn ask(request: RequestBuilder) -> Result<(Seen, Answer), ProviderError> {
    let response = http::begin(request).await?;
    let seen = Seen::of(&response);
    Ok((seen, http::read(response).await?))
}

/// Asks for what is at an address without having it sent (RFC 9110 section 9.3.2): a gateway that texts
/// does so for a POST that is signed.
pub async fn head(
    url: &Url,
    timeouts: Timeouts,
    resolver: CachingResolver,
) -> Result<Result<Seen, ProviderError>, BuildError> {
    let http = http::client(HeaderMap::new(), timeouts, resolver)?;
    let response = http::begin(http.head(url.clone())).await;
    Ok(response.map(|response| Seen::of(&response)))
}

/// `Date` (RFC 9110 section 6.6.1) in the one form that may be sent today.
fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some(date.to_utc())
}
