//! How a [`Verifier`] comes to be.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::runtime::{Handle, TryCurrentError};

use super::fetch::{Fetcher, client};
use super::revocations::{Credentials, Feed};
use super::{EndOnDrop, Keeper, Verifier, keep_fresh};
use crate::clock::{Clock, SystemClock};
use crate::verifier::check::{Expected, ExpectedError};

/// The leeway that is not set otherwise: enough for clocks that a time server keeps.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// A verifier cannot be made like this.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Issuer, audiences or leeway make no sense.
    #[error(transparent)]
    Expected(#[from] ExpectedError),
    /// An address is no URL.
    #[error("the address of the key set or of the revocations is no URL")]
    Url,
    /// Anybody on the way could exchange the keys, or read the secret.
    #[error(
        "the address of the key set or of the revocations must begin with https://, except on this machine or where plain HTTP is \
         allowed"
    )]
    Insecure,
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[from] reqwest::Error),
    /// There is no tokio runtime to renew the keys on.
    #[error("a verifier is to be built inside of a tokio runtime")]
    NoRuntime(#[from] TryCurrentError),
}

/// Settings of a [`Verifier`].
#[must_use]
pub struct Builder {
    issuer: String,
    audiences: Vec<String>,
    leeway: Duration,
    jwks_url: Option<String>,
    revocations: Option<(String, Credentials)>,
    name: Option<String>,
    max_stale: Option<Duration>,
    allows_plain_http: bool,
    clock: Arc<dyn Clock>,
}

impl Builder {
    pub(super) fn new(issuer: String) -> Self {
        Self {
            issuer,
            audiences: Vec::new(),
            leeway: DEFAULT_LEEWAY,
            jwks_url: None,
            revocations: None,
            name: None,
            max_stale: None,
            allows_plain_http: false,
            clock: Arc::new(SystemClock::default()),
        }
    }

    /// Accepts tokens for this audience: this service's name with the issuer. Several may be given.
    /// Required.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Where the keys are, if not at `<issuer>/.well-known/jwks.json`. `https`, but for this machine.
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.jwks_url = Some(url.into());
        self
    }

    /// Refuses tokens of sessions that ended before their time, too: the issuer is asked for them at
    /// `<issuer>/v1/revocations`, as this confidential client.
    pub fn revocations(self, client_id: &str, client_secret: &str) -> Self {
        let issuer = self.issuer.trim_end_matches('/');
        let url = format!("{issuer}/v1/revocations");
        self.revocations_at(url, client_id, client_secret)
    }

    /// [`Self::revocations`] at another address, which is `https`, but for this machine.
    pub fn revocations_at(
        mut self,
        url: impl Into<String>,
        client_id: &str,
        client_secret: &str,
    ) -> Self {
        let credentials = Credentials::basic(client_id, client_secret);
        self.revocations = credentials.map(|credentials| (url.into(), credentials));
        self
    }

    /// Tells the issuer who fetches (`?verifier=NAME`), so that its operators can see when every
    /// service has a new key. It proves nothing.
    pub fn verifier_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// By how much this machine's clock and the issuer's may differ: 30 s if it is not set, at most
    /// [`crate::verifier::MAX_LEEWAY`].
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// How long keys whose time is over may still be used while the issuer cannot be reached. Without
    /// it, without end; see [`Verifier`] for why.
    pub fn max_stale(mut self, limit: Duration) -> Self {
        self.max_stale = Some(limit);
        self
    }

    /// Lets the keys come over plain HTTP, from a network in which nobody can stand in the way, such as a
    /// cluster whose traffic a mesh encrypts. Whoever can exchange the keys can log in as anybody.
    pub fn allow_plain_http(mut self) -> Self {
        self.allows_plain_http = true;
        self
    }

    /// Another clock than the system's, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the verifier and starts its background tasks; nothing is fetched yet.
    pub fn build(mut self) -> Result<Verifier, BuildError> {
        let url = self.url()?;
        let feed = self.revocations.take();
        let feed = match feed {
            Some((url, credentials)) => Some((self.safe(&url)?, credentials)),
            None => None,
        };
        let expected = Expected::new(self.issuer, self.audiences, self.leeway)?;
        let runtime = Handle::try_current()?;
        let http = client()?;
        let fetcher = Fetcher::new(http.clone(), url);
        let keeper = Keeper::new(
            fetcher,
            Arc::clone(&self.clock),
            self.max_stale,
            runtime.clone(),
        );
        let keeper = Arc::new(keeper);
        let mut tasks = vec![
            runtime
                .spawn(keep_fresh(Arc::downgrade(&keeper)))
                .abort_handle(),
        ];
        let feed = feed.map(|(url, credentials)| {
            Arc::new(Feed::new(http, url, credentials, Arc::clone(&self.clock)))
        });
        if let Some(feed) = &feed {
            let follow = Arc::clone(feed).follow();
            tasks.push(runtime.spawn(follow).abort_handle());
        }
        Ok(Verifier {
            expected: Arc::new(expected),
            clock: self.clock,
            keeper,
            feed,
            _task: Arc::new(EndOnDrop(tasks)),
        })
    }

    fn url(&self) -> Result<Url, BuildError> {
        let text = self.jwks_url.clone().unwrap_or_else(|| {
            let issuer = self.issuer.trim_end_matches('/');
            format!("{issuer}/.well-known/jwks.json")
        });
        let mut url = self.safe(&text)?;
        if let Some(name) = &self.name {
            url.query_pairs_mut().append_pair("verifier", name);
        }
        Ok(url)
    }

    /// An address from which nobody on the way can send something else.
    fn safe(&self, text: &str) -> Result<Url, BuildError> {
        let Ok(url) = Url::parse(text) else {
            return Err(BuildError::Url);
        };
        let host = url.host_str().ok_or(BuildError::Url)?;
        let takes_plain = self.allows_plain_http || is_this_machine(host);
        if url.scheme() != "https" && !(url.scheme() == "http" && takes_plain) {
            return Err(BuildError::Insecure);
        }
        Ok(url)
    }
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("issuer", &self.issuer)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}
