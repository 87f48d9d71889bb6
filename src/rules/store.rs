//! All SQL on `access_rules`, `switches` and `operator_changes`.
//!
//! Every change first counts up `operator_changes`: its row's lock makes changes queue up, so that a
//! replica that sees a version sees every change up to it.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::switch::{Switch, SwitchState};
use super::target::Kind;
use super::{Listing, Verdict};
use crate::audit::{self, Action, Actor, Event, Outcome};
use crate::database::{self, StoreError};
use crate::operator::Change;
use crate::secrets::PhoneIndex;
use crate::session::{self, EndReason, Ending, Whose};

/// A rule as it is stored.
pub(super) struct StoredRule {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) value_key: Vec<u8>,
    pub(super) value_sealed: Vec<u8>,
    pub(super) verdict: String,
    pub(super) reason: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// A rule about to be stored.
pub(super) struct NewRow<'a> {
    /// Its id, unless there is a rule about the same thing.
    pub(super) id: Uuid,
    pub(super) kind: Kind,
    pub(super) value_key: &'a [u8],
    pub(super) value_sealed: &'a [u8],
    pub(super) verdict: Verdict,
    pub(super) reason: &'a str,
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// Whom it logs out.
    pub(super) banned: Option<Ban>,
}

/// A phone that is blocked, and the id of the event that its sessions ended.
#[derive(Clone, Copy)]
pub(super) struct Ban {
    pub(super) phone: PhoneIndex,
    pub(super) event: Uuid,
}

/// How many changes there were.
pub(super) async fn version(pool: &PgPool) -> Result<i64, StoreError> {
    let version = sqlx::query_scalar!("SELECT version FROM operator_changes");
    Ok(version.fetch_one(pool).await?)
}

/// Every rule there is.
pub(super) async fn rules(pool: &PgPool) -> Result<Vec<StoredRule>, StoreError> {
    let rules = sqlx::query_as!(
        StoredRule,
        "SELECT id, kind, value_key, value_sealed, verdict, reason, created_at, expires_at
         FROM access_rules",
    );
    Ok(rules.fetch_all(pool).await?)
}

/// Some rules, the newest first.
pub(super) async fn list(pool: &PgPool, listing: Listing) -> Result<Vec<StoredRule>, StoreError> {
    let rules = sqlx::query_as!(
        StoredRule,
        "SELECT id, kind, value_key, value_sealed, verdict, reason, created_at, expires_at
         FROM access_rules
         WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR verdict = $2)
            AND ($3::uuid IS NULL OR id < $3)
         ORDER BY id DESC LIMIT $4",
        listing.kind.map(Kind::name),
        listing.verdict.map(Verdict::name),
        listing.after,
        listing.most,
    );
    Ok(rules.fetch_all(pool).await?)
}

/// One rule.
pub(super) async fn find(pool: &PgPool, id: Uuid) -> Result<Option<StoredRule>, StoreError> {
    let rule = sqlx::query_as!(
        StoredRule,
        "SELECT id, kind, value_key, value_sealed, verdict, reason, created_at, expires_at
         FROM access_rules WHERE id = $1",
        id,
    );
    Ok(rule.fetch_optional(pool).await?)
}

