//! What operators see and do about one person: look a phone up, unlock it, erase a user.
//!
//! Each change is written to the audit log in its own transaction: neither happens without the
//! other.

mod store;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::audit::{Action, Event, Outcome, Remark};
use crate::database::StoreError;
use crate::operator::Change;
use crate::phone::PhoneNumber;
use crate::random::{self, Random};
use crate::secrets::{Keyring, PhoneIndex};

/// The use cases of this module, with what they need.
pub struct People {
    /// The database.
    pub pool: PgPool,
    /// Finds a phone's rows.
    pub keyring: Arc<Keyring>,
    /// Ids of audit events.
    pub random: Arc<dyn Random>,
    /// Wrong codes in a row that stop a phone.
    pub stop_at: i32,
}

/// Where a phone stands. A phone nobody heard of has nothing and stands nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// What its rows are found by.
    pub phone: PhoneIndex,
    /// Its user: the token's `sub`.
    pub user: Option<Uuid>,
    /// End of its lock, if it is locked now.
    pub locked_until: Option<DateTime<Utc>>,
    /// Wrong codes since the last right one.
    pub failures_in_row: i32,
    /// Whether those are so many that the phone waits for an operator.
    pub is_stopped: bool,
    /// SMS in the last 24 hours.
    pub sends_in_24_hours: i32,
}

impl People {
    /// Where a phone stands.
    pub async fn look_up(
        &self,
        phone: &PhoneNumber,
        now: DateTime<Utc>,
    ) -> Result<Standing, StoreError> {
        let phone = self.keyring.phone_index(phone);
        store::standing(&self.pool, phone, self.stop_at, now).await
    }

    /// Takes a phone's lock and stop away, with the failures that led to them, and says where it
    /// stands then. The tries of a live code stay spent: a new code has new ones.
    pub async fn unlock(
        &self,
        phone: &PhoneNumber,
        why: &Remark,
        change: Change<'_>,
    ) -> Result<Standing, StoreError> {
        let phone = self.keyring.phone_index(phone);
        let id = random::uuid_v7(self.random.as_ref(), change.now)?;
        let event = Event::new(Action::PhoneUnlock, Outcome::Success, change.by.into())
            .phone(phone)
            .trace(change.trace_id)
            .with("reason", why.as_str());
        store::unlock(&self.pool, phone, id, event, change.now).await?;
        store::standing(&self.pool, phone, self.stop_at, change.now).await
    }

    /// Destroys what identifies a user: his row, his sessions, his requests with his sealed number,
    /// and what is remembered of a code. What limits the phone stays, under its keyed hash, or
    /// erasure would be a way around the limits. `false` if there is no such user.
    pub async fn erase(&self, user: Uuid, change: Change<'_>) -> Result<bool, StoreError> {
        let id = random::uuid_v7(self.random.as_ref(), change.now)?;
        let event = Event::new(Action::UserErase, Outcome::Success, change.by.into())
            .user(user)
            .trace(change.trace_id);
        store::erase(&self.pool, user, id, &event, change.now).await
    }
}
