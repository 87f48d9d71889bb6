//! The statements that remove rows. Each decides again, on the locked row, what it found over.

use chrono::{DateTime, Days, Months, NaiveTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::database::StoreError;
use crate::retention::Policy;
use crate::retention::walk::BATCH;

/// How long a request stays after its partition ended. Nothing asks for one later than 30 minutes after its
/// last SMS (`otp/deliveries.rs`), and "expired rows are gone within 24 hours".
const REQUESTS: TimeDelta = TimeDelta::hours(12);
/// How long a session stays after its end: a repeated verify finds it for 15 minutes.
const SESSIONS: TimeDelta = TimeDelta::hours(1);
/// Longer than any limit of a phone looks back (a day) or holds (a day).
const PHONES: TimeDelta = TimeDelta::hours(25);
/// How long wrong codes count for a phone that nobody logged in with. It has no account that could be taken
/// over; NIST SP 800-63B-4 section 3.2.2 counts the failures of an account. Our own figure.
const NOBODY: TimeDelta = TimeDelta::days(30);
/// How far budgets look back (`sms_counters.verified_before`), in days, and the day itself.
const COUNTERS: Days = Days::new(14);
/// How long a rule stays in the operators' list after it expired. Our own figure.
const RULES: TimeDelta = TimeDelta::days(30);

/// What is over at one moment.
pub(in crate::retention) struct Cutoffs {
    pub(in crate::retention) now: DateTime<Utc>,
    pub(in crate::retention) requests: DateTime<Utc>,
    pub(in crate::retention) audit: DateTime<Utc>,
    today: DateTime<Utc>,
    reuse: DateTime<Utc>,
    failures_in_row: i32,
}

impl Cutoffs {
    pub(in crate::retention) fn of(now: DateTime<Utc>, policy: &Policy) -> Self {
        Self {
            now,
            requests: now - REQUESTS,
            audit: now - policy.audit,
            today: now.date_naive().and_time(NaiveTime::MIN).and_utc(),
            reuse: now - policy.reuse_grace,
            failures_in_row: policy.failures_in_row,
        }
    }
}

/// What a batch of a walk did.
pub(in crate::retention) struct Step {
    /// The last key it looked at.
    pub(in crate::retention) last: Option<Vec<u8>>,
    pub(in crate::retention) seen: i64,
    pub(in crate::retention) removed: i64,
}

/// Removes a batch of what an index finds; returns how many rows, by table.
pub(in crate::retention) async fn remove_by_index(
    pool: &PgPool,
    cutoffs: &Cutoffs,
) -> Result<[(&'static str, u64); 2], StoreError> {
    let spent = sqlx::query!(
        "DELETE FROM spent_refresh_tokens WHERE token_hash IN (
             SELECT token_hash FROM spent_refresh_tokens WHERE spent_at <= $1
             ORDER BY spent_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        cutoffs.reuse,
        BATCH * 10,
    )
    .execute(pool)
    .await?;
    let revocations = sqlx::query!(
        "DELETE FROM revocations WHERE cursor IN (
             SELECT cursor FROM revocations WHERE expires_at <= $1
             ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        cutoffs.now,
        BATCH * 10,
    )
    .execute(pool)
    .await?;
    Ok([
        ("spent_refresh_tokens", spent.rows_affected()),
        ("revocations", revocations.rows_affected()),
    ])
}

/// Removes what there are few of; returns how many rows, by table.
pub(in crate::retention) async fn remove_seldom(
    pool: &PgPool,
    cutoffs: &Cutoffs,
) -> Result<[(&'static str, u64); 2], StoreError> {
    let warnings = sqlx::query!(
        "DELETE FROM spend_warnings WHERE period_start < $1",
        cutoffs.now.checked_sub_months(Months::new(2)),
    )
    .execute(pool)
    .await?;
    let rules = sqlx::query!(
        "DELETE FROM access_rules WHERE expires_at < $1",
        cutoffs.now - RULES,
    )
    .execute(pool)
    .await?;
    Ok([
        ("spend_warnings", warnings.rows_affected()),
        ("access_rules", rules.rows_affected()),
    ])
}

pub(in crate::retention) async fn phone_throttles(
    pool: &PgPool,
    after: &[u8],
    cutoffs: &Cutoffs,
) -> Result<Step, StoreError> {
    let step = sqlx::query_as!(
        Step,
        r#"
        WITH seen AS MATERIALIZED (
            SELECT phone_index FROM phone_throttles WHERE phone_index > $1
            ORDER BY phone_index LIMIT $2
        ), over AS (
            SELECT p.phone_index FROM seen JOIN phone_throttles AS p USING (phone_index)
            WHERE p.cooldown_until <= $3 AND (p.locked_until IS NULL OR p.locked_until <= $3)
                AND NOT EXISTS (
                    SELECT FROM unnest(p.send_log || p.known_send_log || p.failure_log
                        || p.known_failure_log) AS happened
                    WHERE happened > CASE
                        WHEN p.failures_in_row = 0 AND p.known_failures_in_row = 0 AND p.locks = 0
                        THEN $4::timestamptz ELSE $5 END)
                AND ((p.failures_in_row = 0 AND p.known_failures_in_row = 0 AND p.locks = 0)
                    OR (p.failures_in_row < $6 AND p.known_failures_in_row < $6
                        AND NOT EXISTS (SELECT FROM users AS u WHERE u.phone_index = p.phone_index)))
            FOR UPDATE OF p SKIP LOCKED
        ), gone AS (
            DELETE FROM phone_throttles WHERE phone_index IN (SELECT phone_index FROM over)
            RETURNING true
        )
        SELECT (SELECT phone_index FROM seen ORDER BY phone_index DESC LIMIT 1) AS last,
            (SELECT count(*) FROM seen) AS "seen!", (SELECT count(*) FROM gone) AS "removed!"
        "#,
        after,
        BATCH,
        cutoffs.now,
        cutoffs.now - PHONES,
        cutoffs.now - NOBODY,
        cutoffs.failures_in_row,
    );
    Ok(step.fetch_one(pool).await?)
}

pub(in crate::retention) async fn address_throttles(
    pool: &PgPool,
    after: &[u8],
    cutoffs: &Cutoffs,
) -> Result<Step, StoreError> {
    let step = sqlx::query_as!(
        Step,
        r#"
        WITH seen AS MATERIALIZED (
            SELECT address_key FROM address_throttles WHERE address_key > $1
            ORDER BY address_key LIMIT $2
        ), over AS (
            SELECT a.address_key FROM seen JOIN address_throttles AS a USING (address_key)
            WHERE a.day_start < $4
                AND NOT EXISTS (SELECT FROM unnest(a.full_at) AS full_at WHERE full_at > $3)
            FOR UPDATE OF a SKIP LOCKED
        ), gone AS (
            DELETE FROM address_throttles WHERE address_key IN (SELECT address_key FROM over)
            RETURNING true
        )
        SELECT (SELECT address_key FROM seen ORDER BY address_key DESC LIMIT 1) AS last,
            (SELECT count(*) FROM seen) AS "seen!", (SELECT count(*) FROM gone) AS "removed!"
        "#,
        after,
        BATCH,
        cutoffs.now,
        cutoffs.today,
    );
    Ok(step.fetch_one(pool).await?)
}

pub(in crate::retention) async fn idempotency_keys(
    pool: &PgPool,
    after: &[u8],
    cutoffs: &Cutoffs,
) -> Result<Step, StoreError> {
    // A lease without end is none (`idempotency.rs`).
    let step = sqlx::query_as!(
        Step,
        r#"
        WITH seen AS MATERIALIZED (
            SELECT fingerprint FROM idempotency_keys WHERE fingerprint > $1
            ORDER BY fingerprint LIMIT $2
        ), over AS (
            SELECT i.fingerprint FROM seen JOIN idempotency_keys AS i USING (fingerprint)
            WHERE i.expires_at <= $3
                AND (i.reply IS NOT NULL OR i.lease_until <= $3 OR i.lease_until = 'infinity')
            FOR UPDATE OF i SKIP LOCKED
        ), gone AS (
            DELETE FROM idempotency_keys WHERE fingerprint IN (SELECT fingerprint FROM over)
            RETURNING true
        )
        SELECT (SELECT fingerprint FROM seen ORDER BY fingerprint DESC LIMIT 1) AS last,
            (SELECT count(*) FROM seen) AS "seen!", (SELECT count(*) FROM gone) AS "removed!"
        "#,
        after,
        BATCH,
        cutoffs.now,
    );
    Ok(step.fetch_one(pool).await?)
}

pub(in crate::retention) async fn sessions(
    pool: &PgPool,
    after: &[u8],
    cutoffs: &Cutoffs,
) -> Result<Step, StoreError> {
    let step = sqlx::query!(
        r#"
        WITH seen AS MATERIALIZED (
            SELECT id FROM sessions WHERE id > $1 ORDER BY id LIMIT $2
        ), over AS (
            SELECT s.id FROM seen JOIN sessions AS s USING (id)
            WHERE least(s.ended_at, s.expires_at, s.refresh_expires_at) <= $4
                AND tokens_end(s.token_kids, s.created_at) <= $3
            FOR UPDATE OF s SKIP LOCKED
        ), gone AS (
            DELETE FROM sessions WHERE id IN (SELECT id FROM over) RETURNING true
        )
        SELECT (SELECT id FROM seen ORDER BY id DESC LIMIT 1) AS last,
            (SELECT count(*) FROM seen) AS "seen!", (SELECT count(*) FROM gone) AS "removed!"
        "#,
        Uuid::from_slice(after).unwrap_or(Uuid::nil()),
        BATCH,
        cutoffs.now,
        cutoffs.now - SESSIONS,
    );
    let step = step.fetch_one(pool).await?;
    Ok(Step {
        last: step.last.map(|id| id.as_bytes().to_vec()),
        seen: step.seen,
        removed: step.removed,
    })
}

/// Not those of the service, of clients and of countries: they are few, and have ceilings by the month.
pub(in crate::retention) async fn sms_counters(
    pool: &PgPool,
    after: &[u8],
    cutoffs: &Cutoffs,
) -> Result<Step, StoreError> {
    let after = String::from_utf8_lossy(after);
    let step = sqlx::query!(
        r#"
        WITH seen AS MATERIALIZED (
            SELECT scope FROM sms_counters WHERE scope > $1 ORDER BY scope LIMIT $2
        ), over AS (
            SELECT c.scope FROM seen JOIN sms_counters AS c USING (scope)
            WHERE c.day_start < $3 AND (c.scope LIKE 'prefix:%' OR c.scope LIKE 'address:%')
            FOR UPDATE OF c SKIP LOCKED
        ), gone AS (
            DELETE FROM sms_counters WHERE scope IN (SELECT scope FROM over) RETURNING true
        )
        SELECT (SELECT scope FROM seen ORDER BY scope DESC LIMIT 1) AS last,
            (SELECT count(*) FROM seen) AS "seen!", (SELECT count(*) FROM gone) AS "removed!"
        "#,
        &*after,
        BATCH,
        cutoffs.today.checked_sub_days(COUNTERS),
    );
    let step = step.fetch_one(pool).await?;
    Ok(Step {
        last: step.last.map(String::into_bytes),
        seen: step.seen,
        removed: step.removed,
    })
}
