//! Partitions: made before they are needed, dropped when all in them is over. The work is done by functions
//! of the database, which run as its tables' owner.

use chrono::{DateTime, Months, TimeDelta, Utc};
use sqlx::PgPool;

use super::rows::Cutoffs;
use crate::database::StoreError;

/// The length of time that a partition of `otp_requests` holds; the migration's.
const SLOT: TimeDelta = TimeDelta::hours(8);
/// How many of them are made ahead: a day in which nothing goes right does no harm.
const AHEAD: i32 = 3;

/// Makes the partitions of now and of the next day, and of this month and the next, unless they are there.
/// Where one is missing, its rows go to the default partition, and move when it is made.
pub async fn prepare(pool: &PgPool, now: DateTime<Utc>) -> Result<(), StoreError> {
    for slot in 0..=AHEAD {
        sqlx::query!("SELECT otp_requests_prepare($1)", now + SLOT * slot)
            .execute(pool)
            .await?;
    }
    let next_month = now.checked_add_months(Months::new(1));
    for month in [Some(now), next_month].into_iter().flatten() {
        sqlx::query!("SELECT audit_prepare_month($1)", month)
            .execute(pool)
            .await?;
    }
    Ok(())
}

/// Drops those that are over; returns how many, by table.
pub(in crate::retention) async fn drop_over(
    pool: &PgPool,
    cutoffs: &Cutoffs,
) -> Result<[(&'static str, u64); 2], StoreError> {
    let requests = sqlx::query_scalar!(
        r#"SELECT otp_requests_drop($1) AS "dropped!""#,
        cutoffs.requests
    )
    .fetch_one(pool)
    .await?;
    let audit = sqlx::query_scalar!(r#"SELECT audit_drop($1) AS "dropped!""#, cutoffs.audit)
        .fetch_one(pool)
        .await?;
    let count = |dropped: i32| u64::try_from(dropped).unwrap_or(0);
    Ok([
        ("otp_requests", count(requests)),
        ("audit_events", count(audit)),
    ])
}
