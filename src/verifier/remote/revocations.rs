//! Follows the issuer's feed of sessions that ended, for tokens that are checked offline.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::verifier::claims::Claims;

/// How long the issuer may keep a question open until there is news. Proxies commonly wait 60 s.
const WAIT: Duration = Duration::from_secs(25);
/// Longest wait for all of an answer.
const TOTAL: Duration = Duration::from_secs(35);
/// Pause before the issuer is asked again that failed, or that had nothing to tell and did not wait.
const AGAIN: Duration = Duration::from_secs(1);
/// All of the feed is read again so often: an issuer whose database was restored may have used cursors
/// twice.
const ALL_EVERY: Duration = Duration::from_mins(5);
/// The longest answer that is read, in bytes: some 300,000 sessions.
const MAX_FEED_BYTES: usize = 64 * 1024 * 1024;

/// A client's name and secret as they are sent. They are not printed.
pub(super) struct Credentials(HeaderValue);

impl Credentials {
    /// Both are form-encoded inside (RFC 6749 section 2.3.1).
    pub(super) fn basic(id: &str, secret: &str) -> Option<Self> {
        let pair = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
        let mut header = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
        header.set_sensitive(true);
        Some(Self(header))
    }
}

/// All but the unreserved characters of RFC 3986 as `%XX`.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("the issuer cannot be reached")]
    Http(#[from] reqwest::Error),
    #[error("the issuer answers {0}")]
    Status(StatusCode),
    #[error("the feed is too long")]
    TooLong,
    #[error("the answer is no feed of revocations")]
    NotAFeed(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Answer {
    cursor: String,
    revocations: Vec<Revocation>,
}

#[derive(Deserialize)]
struct Revocation {
    sid: Option<String>,
    sub: String,
    expires_at: DateTime<Utc>,
}

/// What is known; each until it says nothing any more.
#[derive(Default)]
struct Live {
    sessions: HashMap<String, DateTime<Utc>>,
    users: HashMap<String, DateTime<Utc>>,
    /// When the issuer last answered, on the monotonic clock.
    heard_at: Option<Duration>,
}

/// The sessions that ended.
pub(super) struct Feed {
    http: Client,
    url: Url,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    live: RwLock<Live>,
}

impl Feed {
    pub(super) fn new(
        http: Client,
        url: Url,
        credentials: Credentials,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            http,
            url,
            credentials,
            clock,
            live: RwLock::default(),
        }
    }

    /// Whether tokens like this are to be refused.
    pub(super) fn holds(&self, claims: &Claims) -> bool {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.sessions.contains_key(claims.session_id()) || live.users.contains_key(claims.subject())
    }

    /// How long ago the issuer last answered.
    pub(super) fn age(&self) -> Option<Duration> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let heard_at = live.heard_at?;
        Some(self.clock.monotonic().saturating_sub(heard_at))
    }

    /// Asks for news for ever.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut cursor: Option<String> = None;
        let mut all_at = Duration::ZERO;
        let mut down = false;
        loop {
            let asked_at = self.clock.monotonic();
            if asked_at.saturating_sub(all_at) >= ALL_EVERY {
                cursor = None;
            }
            if cursor.is_none() {
                all_at = asked_at;
            }
            match self.ask(cursor.as_deref()).await {
                Ok(answer) => {
                    if down {
                        tracing::info!(url = %self.url, "the issuer's revocations can be had again");
                    }
                    down = false;
                    let is_news = cursor.as_ref() != Some(&answer.cursor);
                    cursor = Some(answer.cursor);
                    self.take(answer.revocations);
                    let waited = self.clock.monotonic().saturating_sub(asked_at) >= AGAIN;
                    if is_news || waited {
                        continue;
                    }
                }
                Err(error) => {
                    // Once an outage.
                    if !down {
                        let cause: &dyn std::error::Error = &error;
                        tracing::warn!(
                            error = cause,
                            url = %self.url,
                            "the issuer's revocations cannot be fetched; tokens of sessions that end now \
                             pass until they are over"
                        );
                    }
                    down = true;
                    cursor = None;
                }
            }
            sleep(AGAIN).await;
        }
    }

    /// What came after a cursor, as soon as there is something; all there is without one.
    async fn ask(&self, cursor: Option<&str>) -> Result<Answer, FeedError> {
        let mut url = self.url.clone();
        if let Some(cursor) = cursor {
            url.query_pairs_mut()
                .append_pair("since", cursor)
                .append_pair("wait", &WAIT.as_secs().to_string());
        }
        let request = self.http.get(url).timeout(TOTAL);
        let request = request.header(AUTHORIZATION, self.credentials.0.clone());
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        match response.status() {
            StatusCode::OK => Ok(serde_json::from_slice(&body(response).await?)?),
            other => Err(FeedError::Status(other)),
        }
    }

    fn take(&self, revocations: Vec<Revocation>) {
        let now = self.clock.now();
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        live.heard_at = Some(self.clock.monotonic());
        live.sessions.retain(|_, until| *until > now);
        live.users.retain(|_, until| *until > now);
        for Revocation {
            sid,
            sub,
            expires_at,
        } in revocations
        {
            match sid {
                Some(session) => live.sessions.insert(session, expires_at),
                None => live.users.insert(sub, expires_at),
            };
        }
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, FeedError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)?
    {
        if body.len() + chunk.len() > MAX_FEED_BYTES {
            return Err(FeedError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_encoded_as_rfc_6749_says_and_not_printed() {
        let Credentials(header) = Credentials::basic("shop", "a:b é+/").unwrap();

        let plain = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let plain = STANDARD.decode(plain).unwrap();
        assert_eq!(plain, b"shop:a%3Ab%20%C3%A9%2B%2F");
        assert_eq!(format!("{header:?}"), "Sensitive");
    }
}
