//! Which warnings were given.

use sqlx::PgPool;

use crate::database::StoreError;
use crate::limit::budget::Level;

/// Whether this warning is the caller's to give: nobody gave it before.
pub(super) async fn claim(pool: &PgPool, level: &Level) -> Result<bool, StoreError> {
    let claimed = sqlx::query!(
        "INSERT INTO spend_warnings (scope, period, period_start, percent)
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        level.scope.name(),
        level.period.name(),
        level.start,
        i16::from(level.percent),
    )
    .execute(pool)
    .await?;
    Ok(claimed.rows_affected() == 1)
}
