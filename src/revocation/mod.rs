//! Which sessions ended although access tokens of theirs may still live, as every replica knows it.
//!
//! ```text
//! a session ends (any statement) -- trigger -> revocations, next cursor, NOTIFY, in that transaction
//!     replica: LISTEN; told or not, each 500 ms: what came after my cursor? -> Live, in memory
//!              -> /v1/authorize looks there
//!              -> GET /v1/revocations tells verifiers elsewhere
//! ```
//!
//! Invariants:
//! - cursors are committed in their order (the migration says how), so to know one is to have seen all
//!   below it;
//! - what is read does not depend on a notification that arrives: it only makes a look come sooner;
//! - memory holds what still says something, and nothing else: a revocation goes when the last token that
//!   it may be about has ended;
//! - an instance serves only after it has read all there is.

mod follow;
mod live;
mod store;

pub use follow::revoke;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use crate::clock::Clock;
use crate::database::StoreError;
use crate::random::Random;
use crate::telemetry::Chain;
use live::Live;

/// That a session, or all of a user, must not be let in any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its place in the feed.
    pub cursor: i64,
    /// The session; `None` = all of a user who was erased.
    pub session: Option<Uuid>,
    /// The session's user.
    pub user: Uuid,
    /// When the session ended.
    pub revoked_at: DateTime<Utc>,
    /// When its last access token is over, with all leeway.
    pub expires_at: DateTime<Utc>,
}

/// What somebody who follows the feed is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Up to where this tells it.
    pub cursor: i64,
    /// In the order of their cursors.
    pub revocations: Vec<Revocation>,
}

/// The live revocations; one a process.
pub struct Revocations {
    live: watch::Sender<Live>,
    /// One look at a time, or an older answer could come after a newer one.
    looking: Mutex<()>,
    pool: PgPool,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Revocations {
    /// Reads what there is over `startup`; later ones are read over `pool`, or while it is followed.
    pub async fn load(
        startup: &PgPool,
        pool: PgPool,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StoreError> {
        let read = store::after(startup, 0, clock.now()).await?;
        let mut live = Live::new(clock.monotonic());
        live.take(read, clock.monotonic());
        Ok(Self {
            live: watch::Sender::new(live),
            looking: Mutex::new(()),
            pool,
            clock,
            random,
        })
    }

    /// Whether tokens of this session and user are to be refused.
    pub fn holds(&self, session: Uuid, user: Uuid) -> bool {
        self.live.borrow().holds(session, user)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.live.borrow().count()
    }

    /// How long ago the database was last asked with success.
    pub fn staleness(&self) -> Duration {
        let now = self.clock.monotonic();
        now.saturating_sub(self.live.borrow().looked_at())
    }

    /// Reads what this process just caused: whoever made it is answered when it holds here. Where that
    /// fails the follower reads it, so nobody is told.
    pub async fn look(&self) {
        let _turn = self.looking.lock().await;
        let cursor = self.live.borrow().cursor();
        match store::after(&self.pool, cursor, self.clock.now()).await {
            Ok(read) => self.take(read),
            Err(error) => tracing::debug!(error = %Chain(&error), "revocations not read"),
        }
    }

    /// What came after a cursor: at once if there is something, else when it comes, or `wait` is over, or
    /// the process stops. All there is, if the cursor is ahead of the feed, as after a restored backup.
    pub async fn news(&self, after: i64, wait: Duration) -> News {
        let mut live = self.live.subscribe();
        let is_news = live.wait_for(|live| live.cursor() > after || live.is_closed());
        // Neither failure matters: what there is, is told.
        let _ = tokio::time::timeout(wait, is_news).await;
        self.live.borrow().after(after)
    }

    /// What came after a cursor, as [`Self::news`] without waiting.
    pub fn after(&self, cursor: i64) -> News {
        self.live.borrow().after(cursor)
    }

    /// Ends all waiting.
    pub fn close(&self) {
        self.live.send_modify(Live::close);
    }

    fn take(&self, read: store::Read) {
        let now = self.clock.monotonic();
        self.live.send_if_modified(|live| live.take(read, now));
    }
}
