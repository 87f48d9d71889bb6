//! What used codes take off the counters of the guard against pumping, by one statement for many.
//!
//! It comes after the commit that used them up, before their callers are answered, and does not wait for the disk
//! (`synchronous_commit`): the rows that all share are held for the time of one statement, and not for that of the
//! logins and their commit. If the process or PostgreSQL dies before it is kept, these codes count as unused until
//! the hour or the day is over: the guard is stricter by as many, and nobody gets more.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::database::StoreError;
use crate::limit::budget::{Scope, Starts};

/// What a request whose code was used up had brought to the counters.
pub(super) struct Used {
    pub(super) created_at: DateTime<Utc>,
    /// The names of the counters.
    pub(super) counted_in: Vec<String>,
    /// SMS.
    pub(super) sends: i32,
}

/// What comes off a counter.
#[derive(Debug, Default, PartialEq, Eq)]
struct Credit {
    /// SMS of this hour and of this day: what was sent in another window than its code was used in is not counted
    /// there any more.
    hour: i32,
    day: i32,
    codes: i32,
}

/// Counts the codes as used.
pub(super) async fn credit(
    connection: &mut PgConnection,
    used: &[Used],
    starts: Starts,
) -> Result<(), StoreError> {
    let credits = summed(used, starts);
    if credits.is_empty() {
        return Ok(());
    }
    let each = |part: fn(&Credit) -> i32| credits.values().map(part).collect::<Vec<_>>();
    let scopes: Vec<String> = credits.keys().map(|scope| (*scope).to_owned()).collect();
    sqlx::query!(
        "WITH soon AS MATERIALIZED (
             SELECT set_config('synchronous_commit', 'off', true)
         )
         INSERT INTO sms_counters AS c (scope, hour_start, hour_messages, hour_cost, hour_unverified,
             day_start, day_messages, day_cost, day_unverified, day_verified, month_start, month_cost)
         SELECT n.scope, $5, n.hour, 0, 0, $6, n.day, 0, 0, n.codes, $7, 0
         FROM soon, unnest($1::text[], $2::int[], $3::int[], $4::int[]) AS n (scope, hour, day, codes)
         ORDER BY n.scope
         ON CONFLICT (scope) DO UPDATE SET
             hour_unverified = CASE WHEN c.hour_start = excluded.hour_start
                 THEN greatest(0, c.hour_unverified - excluded.hour_messages) ELSE c.hour_unverified END,
             day_unverified = CASE WHEN c.day_start = excluded.day_start
                 THEN greatest(0, c.day_unverified - excluded.day_messages) ELSE c.day_unverified END,
             day_verified = c.day_verified + excluded.day_verified",
        &scopes,
        &each(|credit| credit.hour),
        &each(|credit| credit.day),
        &each(|credit| credit.codes),
        starts.hour,
        starts.day,
        starts.month,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What comes off each of the counters.
fn summed(used: &[Used], starts: Starts) -> BTreeMap<&str, Credit> {
    let mut credits: BTreeMap<&str, Credit> = BTreeMap::new();
    for one in used {
        let sent_since = |start| {
            if one.created_at >= start {
                one.sends
            } else {
                0
            }
        };
        let guarded = one
            .counted_in
            .iter()
            .filter(|scope| Scope::is_guarded(scope));
        for scope in guarded {
            let credit = credits.entry(scope).or_default();
            credit.hour += sent_since(starts.hour);
            credit.day += sent_since(starts.day);
            credit.codes += 1;
        }
    }
    credits
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn used_codes_come_off_the_windows_that_they_were_sent_in() {
        let starts = Starts::of(DateTime::UNIX_EPOCH + TimeDelta::hours(25));
        let sent = |hours_ago, sends, scopes: &[&str]| Used {
            created_at: starts.hour - TimeDelta::hours(hours_ago),
            counted_in: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            sends,
        };
        let used = [
            sent(
                0,
                2,
                &[
                    "address:a",
                    "client:app",
                    "country:IN",
                    "prefix:p",
                    "service",
                ],
            ),
            sent(1, 1, &["country:IN", "prefix:p", "service"]),
            sent(2, 4, &["address:a", "country:IN"]),
        ];

        let credits = summed(&used, starts);

        let credit = |hour, day, codes| Credit { hour, day, codes };
        let expected = [
            ("address:a", credit(2, 2, 2)),
            ("country:IN", credit(2, 3, 3)),
            ("prefix:p", credit(2, 3, 2)),
        ];
        assert_eq!(credits, BTreeMap::from(expected));
    }
}
