//! Sessions: begun by a login, refreshed, listed, ended.
//!
//! ```text
//! right code -> session, first refresh token
//!     refresh: token N -> token N+1            one UPDATE of the session's row: of any number of
//!                                              parallel calls one replaces the token
//!              token N again, within the grace -> the token that is current by now
//!              token N again, later            -> the session ends
//! ends: by its user, by an operator, by its client (RFC 7009), by a stolen token, by a ban, by a newer
//!       session of a user who has too many, by the user's erasure (the row goes), by its time
//! ```
//!
//! Invariants:
//! - a session is one row of `sessions`, and it lives while `ended_at` is null and `expires_at` is to
//!   come. Every answer about a token that this service gives itself looks there;
//! - its refresh token is the one whose hash is in the row; whoever shows another of its tokens is not
//!   its owner, or was robbed (RFC 9700 section 4.14.2);
//! - whatever ends a session tells the audit log in the same transaction.

mod begin;
mod end;
mod live;
mod look;
mod refresh;
mod seen;
pub mod store;

use std::sync::Arc;

use chrono::TimeDelta;
use sqlx::PgPool;

use crate::database::StoreError;
use crate::metrics::Metrics;
use crate::random::{Random, RandomUnavailable};
use crate::revocation::Revocations;
use crate::secrets::{Keyring, OpenError, SealError};
use crate::token::grant::NotGiven;
use crate::token::issuer::{IssueError, Issuer};

pub use begin::{NewSession, Tokens};
pub use end::{EndReason, Ending, Whose};
pub use live::LiveSession;
pub use look::Listed;
pub use refresh::Refresh;
pub use seen::Seen;

/// The use cases of this module, with what they need.
pub struct Sessions {
    pub(crate) pool: PgPool,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) issuer: Issuer,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) revocations: Arc<Revocations>,
    /// How long a used refresh token still gets its successor.
    pub(crate) grace: TimeDelta,
    /// Sessions that one user may have.
    pub(crate) per_user: i64,
}

/// A session could not be begun, refreshed, read or ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The refresh token is unknown, used, over, of another client, or its session was ended: one
    /// answer for all.
    #[error("no good refresh token")]
    Invalid,
    /// The caller asked for what is not its to give.
    #[error(transparent)]
    NotGiven(#[from] NotGiven),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// A value could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A stored value does not open: it was sealed with another master key.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The access token could not be signed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
