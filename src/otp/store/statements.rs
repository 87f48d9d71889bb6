//! The statement that lets many through together. What is done to a row is what `admit.rs` and `take.rs` do to it;
//! `excluded` has what came with the one that it is done for.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::span;
use super::together::One;
use crate::database::StoreError;
use crate::limit::budget::{Counter, Scope, Starts};
use crate::limit::per_address::AddressState;
use crate::limit::per_phone::{COOLDOWN_WINDOW_SECONDS, KnownHistory, SendHistory};
use crate::otp::Policy;
use crate::otp::phone_state::{By, PhoneState};
use crate::secrets::PhoneIndex;

/// What came of it, by the requests and by the names of the counters.
#[derive(Default)]
pub(super) struct Passed {
    pub(super) begun: BTreeMap<Uuid, (PhoneState, Option<AddressState>)>,
    /// With all of them in them.
    pub(super) counters: BTreeMap<String, Counter>,
}

/// A request that was stored, or a counter.
struct Returned {
    id: Option<Uuid>,
    send_log: Option<Vec<DateTime<Utc>>>,
    cooldown_until: Option<DateTime<Utc>>,
    locked_until: Option<DateTime<Utc>>,
    failures_in_row: Option<i32>,
    known_send_log: Option<Vec<DateTime<Utc>>>,
    known_failure_log: Option<Vec<DateTime<Utc>>>,
    known_failures_in_row: Option<i32>,
    full_at: Option<Vec<DateTime<Utc>>>,
    address_day: Option<DateTime<Utc>>,
    phones: Option<i32>,
    countries: Option<i32>,
    scope: Option<String>,
    hour_start: Option<DateTime<Utc>>,
    hour_messages: Option<i32>,
    hour_cost: Option<i64>,
    hour_unverified: Option<i32>,
    day_start: Option<DateTime<Utc>>,
    day_messages: Option<i32>,
    day_cost: Option<i64>,
    day_unverified: Option<i32>,
    month_start: Option<DateTime<Utc>>,
    month_cost: Option<i64>,
    best_day: Option<i32>,
}

