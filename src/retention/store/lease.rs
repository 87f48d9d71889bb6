//! Which replica does what only one is to do.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::database::StoreError;

/// How long a replica that died keeps the others waiting. Nothing here is in a hurry: partitions are made a
/// day ahead. Our own figure.
pub(crate) const LENGTH: TimeDelta = TimeDelta::minutes(1);

/// Takes the lease of this name, or has it for longer; `false` if another replica has it.
pub(crate) async fn take(
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