/// Stores a rule. One about the same thing is replaced, and keeps its id and when it was made.
pub(super) async fn set(
    pool: &PgPool,
    rule: NewRow<'_>,
    change: Change<'_>,
    event: Uuid,
) -> Result<StoredRule, StoreError> {
    let mut tx = begin(pool).await?;
    let kept = sqlx::query_as!(
        StoredRule,
        "INSERT INTO access_rules
            (id, kind, value_key, value_sealed, verdict, reason, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT ON CONSTRAINT access_rules_value_key DO UPDATE SET
            verdict = excluded.verdict, reason = excluded.reason, expires_at = excluded.expires_at
         RETURNING id, kind, value_key, value_sealed, verdict, reason, created_at, expires_at",
        rule.id,
        rule.kind.name(),
        rule.value_key,
        rule.value_sealed,
        rule.verdict.name(),
        rule.reason,
        change.now,
        rule.expires_at,
    )
    .fetch_one(&mut *tx)
    .await?;
    record_rule(&mut tx, Action::RuleSet, &kept, change, event).await?;
    if let Some(ban) = rule.banned {
        log_out(&mut tx, ban, change).await?;
    }
    tx.commit().await?;
    Ok(kept)
}

/// Ends a phone's sessions. Its live code goes first: under that row's lock no login can be half done.
async fn log_out(
    tx: &mut Transaction<'static, Postgres>,
    ban: Ban,
    change: Change<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE phone_throttles SET live_request_id = NULL, superseded_request_id = NULL
         WHERE phone_index = $1",
        ban.phone.as_bytes(),
    )
    .execute(&mut **tx)
    .await?;
    let ending = Ending {
        reason: EndReason::PhoneBlocked,
        actor: Actor::from(change.by),
        trace_id: change.trace_id,
        address: None,
        now: change.now,
    };
    session::store::end(tx, Whose::Phone(ban.phone), &ending, ban.event).await?;
    Ok(())
}

/// Takes a rule away; whether there was one.
pub(super) async fn remove(
    pool: &PgPool,
    id: Uuid,
    change: Change<'_>,
    event: Uuid,
) -> Result<bool, StoreError> {
    let mut tx = begin(pool).await?;
    let removed = sqlx::query_as!(
        StoredRule,
        "DELETE FROM access_rules WHERE id = $1
         RETURNING id, kind, value_key, value_sealed, verdict, reason, created_at, expires_at",
        id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(removed) = removed else {
        // Nothing changed, and nothing is counted.
        tx.rollback().await?;
        return Ok(false);
    };
    record_rule(&mut tx, Action::RuleRemove, &removed, change, event).await?;
    tx.commit().await?;
    Ok(true)
}

/// One switch. One that nobody ever touched is off.
pub(super) async fn switch(pool: &PgPool, switch: Switch) -> Result<SwitchState, StoreError> {
    let row = sqlx::query!(
        "SELECT is_on, reason, changed_at FROM switches WHERE name = $1",
        switch.name(),
    );
    let row = row.fetch_optional(pool).await?;
    Ok(row.map_or_else(SwitchState::default, |row| SwitchState {
        on: row.is_on,
        reason: Some(row.reason),
        changed_at: Some(row.changed_at),
    }))
}

/// Turns a switch on or off.
pub(super) async fn set_switch(
    pool: &PgPool,
    switch: Switch,
    on: bool,
    reason: &str,
    change: Change<'_>,
    event: Uuid,
) -> Result<(), StoreError> {
    let mut tx = begin(pool).await?;
    sqlx::query!(
        "INSERT INTO switches (name, is_on, reason, changed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET
            is_on = excluded.is_on, reason = excluded.reason, changed_at = excluded.changed_at",
        switch.name(),
        on,
        reason,
        change.now,
    )
    .execute(&mut *tx)
    .await?;
    let switched = told(Action::SwitchSet, change)
        .with("switch", switch.name())
        .with("on", on);
    audit::store::insert(&mut *tx, event, change.now, &switched).await?;
    tx.commit().await?;
    Ok(())
}

/// Begins a change, behind the one before it.
async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, StoreError> {
    let mut tx = database::begin(pool).await?;
    sqlx::query!("UPDATE operator_changes SET version = version + 1")
        .execute(&mut *tx)
        .await?;
    Ok(tx)
}

/// What the audit log is told of a change.
fn told(action: Action, change: Change<'_>) -> Event {
    Event::new(action, Outcome::Success, Actor::from(change.by)).trace(change.trace_id)
}

async fn record_rule(
    tx: &mut Transaction<'static, Postgres>,
    action: Action,
    rule: &StoredRule,
    change: Change<'_>,
    id: Uuid,
) -> Result<(), StoreError> {
    let event = told(action, change)
        .with("rule_id", rule.id.to_string())
        .with("kind", rule.kind.as_str())
        .with("verdict", rule.verdict.as_str());
    audit::store::insert(&mut **tx, id, change.now, &event).await
}
