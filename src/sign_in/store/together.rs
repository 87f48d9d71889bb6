//! Using up many right codes by one statement: what the statement for one does, for all that come at the same time,
//! so that all of them wait for one commit. Off the counters they come after it (`credit.rs`).
//!
//! Whoever is not settled here is left as he was and goes his own way: somebody else has his phone, or nothing is to
//! be used up, or a session has to end for his.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::credit::{Used, credit};
use super::{Outcome, Tried};
use crate::database::StoreError;
use crate::limit::budget::Starts;
use crate::otp::Policy;
use crate::seats::kept::Kept;
use crate::seats::shared::Errand;
use crate::telemetry::Chain;

/// Uses them up.
pub(in crate::sign_in) struct Settlements {
    connection: Kept,
    policy: Policy,
}

impl Tried {
    /// Whether it can be settled together with others: it is right, and asks for all that its client may have.
    pub(in crate::sign_in) fn goes_together(&self) -> bool {
        self.right && self.session.wanted.is_all()
    }

    /// What `token_kids_with` makes of a session's first token: by which key it was signed, and its end.
    fn token_kids(&self) -> String {
        let draft = &self.session.draft;
        let end = draft.expires_at().min(self.session.expires_at);
        json!({ draft.kid(): end.timestamp() }).to_string()
    }
}

impl Errand for Settlements {
    type Item = Box<Tried>;
    /// `None` if nothing was done.
    type Done = (Box<Tried>, Result<Option<Outcome>, StoreError>);

    fn alone(tried: &Box<Tried>) -> Vec<Vec<u8>> {
        vec![tried.request.phone.as_bytes().to_vec()]
    }

    fn goes_with(first: &Box<Tried>, other: &Box<Tried>) -> bool {
        Starts::of(first.at) == Starts::of(other.at)
    }

    async fn carry_out(&self, all: Vec<Box<Tried>>) -> Vec<Self::Done> {
        let results: Vec<_> = match self.settle(&all).await {
            Err(error) => StoreError::of_all(error, all.len()),
            Ok(users) => {
                let user_of = |tried: &Tried| users.get(&tried.request.id.0).copied();
                let outcome = |user_id| Outcome::Right {
                    user_id,
                    made_room: false,
                };
                let users = all.iter().map(|tried| user_of(tried));
                users.map(|user| Ok(user.map(outcome))).collect()
            }
        };
        all.into_iter().zip(results).collect()
    }

    fn rest(&self) {
        self.connection.give_back();
    }
}

impl Settlements {
    /// Held against these rules.
    pub(in crate::sign_in) fn new(pool: PgPool, policy: Policy) -> Self {
        Self {
            connection: Kept::new(pool),
            policy,
        }
    }