/// Takes the phones' limits, supersedes their older requests, stores the new ones with their events of the audit log,
/// and counts them: for their addresses, of which no two have the same, and for everybody. Whose phone somebody else
/// has locked, whose limits do not allow it or whose request is there already is not among those it returns.
#[expect(clippy::too_many_lines, reason = "one statement, which is one literal")]
#[expect(
    clippy::as_conversions,
    reason = "how `query!` is told that items may be NULL"
)]
pub(super) async fn pass(
    connection: &mut PgConnection,
    asking: &[One<'_>],
    policy: &Policy,
) -> Result<Passed, StoreError> {
    fn each<T>(asking: &[One<'_>], part: impl Fn(&One<'_>) -> T) -> Vec<T> {
        asking.iter().map(part).collect()
    }
    // All of them have the same.
    let Some(starts) = asking.first().map(|one| Starts::of(one.new.now)) else {
        return Ok(Passed::default());
    };
    let ids = each(asking, |one| one.new.id.0);
    let (first, last) = span(&ids);
    let limits = By::Anybody.limits(policy);
    let addresses = &policy.guard.address;
    let tracked = addresses.phones_per_day.is_some() || addresses.countries_per_day.is_some();
    let address = |one: &One<'_>| {
        let (key, phone) = one.load.address.as_ref()?;
        Some((key.as_bytes().to_vec(), phone.to_vec()))
    };
    let (address_keys, address_phones): (Vec<_>, Vec<_>) =
        asking.iter().map(|one| address(one).unzip()).unzip();
    let rows = sqlx::query_as!(
        Returned,
        r#"
        WITH asking AS MATERIALIZED (
            SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::uuid[], $4::timestamptz[],
                $5::timestamptz[], $6::timestamptz[], $7::bytea[], $8::text[], $9::text[], $10::bytea[],
                $11::text[], $12::bigint[], $19::bytea[], $20::bytea[], $21::text[], $22::timestamptz[],
                $23::uuid[], $24::text[], $25::text[], $26::text[], $27::bytea[], $28::text[], $29::text[])
            AS a (phone_index, id, admission, at, expires_at, due_at, phone_sealed, client_id, purpose,
                code_nonce, counted_in, cost_micros, address_key, address_phone, country, day_start,
                event_id, action, reason, actor, event_address, trace_id, detail)
        ), locked AS MATERIALIZED (
            SELECT phone_index FROM phone_throttles WHERE phone_index = ANY ($1)
            ORDER BY phone_index FOR UPDATE SKIP LOCKED
        ), free AS MATERIALIZED (
            SELECT * FROM asking AS a
            WHERE (a.phone_index IN (SELECT phone_index FROM locked) OR a.phone_index NOT IN (
                    SELECT phone_index FROM phone_throttles WHERE phone_index = ANY ($1)))
                AND a.id NOT IN (
                    SELECT id FROM otp_requests
                    WHERE id = ANY ($2) AND id BETWEEN $35 AND $36 AND failed_at IS NULL)
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
        ), through AS MATERIALIZED (
            SELECT f.*, t.send_log, t.cooldown_until, t.locked_until, t.failures_in_row, t.known_send_log,
                t.known_failure_log, t.known_failures_in_row
            FROM throttle AS t JOIN free AS f ON f.id = t.live_request_id
        ), stored AS (
            INSERT INTO otp_requests AS r (id, phone_index, phone_sealed, client_id, purpose,
                code_nonce, created_at, expires_at, send_ids, provider_key, due_at, counted_in,
                cost_micros)
            SELECT id, phone_index, phone_sealed, client_id, purpose, code_nonce, at, expires_at, ARRAY[id],
                id, due_at, string_to_array(counted_in, ' '), cost_micros
            FROM through
            ON CONFLICT (id) DO UPDATE SET code_nonce = excluded.code_nonce,
                created_at = excluded.created_at, expires_at = excluded.expires_at,
                delivery = 'queued', failed_at = NULL, due_at = excluded.due_at, polls = 0,
                counted_in = excluded.counted_in, cost_micros = excluded.cost_micros
            WHERE r.failed_at IS NOT NULL
            RETURNING id
        ), address AS (
            INSERT INTO address_throttles AS a (address_key, full_at, day_start, phones, countries)
            SELECT address_key, ARRAY(
                    SELECT at + refill * interval '1 microsecond'
                    FROM unnest($30::bigint[]) WITH ORDINALITY AS w (refill, i) ORDER BY i),
                day_start,
                CASE WHEN $31 THEN ARRAY[address_phone] ELSE '{}' END,
                CASE WHEN $31 THEN ARRAY[country] ELSE '{}' END
            FROM through WHERE address_key IS NOT NULL ORDER BY address_key
            ON CONFLICT (address_key) DO UPDATE SET
                -- A limit that is new has no state yet, which `greatest` passes over.
                full_at = ARRAY(
                    SELECT greatest(a.full_at[i] + refill * interval '1 microsecond', excluded.full_at[i])
                    FROM unnest($30::bigint[]) WITH ORDINALITY AS w (refill, i) ORDER BY i),
                day_start = greatest(a.day_start, excluded.day_start),
                phones = CASE WHEN NOT $31 THEN '{}' WHEN a.day_start < excluded.day_start THEN excluded.phones
                    WHEN excluded.phones[1] = ANY (a.phones) THEN a.phones ELSE a.phones || excluded.phones END,
                countries = CASE WHEN NOT $31 THEN '{}'
                    WHEN a.day_start < excluded.day_start THEN excluded.countries
                    WHEN excluded.countries[1] = ANY (a.countries) THEN a.countries
                    ELSE a.countries || excluded.countries END
            RETURNING address_key, full_at, day_start, cardinality(phones) AS phones,
                cardinality(countries) AS countries
        ), noted AS (
            INSERT INTO audit_events (id, at, action, outcome, reason, actor, phone_index, address_key,
                request_id, trace_id, detail)
            SELECT event_id, at, action, 'success', reason, actor, phone_index, event_address, id, trace_id,
                detail::jsonb
            FROM through
        ), counted AS (
            INSERT INTO sms_counters AS c (scope, hour_start, hour_messages, hour_cost,
                hour_unverified, day_start, day_messages, day_cost, day_unverified, day_verified,
                month_start, month_cost)
            SELECT s.scope, $32, count(*), sum(cost_micros), count(*), $33, count(*), sum(cost_micros), count(*), 0,
                $34, sum(cost_micros)
            -- Looked at before any counter, so that their rows are locked first.
            FROM (SELECT count(*) FROM address) AS first, (SELECT count(*) FROM stored) AS second,
                through, unnest(string_to_array(counted_in, ' ')) AS s (scope)
            GROUP BY s.scope ORDER BY s.scope
            ON CONFLICT (scope) DO UPDATE SET
                -- A replica whose clock is a little behind must not bring an old hour back.
                hour_start = greatest(c.hour_start, $32),
                hour_messages = excluded.hour_messages
                    + CASE WHEN c.hour_start < $32 THEN 0 ELSE c.hour_messages END,
                hour_cost = excluded.hour_cost
                    + CASE WHEN c.hour_start < $32 THEN 0 ELSE c.hour_cost END,
                hour_unverified = excluded.hour_unverified
                    + CASE WHEN c.hour_start < $32 THEN 0 ELSE c.hour_unverified END,
                day_start = greatest(c.day_start, $33),
                day_messages = excluded.day_messages
                    + CASE WHEN c.day_start < $33 THEN 0 ELSE c.day_messages END,
                day_cost = excluded.day_cost
                    + CASE WHEN c.day_start < $33 THEN 0 ELSE c.day_cost END,
                day_unverified = excluded.day_unverified
                    + CASE WHEN c.day_start < $33 THEN 0 ELSE c.day_unverified END,
                day_verified = CASE WHEN c.day_start < $33 THEN 0 ELSE c.day_verified END,
                verified_before = CASE WHEN c.day_start < $33 THEN (ARRAY[c.day_verified]
                        || array_fill(0, ARRAY[least(13,
                            extract(epoch FROM $33 - c.day_start)::int / 86400 - 1)])
                        || c.verified_before)[1:13]
                    ELSE c.verified_before END,
                month_start = greatest(c.month_start, $34),
                month_cost = excluded.month_cost
                    + CASE WHEN c.month_start < $34 THEN 0 ELSE c.month_cost END
            RETURNING c.*
        )
        SELECT t.id AS "id?", t.send_log AS "send_log?", t.cooldown_until AS "cooldown_until?", t.locked_until,
            t.failures_in_row AS "failures_in_row?", t.known_send_log AS "known_send_log?",
            t.known_failure_log AS "known_failure_log?", t.known_failures_in_row AS "known_failures_in_row?",
            a.full_at AS "full_at?", a.day_start AS "address_day?", a.phones AS "phones?",
            a.countries AS "countries?",
            c.scope AS "scope?", c.hour_start AS "hour_start?", c.hour_messages AS "hour_messages?",
            c.hour_cost AS "hour_cost?", c.hour_unverified AS "hour_unverified?", c.day_start AS "day_start?",
            c.day_messages AS "day_messages?", c.day_cost AS "day_cost?", c.day_unverified AS "day_unverified?",
            c.month_start AS "month_start?", c.month_cost AS "month_cost?",
            greatest(c.day_verified, (SELECT max(v) FROM unnest(c.verified_before) AS v)) AS best_day
        FROM through AS t LEFT JOIN address AS a USING (address_key) FULL JOIN counted AS c ON false
        "#,
        &each(asking, |one| one.new.phone.as_bytes().to_vec()),
        &ids,
        &each(asking, |one| one.new.admission),
        &each(asking, |one| one.new.now),
        &each(asking, |one| one.new.now + policy.ttl),
        &each(asking, |one| one.new.now + policy.lease),
        &each(asking, |one| one.new.phone_sealed.clone()),
        &each(asking, |one| one.new.client.as_str().to_owned()),
        &each(asking, |one| one.new.purpose.name().to_owned()),
        &each(asking, |one| one.new.code_nonce.to_vec()),
        &each(asking, |one| names(&one.load.scopes)),
        &each(asking, |one| one.load.price),
        &policy.sends.cooldowns,
        policy.sends.horizon_seconds(),
        COOLDOWN_WINDOW_SECONDS,
        policy.failures.in_row,
        &limits.window_seconds(),
        &limits.maxima(),
        &address_keys as &[Option<Vec<u8>>],
        &address_phones as &[Option<Vec<u8>>],
        &each(asking, |one| one.load.country.clone()),
        &each(asking, |one| Starts::of(one.new.now).day),
        &each(asking, |one| one.asked.event_id),
        &each(asking, |one| one.asked.event.action.name().to_owned()),
        &each(asking, |one| one.asked.event.reason.map(str::to_owned)) as &[Option<String>],
        &each(asking, |one| one.asked.event.actor.to_string()),
        &each(asking, |one| one.asked.event.address.map(|key| key.as_bytes().to_vec())) as &[Option<Vec<u8>>],
        &each(asking, |one| one.asked.event.trace_id.clone()) as &[Option<String>],
        &each(asking, |one| Value::from(one.asked.event.detail.clone()).to_string()),
        &addresses.refills(),
        tracked,
        starts.hour,
        starts.day,
        starts.month,
        first,
        last,
    )
    .fetch_all(connection)
    .await?;
    let mut passed = Passed::default();
    for row in rows {
        if let Some((scope, counter)) = row.counter() {
            passed.counters.insert(scope, counter);
        } else if let Some((id, begun)) = row.begun() {
            passed.begun.insert(id, begun);
        }
    }
    Ok(passed)
}

