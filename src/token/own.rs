//! Tokens that come back to whoever issued them.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::keys::{Published, SigningKeys};
use crate::client::Clients;
use crate::verifier::{self, Claims, Expected, ExpectedError, Refused};

/// Checks access tokens of this service, for any audience of its clients.
#[derive(Debug)]
pub struct OwnTokens {
    keys: Arc<SigningKeys>,
    expected: Expected,
}

impl OwnTokens {
    /// Checks tokens of `issuer` that one of these keys signed for one of these clients.
    pub fn new(
        issuer: &str,
        clients: &Clients,
        keys: Arc<SigningKeys>,
    ) -> Result<Self, ExpectedError> {
        let audiences = clients.iter().flat_map(|client| client.audience.clone());
        // The clock that told the token's end is one of ours.
        let expected = Expected::new(issuer, audiences, Duration::ZERO)?;
        Ok(Self { keys, expected })
    }

    /// What a token says, if it is good. Whether its session still lives is not looked at.
    pub fn check(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, Refused> {
        self.check_with(token, &self.keys(), now)
    }

    /// The keys of this moment.
    pub fn keys(&self) -> Arc<Published> {
        self.keys.published()
    }

    /// The same as [`Self::check`] with keys that [`Self::keys`] told.
    pub fn check_with(
        &self,
        token: &str,
        keys: &Published,
        now: DateTime<Utc>,
    ) -> Result<Claims, Refused> {
        verifier::verify(token, keys.verifying(), &self.expected, now)
    }
}
