//! A connection that is kept from one statement to the next, by calls that come one group after the other.
//!
//! PostgreSQL serves each connection by a process of its own. The one that has just carried a statement out has what
//! the next one needs in the processor's caches; the pool hands out the one that has rested longest.
//!
//! Invariant: it is kept only as long as whoever else wants a connection finds one.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};

/// Uses after which it goes back all the same, so that the pool can end one that has become old. Our own figure: some
/// seconds of a service that never rests.
const MOST_USES: u32 = 1000;

/// Keeps a connection.
pub struct Kept {
    pool: PgPool,
    kept: Mutex<Option<Lent>>,
}

/// A connection that may be kept; it goes back to the pool if it is dropped, as after an error.
pub struct Lent {
    connection: PoolConnection<Postgres>,
    uses: u32,
}

impl Kept {
    /// None as yet, of this pool.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            kept: Mutex::new(None),
        }
    }

    /// The one that was kept, or else one of the pool's.
    pub fn take(&self) -> BoxFuture<'_, Result<Lent, sqlx::Error>> {
        // To connect is 15 kB of future, which is not to be moved along.
        Box::pin(async {
            let kept = self.kept().take();
            match kept {
                Some(lent) => Ok(lent),
                None => Ok(Lent {
                    connection: self.pool.acquire().await?,
                    uses: 0,
                }),
            }
        })
    }

    /// Keeps it for the next one, if there is another one for whoever else wants one.
    pub fn keep(&self, mut lent: Lent) {
        lent.uses += 1;
        let most = self.pool.options().get_max_connections();
        let others_find_one = self.pool.num_idle() > 0 || self.pool.size() < most;
        if others_find_one && lent.uses < MOST_USES {
            *self.kept() = Some(lent);
        }
    }

    /// Gives it back to the pool.
    pub fn give_back(&self) {
        *self.kept() = None;
    }

    fn kept(&self) -> MutexGuard<'_, Option<Lent>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
