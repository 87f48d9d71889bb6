//! What an SMS takes beside its phone's limits: its address's, and the budgets of everybody. The rows
//! are changed first; whoever looks at them afterwards and finds too much rolls the change back.
//!
//! Rows are locked in the order phone, address, counters by name; every statement of this program keeps
//! to it, or two of them could wait for each other.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::database::StoreError;
use crate::limit::budget::{Counter, Scope, Starts};
use crate::limit::per_address::{AddressKey, AddressPolicy, AddressState};

/// Builds a [`Counter`] from a row; a macro because every checked query has a row type of its own.
macro_rules! counter {
    ($row:ident) => {
        Counter {
            starts: Starts {
                hour: $row.hour_start,
                day: $row.day_start,
                month: $row.month_start,
            },
            messages: ($row.hour_messages.into(), $row.day_messages.into()),
            cost: ($row.hour_cost, $row.day_cost, $row.month_cost),
            unverified: ($row.hour_unverified.into(), $row.day_unverified.into()),
            best_day: $row.best_day.into(),
        }
    };
}

/// What one SMS is counted in.
#[derive(Clone, Debug)]
pub(in crate::otp) struct Load {
    /// The caller's address, with a keyed hash of the phone; `None` where no limit of addresses holds.
    pub(in crate::otp) address: Option<(AddressKey, [u8; 8])>,
    /// Where it goes, if the numbering plans know.
    pub(in crate::otp) country: String,
    /// Whose counters it is in.
    pub(in crate::otp) scopes: Vec<Scope>,
    /// What it costs, in millionths of the currency.
    pub(in crate::otp) price: i64,
}

/// The rows with the SMS in them.
#[derive(Clone, Debug, Default)]
pub(in crate::otp) struct Taken {
    pub(in crate::otp) address: Option<AddressState>,
    pub(in crate::otp) counters: Vec<(Scope, Counter)>,
}

/// Counts one SMS.
pub(super) async fn take(
    connection: &mut PgConnection,
    load: &Load,
    policy: &AddressPolicy,
    now: DateTime<Utc>,
) -> Result<Taken, StoreError> {
    let starts = Starts::of(now);
    let names: Vec<String> = load.scopes.iter().map(Scope::name).collect();
    let tracked = policy.phones_per_day.is_some() || policy.countries_per_day.is_some();
    let rows = sqlx::query!(
        r#"
        WITH address AS (
            INSERT INTO address_throttles AS a (address_key, full_at, day_start, phones, countries)
            SELECT $1::bytea, ARRAY(
                    SELECT $2::timestamptz + refill * interval '1 microsecond'
                    FROM unnest($3::bigint[]) WITH ORDINALITY AS w (refill, i) ORDER BY i),
                $4::timestamptz,
                CASE WHEN $7 THEN ARRAY[$5::bytea] ELSE '{}' END,
                CASE WHEN $7 THEN ARRAY[$6::text] ELSE '{}' END
            WHERE $1 IS NOT NULL
            ON CONFLICT (address_key) DO UPDATE SET
                full_at = ARRAY(
                    SELECT greatest(coalesce(a.full_at[i], $2), $2)
                        + refill * interval '1 microsecond'
                    FROM unnest($3::bigint[]) WITH ORDINALITY AS w (refill, i) ORDER BY i),
                day_start = greatest(a.day_start, $4),
                phones = CASE WHEN NOT $7 THEN '{}' WHEN a.day_start < $4 THEN ARRAY[$5]
                    WHEN $5 = ANY (a.phones) THEN a.phones ELSE a.phones || $5 END,
                countries = CASE WHEN NOT $7 THEN '{}' WHEN a.day_start < $4 THEN ARRAY[$6]
                    WHEN $6 = ANY (a.countries) THEN a.countries ELSE a.countries || $6 END
            RETURNING full_at, day_start, cardinality(phones) AS phones,
                cardinality(countries) AS countries
        ), counted AS (
            INSERT INTO sms_counters AS c (scope, hour_start, hour_messages, hour_cost,
                hour_unverified, day_start, day_messages, day_cost, day_unverified, day_verified,
                month_start, month_cost)
            SELECT s, $9, 1, $11, 1, $4, 1, $11, 1, 0, $10, $11
            -- Looked at before any counter, so that its row is locked first.
            FROM (SELECT count(*) FROM address) AS first, unnest($8::text[]) AS s ORDER BY s
            ON CONFLICT (scope) DO UPDATE SET
                -- A replica whose clock is a little behind must not bring an old hour back.
                hour_start = greatest(c.hour_start, $9),
                hour_messages = 1 + CASE WHEN c.hour_start < $9 THEN 0 ELSE c.hour_messages END,
                hour_cost = $11 + CASE WHEN c.hour_start < $9 THEN 0 ELSE c.hour_cost END,
                hour_unverified = 1
                    + CASE WHEN c.hour_start < $9 THEN 0 ELSE c.hour_unverified END,
                day_start = greatest(c.day_start, $4),
                day_messages = 1 + CASE WHEN c.day_start < $4 THEN 0 ELSE c.day_messages END,
                day_cost = $11 + CASE WHEN c.day_start < $4 THEN 0 ELSE c.day_cost END,
                day_unverified = 1 + CASE WHEN c.day_start < $4 THEN 0 ELSE c.day_unverified END,
                day_verified = CASE WHEN c.day_start < $4 THEN 0 ELSE c.day_verified END,
                verified_before = CASE WHEN c.day_start < $4 THEN (ARRAY[c.day_verified]
                        || array_fill(0, ARRAY[least(13,
                            extract(epoch FROM $4 - c.day_start)::int / 86400 - 1)])
                        || c.verified_before)[1:13]
                    ELSE c.verified_before END,
                month_start = greatest(c.month_start, $10),
                month_cost = $11 + CASE WHEN c.month_start < $10 THEN 0 ELSE c.month_cost END
            RETURNING c.*
        )
        SELECT c.scope AS "scope!", c.hour_start AS "hour_start!",
            c.hour_messages AS "hour_messages!", c.hour_cost AS "hour_cost!",
            c.hour_unverified AS "hour_unverified!", c.day_start AS "day_start!",
            c.day_messages AS "day_messages!", c.day_cost AS "day_cost!",
            c.day_unverified AS "day_unverified!", c.month_start AS "month_start!",
            c.month_cost AS "month_cost!",
            greatest(c.day_verified, (SELECT max(v) FROM unnest(c.verified_before) AS v))
                AS "best_day!",
            a.full_at, a.day_start AS address_day, a.phones, a.countries
        FROM counted AS c LEFT JOIN address AS a ON true
        "#,
        load.address.as_ref().map(|(key, _)| key.as_bytes()),
        now,
        &policy.refills(),
        starts.day,
        load.address.as_ref().map(|(_, phone)| &phone[..]),
        &load.country,
        tracked,
        &names,
        starts.hour,
        starts.month,
        load.price,
    )
    .fetch_all(connection)
    .await?;

    let mut taken = Taken::default();
    for row in rows {
        if let (Some(full_at), Some(day_start)) = (row.full_at, row.address_day) {
            let count = |count: Option<i32>| count.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
            taken.address = Some(AddressState {
                full_at,
                day_start,
                phones: count(row.phones),
                countries: count(row.countries),
            });
        }
        let scope = load.scopes.iter().find(|scope| scope.name() == row.scope);
        let scope = scope.ok_or(StoreError::Corrupt("counter"))?;
        let counter = counter!(row);
        taken.counters.push((scope.clone(), counter));
    }
    Ok(taken)
}
