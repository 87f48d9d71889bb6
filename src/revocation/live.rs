//! The revocations that still say something, in memory.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::store::Read;
use super::{News, Revocation};

/// What one process knows.
pub(super) struct Live {
    cursor: i64,
    /// By cursor.
    all: BTreeMap<i64, Revocation>,
    sessions: HashSet<Uuid>,
    users: HashSet<Uuid>,
    /// When the database last answered, on the monotonic clock.
    looked_at: Duration,
    closed: bool,
}

impl Live {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            cursor: 0,
            all: BTreeMap::new(),
            sessions: HashSet::new(),
            users: HashSet::new(),
            looked_at: now,
            closed: false,
        }
    }

    /// Takes what was read at `now`; whether that is news for those who wait.
    pub(super) fn take(&mut self, read: Read, now: Duration) -> bool {
        self.looked_at = now;
        let is_news = read.cursor != self.cursor;
        self.cursor = read.cursor;
        for revocation in read.revocations {
            match revocation.session {
                Some(session) => self.sessions.insert(session),
                None => self.users.insert(revocation.user),
            };
            self.all.insert(revocation.cursor, revocation);
        }
        is_news
    }

    /// Drops what says nothing any more.
    pub(super) fn forget(&mut self, now: DateTime<Utc>) {
        let over = self.all.extract_if(.., |_, one| one.expires_at <= now);
        for (_, revocation) in over {
            match revocation.session {
                Some(session) => self.sessions.remove(&session),
                None => self.users.remove(&revocation.user),
            };
        }
    }

    pub(super) fn holds(&self, session: Uuid, user: Uuid) -> bool {
        self.sessions.contains(&session) || self.users.contains(&user)
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    pub(super) fn cursor(&self) -> i64 {
        self.cursor
    }

    pub(super) fn looked_at(&self) -> Duration {
        self.looked_at
    }

    pub(super) fn after(&self, cursor: i64) -> News {
        let from = if cursor > self.cursor { 0 } else { cursor };
        let revocations = self.all.range(from.saturating_add(1)..);
        News {
            cursor: self.cursor,
            revocations: revocations.map(|(_, one)| *one).collect(),
        }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}
