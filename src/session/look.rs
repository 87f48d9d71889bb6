//! Looking at sessions.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{LiveSession, Seen, SessionError, Sessions, store};

/// A session as its user, or an operator, sees it.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: Uuid,
    /// The client it was begun with.
    pub client: String,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it was refreshed last.
    pub last_used_at: DateTime<Utc>,
    /// Its end, if nobody uses it any more.
    pub expires_at: DateTime<Utc>,
    /// Where it was begun.
    pub seen: Seen,
}

impl Sessions {
    /// A session of a user, if it lives.
    pub async fn find(
        &self,
        id: Uuid,
        user: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Option<LiveSession>, SessionError> {
        let row = store::find(&self.pool, id, now).await?;
        let row = row.filter(|row| row.user_id == user);
        row.map(|row| self.live(row)).transpose()
    }

    /// A user's sessions, the one that was used last first.
    pub async fn list(&self, user: Uuid, now: DateTime<Utc>) -> Result<Vec<Listed>, SessionError> {
        let rows = store::list(&self.pool, user, now).await?;
        let listed = rows.into_iter().map(|row| {
            let seen = row.seen_sealed.as_deref();
            let seen = seen.map(|sealed| Seen::open(sealed, row.id, &self.keyring));
            Listed {
                id: row.id,
                client: row.client_id,
                created_at: row.created_at,
                last_used_at: row.last_used_at,
                expires_at: row.ends_at,
                seen: seen.unwrap_or_default(),
            }
        });
        Ok(listed.collect())
    }
}