    /// The users, by the requests whose codes were used up.
    #[expect(clippy::too_many_lines, reason = "one statement, which is one literal")]
    async fn settle(&self, all: &[Box<Tried>]) -> Result<BTreeMap<Uuid, Uuid>, StoreError> {
        fn each<T>(all: &[Box<Tried>], part: impl Fn(&Tried) -> T) -> Vec<T> {
            all.iter().map(|one| part(one)).collect()
        }
        // All of them have the same.
        let Some(first) = all.first() else {
            return Ok(BTreeMap::new());
        };
        let mut connection = self.connection.take().await?;
        let rows = sqlx::query!(
            r#"
            WITH tries AS MATERIALIZED (
                SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::timestamptz[], $4::bool[], $5::uuid[],
                    $6::bytea[], $7::uuid[], $8::text[], $9::text[], $10::uuid[], $11::text[], $12::text[],
                    $13::bytea[], $14::text[], $15::timestamptz[], $16::bytea[], $17::timestamptz[],
                    $18::bytea[], $19::text[])
                AS t (phone_index, request_id, at, proven, user_id, phone_sealed, session_id, client_id, amr,
                    event_id, action, actor, address_key, trace_id, expires_at, refresh_hash,
                    refresh_expires_at, seen_sealed, token_kids)
                -- No other login of this phone can be under way: it has one live request.
                WHERE NOT EXISTS (
                    SELECT FROM users AS u JOIN sessions AS s ON s.user_id = u.id
                    WHERE u.phone_index = t.phone_index AND s.ended_at IS NULL
                        AND coalesce(s.refresh_expires_at, s.expires_at) > t.at
                    OFFSET $20::bigint - 1)
            ), locked AS MATERIALIZED (
                SELECT phone_index FROM phone_throttles WHERE phone_index = ANY ($1)
                ORDER BY phone_index FOR UPDATE SKIP LOCKED
            ), used_up AS (
                UPDATE phone_throttles AS p SET live_request_id = NULL, failures_in_row = 0,
                    known_failures_in_row = 0, failure_log = '{}', known_failure_log = '{}', locks = 0,
                    locked_until = NULL
                FROM tries AS t JOIN locked USING (phone_index)
                WHERE p.phone_index = t.phone_index AND p.live_request_id = t.request_id
                    AND (t.proven OR (p.live_attempts < $21::int AND p.failures_in_row < $22::int
                        AND (p.locked_until IS NULL OR p.locked_until <= t.at)))
                RETURNING t.*, p.live_sends
            ), requests AS MATERIALIZED (
                -- In one order, as whoever changes several of them must.
                SELECT id FROM otp_requests WHERE id IN (SELECT request_id FROM used_up)
                ORDER BY id FOR UPDATE
            ), verified AS (
                UPDATE otp_requests AS r SET verified_at = t.at
                FROM used_up AS t JOIN requests AS o ON o.id = t.request_id WHERE r.id = t.request_id
                RETURNING r.id, r.created_at, r.counted_in, t.live_sends
            ), person AS (
                INSERT INTO users AS u (id, phone_index, phone_sealed, created_at, last_login_at)
                SELECT user_id, phone_index, phone_sealed, at, at FROM used_up ORDER BY phone_index
                ON CONFLICT (phone_index) DO UPDATE SET last_login_at = excluded.last_login_at
                RETURNING u.id AS person_id, u.phone_index
            ), logins AS MATERIALIZED (
                SELECT * FROM used_up JOIN person USING (phone_index)
            ), session AS (
                INSERT INTO sessions (id, user_id, client_id, created_at, amr, last_used_at, expires_at,
                    refresh_hash, refresh_expires_at, seen_sealed, token_kids)
                SELECT session_id, person_id, client_id, at, string_to_array(amr, ' '), at, expires_at,
                    refresh_hash, refresh_expires_at, seen_sealed, token_kids::jsonb
                FROM logins
            ), noted AS (
                INSERT INTO audit_events (id, at, action, outcome, actor, phone_index, address_key, user_id,
                    request_id, session_id, trace_id)
                SELECT event_id, at, action, 'success', actor, phone_index, address_key, person_id,
                    request_id, session_id, trace_id
                FROM logins
            )
            SELECT request_id AS "request_id!", person_id AS "person_id!", v.created_at AS "created_at!",
                v.counted_in AS "counted_in!", v.live_sends AS "sends!"
            FROM logins JOIN verified AS v ON v.id = request_id
            "#,
            &each(all, |one| one.request.phone.as_bytes().to_vec()),
            &each(all, |one| one.request.id.0),
            &each(all, |one| one.at),
            &each(all, |one| one.proven),
            &each(all, |one| one.user),
            &each(all, |one| one.request.phone_sealed.clone()),
            &each(all, |one| one.session.id),
            &each(all, |one| one.request.client.clone()),
            &each(all, |one| one.session.amr.join(" ")),
            &each(all, |one| one.noted.id),
            &each(all, |one| one.noted.action.name().to_owned()),
            &each(all, |one| one.noted.actor.to_string()),
            &each(all, |one| one.noted.origin.key.as_bytes().to_vec()),
            &each(all, |one| one.noted.origin.trace_id.clone()),
            &each(all, |one| one.session.expires_at),
            &each(all, |one| one.session.refresh.hash().as_bytes().to_vec()),
            &each(all, |one| one.session.refresh_expires_at),
            &each(all, |one| one.session.seen_sealed.clone()),
            &each(all, Tried::token_kids),
            first.sessions_per_user,
            self.policy.max_attempts,
            self.policy.failures.in_row,
        )
        .fetch_all(&mut *connection)
        .await?;
        let mut users = BTreeMap::new();
        let mut used = Vec::with_capacity(rows.len());
        for row in rows {
            users.insert(row.request_id, row.person_id);
            used.push(Used {
                created_at: row.created_at,
                counted_in: row.counted_in,
                sends: row.sends,
            });
        }
        // They are signed in, come what may.
        match credit(&mut connection, &used, Starts::of(first.at)).await {
            Ok(()) => self.connection.keep(connection),
            Err(error) => {
                tracing::error!(error = %Chain(&error), codes = used.len(), "used codes still count as unused");
            }
        }
        Ok(users)
    }
}
