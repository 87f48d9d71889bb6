//! Which replica does what only one is to do.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::database::StoreError;
use crate::random::{self, Random};

/// How long a replica that died keeps the others waiting. Nothing here is in a hurry: partitions are made a
/// day ahead. Our own figure.
const LENGTH: TimeDelta = TimeDelta::minutes(1);

/// A lease as one replica sees it.
pub(crate) struct Lease {
    name: &'static str,
    /// The replica: drawn when it starts.
    holder: Uuid,
    is_held: bool,
    /// When it is to be taken again.
    renew_at: DateTime<Utc>,
}

impl Lease {
    /// One that is not held yet.
    pub(crate) fn new(name: &'static str, random: &dyn Random) -> Self {
        Self {
            name,
            // Without randomness no replica of this kind is told from another: then all of them have it,
            // which costs some work twice.
            holder: random::uuid_v4(random).unwrap_or(Uuid::nil()),
            is_held: false,
            renew_at: DateTime::UNIX_EPOCH,
        }
    }

    /// Whether this replica had it when it last looked.
    pub(crate) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Takes it, or has it for longer, where that is due; whether this replica has it.
    pub(crate) async fn hold(
        &mut self,
        pool: &PgPool,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        if !self.is_held || now >= self.renew_at {
            self.is_held = take(pool, self.name, self.holder, now).await?;
            self.renew_at = now + LENGTH / 2;
        }
        Ok(self.is_held)
    }
}

/// Takes the lease of this name, or has it for longer; `false` if another replica has it.
async fn take(
    pool: &PgPool,
    name: &'static str,
    holder: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let taken = sqlx::query_scalar!(
        r#"
        INSERT INTO leases AS l (name, holder, held_until) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
            WHERE l.holder = excluded.holder OR l.held_until <= $4
        RETURNING true AS "taken!"
        "#,
        name,
        holder,
        now + LENGTH,
        now,
    )
    .fetch_optional(pool)
    .await?;
    Ok(taken.unwrap_or(false))
}
