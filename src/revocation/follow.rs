//! Follows the feed: over a connection of its own, which hears of what is new.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::{Revocations, store};
use crate::database::StoreError;
use crate::random;
use crate::telemetry::Chain;

/// Longest pause between two looks, half of it drawn anew each time: also where notifications do not
/// arrive, as behind a pooler, two looks fit in the second within which a revocation must hold.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest wait for an answer on the connection, after which it is taken to be dead.
const ANSWER: Duration = Duration::from_secs(2);
/// Pause before it is connected again, half of it drawn anew each time.
const CONNECT_AGAIN: Duration = Duration::from_millis(500);
/// Pause between two tidyings of the memory, half of it drawn anew each time.
const TIDY_EVERY: Duration = Duration::from_mins(1);

/// Why the feed is not followed for now.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database does not answer")]
    Silent(#[from] tokio::time::error::Elapsed),
    #[error("the connection was closed")]
    Closed,
}

impl Revocations {
    /// Follows the feed over a connection of `connections`, which is to have room for one, until `stop` is
    /// done.
    pub async fn follow(self: Arc<Self>, connections: PgPool, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = self.keep_following(&connections) => {}
            () = self.keep_tidy() => {}
        }
        self.close();
        connections.close().await;
    }

    async fn keep_following(&self, connections: &PgPool) {
        // Told once an outage.
        let mut told = false;
        loop {
            let lost = match self.connected(connections).await {
                Ok(listener) => {
                    if told {
                        tracing::info!("revocations are followed again");
                    }
                    told = false;
                    self.listen(listener).await
                }
                Err(lost) => lost,
            };
            if !told {
                tracing::warn!(error = %Chain(&lost), "revocations are not followed");
            }
            told = true;
            sleep(random::jittered(self.random.as_ref(), CONNECT_AGAIN)).await;
        }
    }

    /// A connection that listens, after which everything was read again: a database that lost its last
    /// commits may have used their cursors for others.
    async fn connected(&self, connections: &PgPool) -> Result<PgListener, Lost> {
        let mut listener = timeout(ANSWER, store::listen(connections)).await??;
        self.read(&mut listener, 0).await?;
        Ok(listener)
    }

    /// Looks whenever it is told to, and in any case soon; returns why it cannot any more.
    async fn listen(&self, mut listener: PgListener) -> Lost {
        loop {
            let until = Instant::now() + random::jittered(self.random.as_ref(), LOOK_EVERY);
            match timeout_at(until, listener.try_recv()).await {
                Ok(Ok(Some(_))) | Err(_) => {}
                Ok(Ok(None)) => return Lost::Closed,
                Ok(Err(error)) => return Lost::Store(error.into()),
            }
            let cursor = self.live.borrow().cursor();
            if let Err(lost) = self.read(&mut listener, cursor).await {
                return lost;
            }
        }
    }

    async fn read(&self, listener: &mut PgListener, after: i64) -> Result<(), Lost> {
        let _turn = self.looking.lock().await;
        let now = self.clock.now();
        let read = timeout(ANSWER, store::after(&mut *listener, after, now)).await??;
        self.take(read);
        Ok(())
    }

    async fn keep_tidy(&self) {
        loop {
            sleep(random::jittered(self.random.as_ref(), TIDY_EVERY)).await;
            self.tidy();
        }
    }

    /// Forgets what says nothing any more; from the table it is removed by `retention`.
    pub fn tidy(&self) {
        let now = self.clock.now();
        self.live.send_if_modified(|live| {
            live.forget(now);
            false
        });
    }
}

/// Revokes a session that need not exist, so that its tokens are refused until a time; for commands that try
/// a gateway out.
pub async fn revoke(
    pool: &PgPool,
    (session, user): (Uuid, Uuid),
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<(), StoreError> {
    store::revoke(pool, (session, user), now, until).await
}
