//! The gateway's hook: whether a request may pass, decided without the database.
//!
//! ```text
//! token ── checked (remembered, or a signature check) ── session not revoked ── what the gateway requires
//! ```
//!
//! It is on the way of every request of a company, so a token that comes again costs a hash and three
//! look-ups in memory.

mod remembered;
mod requirement;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::revocation::Revocations;
use crate::verifier::{Claims, Refused};
pub use remembered::{Checked, Remembered};
pub use requirement::{Requirement, Unmet};

/// Why a request may not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token came with it.
    #[error("no access token was sent")]
    NoToken,
    /// More than one token, or what is not even text.
    #[error("the access token was sent in a form that cannot be read")]
    Unreadable,
    /// The token is not accepted.
    #[error(transparent)]
    Token(#[from] Refused),
    /// The token is good, but not for this.
    #[error(transparent)]
    Unmet(#[from] Unmet),
}

/// Decides who may pass; one a process.
pub struct Gateway {
    tokens: Remembered,
    revocations: Arc<Revocations>,
    /// The cookie that may carry a token.
    pub cookie: Option<String>,
}

impl Gateway {
    /// Checks tokens with `tokens`, and refuses those of sessions that ended.
    pub fn new(tokens: Remembered, revocations: Arc<Revocations>, cookie: Option<String>) -> Self {
        Self {
            tokens,
            revocations,
            cookie,
        }
    }

    /// The claims of a token that may pass.
    pub fn decide(
        &self,
        token: &str,
        required: &Requirement,
        now: DateTime<Utc>,
    ) -> Result<Arc<Checked>, Denied> {
        let checked = self.tokens.check(token, now)?;
        // Tokens of ours name both by their ids; of one that does not, nothing can be known.
        let has_ended = |(session, user)| self.revocations.holds(session, user);
        if checked.ids.is_none_or(has_ended) {
            return Err(Refused::Ended.into());
        }
        required.met_by(checked.claims(), now)?;
        Ok(checked)
    }
}

impl Checked {
    /// What the token says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}
