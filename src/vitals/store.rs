//! What is due, and what is spent.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::database::StoreError;
use crate::limit::budget::{Counter, Starts};

/// Rows that are counted; more are told as so many.
const MOST: i64 = 1000;

/// Deliveries to look at.
pub(super) struct Due {
    pub(super) count: u32,
    pub(super) oldest: Option<DateTime<Utc>>,
}

/// What is due and was not taken yet.
pub(super) async fn due(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Due, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT count(*) AS "count!", min(due_at) AS oldest
        FROM (SELECT due_at FROM otp_requests WHERE due_at <= $1 ORDER BY due_at LIMIT $2) AS due
        "#,
        now,
        MOST,
    )
    .fetch_one(connection)
    .await?;
    Ok(Due {
        count: u32::try_from(row.count).unwrap_or(u32::MAX),
        oldest: row.oldest,
    })
}

/// A counter that nothing was counted in.
pub(super) fn nothing(now: DateTime<Utc>) -> Counter {
    Counter {
        starts: Starts::of(now),
        messages: (0, 0),
        cost: (0, 0, 0),
        unverified: (0, 0),
        best_day: 0,
    }
}

/// What is counted of these scopes in the windows that `now` is in; what unused codes say is left out.
pub(super) async fn counters(
    connection: &mut PgConnection,
    scopes: &[String],
    now: DateTime<Utc>,
) -> Result<BTreeMap<String, Counter>, StoreError> {
    let starts = Starts::of(now);
    let rows = sqlx::query!(
        r#"
        SELECT scope,
            CASE WHEN hour_start >= $2 THEN hour_messages ELSE 0 END AS "hour_messages!",
            CASE WHEN hour_start >= $2 THEN hour_cost ELSE 0 END AS "hour_cost!",
            CASE WHEN day_start >= $3 THEN day_messages ELSE 0 END AS "day_messages!",
            CASE WHEN day_start >= $3 THEN day_cost ELSE 0 END AS "day_cost!",
            CASE WHEN month_start >= $4 THEN month_cost ELSE 0 END AS "month_cost!"
        FROM sms_counters WHERE scope = ANY ($1)
        "#,
        scopes,
        starts.hour,
        starts.day,
        starts.month,
    )
    .fetch_all(connection)
    .await?;
    let counted = rows.into_iter().map(|row| {
        let counter = Counter {
            messages: (row.hour_messages.into(), row.day_messages.into()),
            cost: (row.hour_cost, row.day_cost, row.month_cost),
            ..nothing(now)
        };
        (row.scope, counter)
    });
    Ok(counted.collect())
}
