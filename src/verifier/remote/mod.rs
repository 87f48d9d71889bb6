//! A verifier that gets the issuer's keys by itself, and keeps them.

mod builder;
mod fetch;
mod keeper;
mod revocations;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::check::{Expected, Refused, verify};
use super::claims::Claims;
use crate::clock::Clock;
pub use builder::{BuildError, Builder};
pub use fetch::{DEFAULT_AGE, MAX_AGE, MAX_SET_BYTES, MIN_AGE};
use keeper::{Keeper, keep_fresh};
pub use keeper::{RETRY, RETRY_WITHOUT_KEYS};
use revocations::Feed;

/// Why a token was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The token's fault: 401.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nobody's fault here: there are no keys to check any token with, or only too old ones. 503; the
    /// same token may be accepted a moment later.
    #[error("the issuer's keys cannot be had")]
    KeysUnavailable,
}

/// Checks tokens against the issuer's published keys. Clones share them.
///
/// The set is fetched at the first check, or by [`Self::ready`]. A background task renews it when the time is over
/// that its `Cache-Control` gives it (within [`MIN_AGE`] and [`MAX_AGE`], else [`DEFAULT_AGE`]), with
/// `If-None-Match`. Nobody waits for that. A token with an unknown `kid` does wait for one fetch, at
/// most one every [`RETRY`] over all callers, whoever they are: otherwise strangers could have the
/// issuer asked as often as they like.
///
/// **While the issuer is down, the keys that are there stay in use**, by default without end: tokens
/// carry their own end, so nothing lives longer by it, and a limit would let an outage of the issuer
/// become one of every service that trusts it. The price is that a key which was withdrawn because it
/// was stolen stays good for as long as the issuer cannot be reached; [`Builder::max_stale`] bounds
/// that. An outage is told once, as a warning.
///
/// **Sessions that end before their tokens** are refused only with [`Builder::revocations`]: then a second
/// task keeps a question to the issuer open, and a logout holds here within moments. While the issuer is
/// down, what was known stays in use; [`Self::revocations_age`] tells.
///
/// When the last clone is dropped, the tasks end.
#[derive(Clone)]
pub struct Verifier {
    expected: Arc<Expected>,
    clock: Arc<dyn Clock>,
    keeper: Arc<Keeper>,
    feed: Option<Arc<Feed>>,
    /// Ends the tasks.
    _task: Arc<EndOnDrop>,
}

impl Verifier {
    /// Starts to build a verifier for tokens of this issuer, which is a URL.
    pub fn builder(issuer: impl Into<String>) -> Builder {
        Builder::new(issuer.into())
    }

    /// Checks a token, the bare compact JWS without `Bearer`.
    ///
    /// May be cancelled: a fetch that others wait for goes on.
    pub async fn check(&self, token: &str) -> Result<Claims, CheckError> {
        let keys = self.keeper.keys().await?;
        let again = match self.verify(token, &keys) {
            Err(Refused::UnknownKey { kid }) => kid,
            decided => return Ok(decided?),
        };
        let newer = self.keeper.keys_with(&again).await?;
        Ok(self.verify(token, &newer)?)
    }

    /// Waits until there are keys, for a service that will not serve without; asks the issuer at most
    /// once.
    pub async fn ready(&self) -> Result<(), CheckError> {
        self.keeper.keys().await.map(drop)
    }

    /// How long ago the issuer last told which sessions ended; `None` before the first time, and where
    /// [`Builder::revocations`] was not asked for. It is asked again at least every 35 s, so more than a
    /// minute means that the issuer cannot be reached, and that ended sessions pass meanwhile.
    pub fn revocations_age(&self) -> Option<Duration> {
        self.feed.as_ref()?.age()
    }

    fn verify(&self, token: &str, keys: &super::KeySet) -> Result<Claims, Refused> {
        let claims = verify(token, keys, &self.expected, self.clock.now())?;
        match &self.feed {
            Some(feed) if feed.holds(&claims) => Err(Refused::Ended),
            Some(_) | None => Ok(claims),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

struct EndOnDrop(Vec<AbortHandle>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}