/// Which of the phones have a user.
pub(super) async fn accounts(
    connection: &mut PgConnection,
    asking: &[One<'_>],
) -> Result<HashSet<PhoneIndex>, StoreError> {
    let phones = asking.iter().map(|one| one.new.phone.as_bytes().to_vec());
    let phones: Vec<_> = phones.collect();
    let found = sqlx::query_scalar!(
        "SELECT phone_index FROM users WHERE phone_index = ANY ($1)",
        &phones,
    )
    .fetch_all(connection)
    .await?;
    let index = |found: Vec<u8>| {
        let index = PhoneIndex::try_from(found).ok();
        index.ok_or(StoreError::Corrupt("phone index"))
    };
    found.into_iter().map(index).collect()
}

impl Returned {
    fn begun(self) -> Option<(Uuid, (PhoneState, Option<AddressState>))> {
        let count = |count: Option<i32>| count.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        let address = self.full_at.zip(self.address_day);
        let address = address.map(|(full_at, day_start)| AddressState {
            full_at,
            day_start,
            phones: count(self.phones),
            countries: count(self.countries),
        });
        let phone = PhoneState {
            history: SendHistory {
                send_log: self.send_log?,
                cooldown_until: self.cooldown_until?,
            },
            locked_until: self.locked_until,
            failures_in_row: self.failures_in_row?,
            known: KnownHistory {
                send_log: self.known_send_log?,
                failure_log: self.known_failure_log?,
                failures_in_row: self.known_failures_in_row?,
            },
        };
        Some((self.id?, (phone, address)))
    }

    fn counter(&self) -> Option<(String, Counter)> {
        let counter = Counter {
            starts: Starts {
                hour: self.hour_start?,
                day: self.day_start?,
                month: self.month_start?,
            },
            messages: (self.hour_messages?.into(), self.day_messages?.into()),
            cost: (self.hour_cost?, self.day_cost?, self.month_cost?),
            unverified: (self.hour_unverified?.into(), self.day_unverified?.into()),
            best_day: self.best_day?.into(),
        };
        Some((self.scope.clone()?, counter))
    }
}

/// The counters that an SMS is in, as one text.
fn names(scopes: &[Scope]) -> String {
    let names: Vec<String> = scopes.iter().map(Scope::name).collect();
    names.join(" ")
}
