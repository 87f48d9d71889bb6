//! The statements that let many through together. What is done to a row is what `admit.rs` and `take.rs` do to it; `excluded`
//! has what came with the one that it is done for.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::admit::Begun;
use super::phone_state;
use super::take::counter;
use super::together::One;
use crate::database::StoreError;
use crate::limit::budget::{Counter, Scope, Starts};
use crate::limit::per_address::{AddressPolicy, AddressState};
use crate::limit::per_phone::{COOLDOWN_WINDOW_SECONDS, KnownHistory, SendHistory};
use crate::otp::Policy;
use crate::otp::phone_state::{By, PhoneState};

/// Takes the phones' limits, supersedes their older requests and stores the new ones. Whose phone somebody else
/// has locked, whose limits do not allow it or whose request is there already is not among those it returns.
#[expect(clippy::too_many_lines, reason = "one statement, which is one literal")]
pub(super) async fn begin(
    connection: &mut PgConnection,
    asking: &[One<'_>],
    policy: &Policy,
) -> Result<BTreeMap<Uuid, Begun>, StoreError> {
    let limits = By::Anybody.limits(policy);
    let of = |part: fn(&One<'_>) -> Vec<u8>| asking.iter().map(part).collect::<Vec<_>>();
    let ids: Vec<Uuid> = asking.iter().map(|one| one.new.id.0).collect();
    let admissions: Vec<Uuid> = asking.iter().map(|one| one.new.admission).collect();
    let at: Vec<DateTime<Utc>> = asking.iter().map(|one| one.new.now).collect();
    let expiries: Vec<DateTime<Utc>> = at.iter().map(|at| *at + policy.ttl).collect();
    let leases: Vec<DateTime<Utc>> = at.iter().map(|at| *at + policy.lease).collect();
    let text = |part: fn(&One<'_>) -> String| asking.iter().map(part).collect::<Vec<_>>();
    let prices: Vec<i64> = asking.iter().map(|one| one.load.price).collect();
    let rows = sqlx::query!(
        r#"
        WITH asking AS MATERIALIZED (
            SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::uuid[], $4::timestamptz[],
                $5::timestamptz[], $6::timestamptz[], $7::bytea[], $8::text[], $9::text[], $10::bytea[],
                $11::text[], $12::bigint[])
            AS a (phone_index, id, admission, at, expires_at, due_at, phone_sealed, client_id, purpose,
                code_nonce, counted_in, cost_micros)
        ), locked AS MATERIALIZED (
            SELECT phone_index FROM phone_throttles WHERE phone_index = ANY ($1)
            ORDER BY phone_index FOR UPDATE SKIP LOCKED
        ), free AS MATERIALIZED (
            SELECT * FROM asking AS a
            WHERE (a.phone_index IN (SELECT phone_index FROM locked) OR a.phone_index NOT IN (
                    SELECT phone_index FROM phone_throttles WHERE phone_index = ANY ($1)))
                AND a.id NOT IN (
                    SELECT id FROM otp_requests WHERE id = ANY ($2) AND failed_at IS NULL)
        ), throttle AS (
            INSERT INTO phone_throttles AS p (phone_index, send_log, cooldown_until,
                last_send_id, live_request_id, live_sends, live_attempts)
            SELECT phone_index, ARRAY[at], at + ($13::bigint[])[1] * interval '1 second',
                admission, id, 1, 0
            FROM free ORDER BY phone_index
            ON CONFLICT (phone_index) DO UPDATE SET
                send_log = ARRAY(SELECT s FROM unnest(p.send_log) AS s
                    WHERE s > excluded.send_log[1] - $14::bigint * interval '1 second' ORDER BY s)
                    || excluded.send_log,
                cooldown_until = excluded.send_log[1] + interval '1 second'
                    * ($13::bigint[])[least(cardinality($13::bigint[]), 1 + (
                        SELECT count(*) FROM unnest(p.send_log) AS s
                        WHERE s > excluded.send_log[1] - $15::bigint * interval '1 second'))],
                last_send_id = excluded.last_send_id, live_request_id = excluded.live_request_id,
                live_sends = 1, live_attempts = 0,
                superseded_request_id = p.live_request_id, superseded_sends = p.live_sends,
                superseded_attempts = p.live_attempts, superseded_check_tag = p.check_tag,
                superseded_check_sealed = p.check_sealed,
                check_id = NULL, check_until = NULL, check_tag = NULL, check_sealed = NULL
            WHERE p.live_request_id IS DISTINCT FROM excluded.live_request_id
                AND p.failures_in_row < $16::int AND p.cooldown_until <= excluded.send_log[1]
                AND (p.locked_until IS NULL OR p.locked_until <= excluded.send_log[1])
                AND NOT EXISTS (
                    SELECT FROM unnest($17::bigint[], $18::int[]) AS w (seconds, most)
                    WHERE w.most <= (SELECT count(*) FROM unnest(p.send_log) AS s
                        WHERE s > excluded.send_log[1] - w.seconds * interval '1 second'))
            RETURNING p.phone_index, p.live_request_id, p.send_log, p.cooldown_until, p.locked_until,
                p.failures_in_row, p.known_send_log, p.known_failure_log, p.known_failures_in_row
        ), stored AS (
            INSERT INTO otp_requests AS r (id, phone_index, phone_sealed, client_id, purpose,
                code_nonce, created_at, expires_at, send_ids, provider_key, due_at, counted_in,
                cost_micros)
            SELECT f.id, f.phone_index, f.phone_sealed, f.client_id, f.purpose, f.code_nonce, f.at,
                f.expires_at, ARRAY[f.id], f.id, f.due_at, string_to_array(f.counted_in, ' '),
                f.cost_micros
            FROM free AS f JOIN throttle AS t ON t.live_request_id = f.id
            ON CONFLICT (id) DO UPDATE SET code_nonce = excluded.code_nonce,
                created_at = excluded.created_at, expires_at = excluded.expires_at,
                delivery = 'queued', failed_at = NULL, due_at = excluded.due_at, polls = 0,
                counted_in = excluded.counted_in, cost_micros = excluded.cost_micros
            WHERE r.failed_at IS NOT NULL
        )
        SELECT live_request_id AS "id!", send_log AS "send_log!",
            cooldown_until AS "cooldown_until!", locked_until,
            failures_in_row AS "failures_in_row!", known_send_log AS "known_send_log!",
            known_failure_log AS "known_failure_log!",
            known_failures_in_row AS "known_failures_in_row!",
            phone_index IN (SELECT phone_index FROM users WHERE phone_index = ANY ($1)) AS "account!"
        FROM throttle
        "#,
        &of(|one| one.new.phone.as_bytes().to_vec()),
        &ids,
        &admissions,
        &at,
        &expiries,
        &leases,
        &of(|one| one.new.phone_sealed.clone()),
        &text(|one| one.new.client.as_str().to_owned()),
        &text(|one| one.new.purpose.name().to_owned()),
        &of(|one| one.new.code_nonce.to_vec()),
        &text(|one| names(&one.load.scopes)),
        &prices,
        &policy.sends.cooldowns,
        policy.sends.horizon_seconds(),
        COOLDOWN_WINDOW_SECONDS,
        policy.failures.in_row,
        &limits.window_seconds(),
        &limits.maxima(),
    )
    .fetch_all(connection)
    .await?;
    let begun = rows.into_iter().map(|row| {
        let begun = Begun {
            account: row.account,
            phone: phone_state!(row),
        };
        (row.id, begun)
    });
    Ok(begun.collect())
}

/// Counts them, and returns the counters with all of them in them, by their names.
pub(super) async fn count(
    connection: &mut PgConnection,
    asking: &[One<'_>],
) -> Result<BTreeMap<String, Counter>, StoreError> {
    // All of them have the same.
    let Some(starts) = asking.first().map(|one| Starts::of(one.new.now)) else {
        return Ok(BTreeMap::new());
    };
    let mut sums: BTreeMap<String, (i32, i64)> = BTreeMap::new();
    for one in asking {
        for name in one.load.scopes.iter().map(Scope::name) {
            let (messages, cost) = sums.entry(name).or_default();
            *messages += 1;
            *cost = cost.saturating_add(one.load.price);
        }
    }
    let (messages, costs): (Vec<i32>, Vec<i64>) = sums.values().copied().unzip();
    let names: Vec<String> = sums.into_keys().collect();
    let rows = sqlx::query!(
        r#"
        WITH counted AS (
            INSERT INTO sms_counters AS c (scope, hour_start, hour_messages, hour_cost,
                hour_unverified, day_start, day_messages, day_cost, day_unverified, day_verified,
                month_start, month_cost)
            SELECT s.scope, $4, s.messages, s.cost, s.messages, $5, s.messages, s.cost, s.messages, 0,
                $6, s.cost
            FROM unnest($1::text[], $2::int[], $3::bigint[]) AS s (scope, messages, cost)
            ORDER BY s.scope
            ON CONFLICT (scope) DO UPDATE SET
                -- A replica whose clock is a little behind must not bring an old hour back.
                hour_start = greatest(c.hour_start, $4),
                hour_messages = excluded.hour_messages
                    + CASE WHEN c.hour_start < $4 THEN 0 ELSE c.hour_messages END,
                hour_cost = excluded.hour_cost
                    + CASE WHEN c.hour_start < $4 THEN 0 ELSE c.hour_cost END,
                hour_unverified = excluded.hour_unverified
                    + CASE WHEN c.hour_start < $4 THEN 0 ELSE c.hour_unverified END,
                day_start = greatest(c.day_start, $5),
                day_messages = excluded.day_messages
                    + CASE WHEN c.day_start < $5 THEN 0 ELSE c.day_messages END,
                day_cost = excluded.day_cost
                    + CASE WHEN c.day_start < $5 THEN 0 ELSE c.day_cost END,
                day_unverified = excluded.day_unverified
                    + CASE WHEN c.day_start < $5 THEN 0 ELSE c.day_unverified END,
                day_verified = CASE WHEN c.day_start < $5 THEN 0 ELSE c.day_verified END,
                verified_before = CASE WHEN c.day_start < $5 THEN (ARRAY[c.day_verified]
                        || array_fill(0, ARRAY[least(13,
                            extract(epoch FROM $5 - c.day_start)::int / 86400 - 1)])
                        || c.verified_before)[1:13]
                    ELSE c.verified_before END,
                month_start = greatest(c.month_start, $6),
                month_cost = excluded.month_cost
                    + CASE WHEN c.month_start < $6 THEN 0 ELSE c.month_cost END
            RETURNING c.*
        )
        SELECT scope AS "scope!", hour_start AS "hour_start!", hour_messages AS "hour_messages!",
            hour_cost AS "hour_cost!", hour_unverified AS "hour_unverified!",
            day_start AS "day_start!", day_messages AS "day_messages!", day_cost AS "day_cost!",
            day_unverified AS "day_unverified!", month_start AS "month_start!",
            month_cost AS "month_cost!",
            greatest(day_verified, (SELECT max(v) FROM unnest(verified_before) AS v)) AS "best_day!"
        FROM counted
        "#,
        &names,
        &messages,
        &costs,
        starts.hour,
        starts.day,
        starts.month,
    )
    .fetch_all(connection)
    .await?;
    let counters = rows.into_iter().map(|row| {
        let counter = counter!(row);
        (row.scope, counter)
    });
    Ok(counters.collect())
}

/// Counts them for their addresses, of which no two have the same, and returns those by their keys.
pub(super) async fn addresses(
    connection: &mut PgConnection,
    asking: &[One<'_>],
    policy: &AddressPolicy,
) -> Result<BTreeMap<Vec<u8>, AddressState>, StoreError> {
    let counted = asking.iter().filter_map(|one| {
        let (key, phone) = one.load.address.as_ref()?;
        Some((*key, phone.to_vec(), one))
    });
    let counted: Vec<_> = counted.collect();
    if counted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<Vec<u8>> = counted
        .iter()
        .map(|(key, ..)| key.as_bytes().to_vec())
        .collect();
    let phones: Vec<Vec<u8>> = counted.iter().map(|(_, phone, _)| phone.clone()).collect();
    let text = |part: fn(&One<'_>) -> String| {
        let parts = counted.iter().map(|(.., one)| part(one));
        parts.collect::<Vec<_>>()
    };
    let at: Vec<DateTime<Utc>> = counted.iter().map(|(.., one)| one.new.now).collect();
    let days: Vec<DateTime<Utc>> = at.iter().map(|at| Starts::of(*at).day).collect();
    let tracked = policy.phones_per_day.is_some() || policy.countries_per_day.is_some();
    let rows = sqlx::query!(
        r#"
        INSERT INTO address_throttles AS a (address_key, full_at, day_start, phones, countries)
        SELECT s.address_key, ARRAY(
                SELECT s.at + refill * interval '1 microsecond'
                FROM unnest($6::bigint[]) WITH ORDINALITY AS w (refill, i) ORDER BY i),
            s.day_start,
            CASE WHEN $7 THEN ARRAY[s.phone] ELSE '{}' END,
            CASE WHEN $7 THEN ARRAY[s.country] ELSE '{}' END
        FROM unnest($1::bytea[], $2::timestamptz[], $3::timestamptz[], $4::bytea[], $5::text[])
            AS s (address_key, at, day_start, phone, country)
        ORDER BY s.address_key
        ON CONFLICT (address_key) DO UPDATE SET
            -- A limit that is new has no state yet, which `greatest` passes over.
            full_at = ARRAY(
                SELECT greatest(a.full_at[i] + refill * interval '1 microsecond', excluded.full_at[i])
                FROM unnest($6::bigint[]) WITH ORDINALITY AS w (refill, i) ORDER BY i),
            day_start = greatest(a.day_start, excluded.day_start),
            phones = CASE WHEN NOT $7 THEN '{}' WHEN a.day_start < excluded.day_start THEN excluded.phones
                WHEN excluded.phones[1] = ANY (a.phones) THEN a.phones ELSE a.phones || excluded.phones END,
            countries = CASE WHEN NOT $7 THEN '{}'
                WHEN a.day_start < excluded.day_start THEN excluded.countries
                WHEN excluded.countries[1] = ANY (a.countries) THEN a.countries
                ELSE a.countries || excluded.countries END
        RETURNING address_key AS "address_key!", full_at AS "full_at!", day_start AS "day_start!",
            cardinality(phones) AS "phones!", cardinality(countries) AS "countries!"
        "#,
        &keys,
        &at,
        &days,
        &phones,
        &text(|one| one.load.country.clone()),
        &policy.refills(),
        tracked,
    )
    .fetch_all(connection)
    .await?;
    let states = rows.into_iter().map(|row| {
        let state = AddressState {
            full_at: row.full_at,
            day_start: row.day_start,
            phones: u32::try_from(row.phones).unwrap_or(0),
            countries: u32::try_from(row.countries).unwrap_or(0),
        };
        (row.address_key, state)
    });
    Ok(states.collect())
}

/// The counters that an SMS is in, as one text.
fn names(scopes: &[Scope]) -> String {
    let names: Vec<String> = scopes.iter().map(Scope::name).collect();
    names.join(" ")
}
