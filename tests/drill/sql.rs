//! What the drill asks the database. All its SQL is here, so that a change to a table has one place to
//! look at; columns that a version of the program may lack are looked for first.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, raw_sql};

/// Seconds after which nothing can still be worked on: a lease, however it is computed, is a few waits
/// for the database and one for the provider, which add up to less than two seconds here.
const LEASE_SECONDS: u32 = 10;

/// A connection for questions. The clock is the database's, which is that of this machine.
pub(crate) struct Questions(PgConnection);

impl Questions {
    pub(crate) async fn connect(url: &str) -> sqlx::Result<Self> {
        Ok(Self(PgConnection::connect(url).await?))
    }

    /// Requests whose SMS was to be sent, and whose lease is over without a word of what became of it.
    pub(crate) async fn stuck_requests(&mut self) -> sqlx::Result<u64> {
        let over = if self.has_column("otp_requests", "due_at").await? {
            "coalesce(due_at, created_at) < now()".to_owned()
        } else {
            format!("created_at < now() - interval '{LEASE_SECONDS} seconds'")
        };
        let of_queued = format!("FROM otp_requests WHERE delivery = 'queued' AND {over}");
        self.count(&of_queued).await
    }

    /// Requests that are still being sent, or were never finished.
    pub(crate) async fn queued_requests(&mut self) -> sqlx::Result<u64> {
        self.count("FROM otp_requests WHERE delivery = 'queued'")
            .await
    }

    /// Keys without an answer whose lease is over.
    pub(crate) async fn stuck_keys(&mut self) -> sqlx::Result<u64> {
        let over = if self.has_column("idempotency_keys", "lease_until").await? {
            "coalesce(lease_until, now()) <= now()"
        } else {
            "true"
        };
        let of_open = format!("FROM idempotency_keys WHERE reply IS NULL AND {over}");
        self.count(&of_open).await
    }

    /// Keys without an answer.
    pub(crate) async fn open_keys(&mut self) -> sqlx::Result<u64> {
        self.count("FROM idempotency_keys WHERE reply IS NULL")
            .await
    }

    /// How many sends of each phone are counted, by blind index.
    pub(crate) async fn sends_counted(&mut self) -> sqlx::Result<HashMap<Vec<u8>, u64>> {
        let each = "SELECT phone_index, cardinality(send_log)::bigint FROM phone_throttles";
        self.by_phone(each).await
    }

    /// How many sessions each phone has, by blind index.
    pub(crate) async fn sessions(&mut self) -> sqlx::Result<HashMap<Vec<u8>, u64>> {
        let each = "SELECT u.phone_index, count(*) FROM sessions AS s JOIN users AS u \
                    ON u.id = s.user_id GROUP BY u.phone_index";
        self.by_phone(each).await
    }

    /// Connections of the service that have a transaction open and do nothing in it.
    pub(crate) async fn idle_in_transaction(&mut self) -> sqlx::Result<u64> {
        let idle = "FROM pg_stat_activity WHERE application_name = 'otp-auth' \
                    AND state LIKE 'idle in transaction%'";
        self.count(idle).await
    }

    /// Connections of the service that are in a transaction of more than a second.
    pub(crate) async fn long_transactions(&mut self) -> sqlx::Result<u64> {
        let long = "FROM pg_stat_activity WHERE application_name = 'otp-auth' \
                    AND now() - xact_start > interval '1 second'";
        self.count(long).await
    }

    async fn count(&mut self, of: &str) -> sqlx::Result<u64> {
        let question = raw_sql(AssertSqlSafe(format!("SELECT count(*) {of}")));
        number(&self.0.fetch_one(question).await?, 0)
    }

    async fn has_column(&mut self, table: &str, column: &str) -> sqlx::Result<bool> {
        let of = format!(
            "FROM information_schema.columns WHERE table_name = '{table}' AND column_name = '{column}'"
        );
        Ok(self.count(&of).await? > 0)
    }

    async fn by_phone(&mut self, question: &'static str) -> sqlx::Result<HashMap<Vec<u8>, u64>> {
        let rows = self.0.fetch_all(raw_sql(question)).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, number(row, 1)?)))
            .collect()
    }
}

/// A count, which is never negative.
fn number(row: &PgRow, column: usize) -> sqlx::Result<u64> {
    row.try_get::<i64, _>(column).map(i64::unsigned_abs)
}
