//! The connection pool, the migrations, and what a database error means for the caller.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool, Postgres, Transaction};

use crate::random::RandomUnavailable;

/// The migrations, compiled in. Running them takes an advisory lock, so replicas that start
/// together take turns.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Brings the tables up to this program's version.
///
/// Tables that a newer version brought further are good enough: it changed nothing that this one needs
/// (docs/upgrading.md), and while it is rolled out a replica of this version may have to start again.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    let mut ours = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    ours.set_ignore_missing(true);
    ours.run(pool).await
}

/// Names the connections of this service to PostgreSQL.
pub(crate) const SERVICE: &str = "otp-auth";
/// How long an idle connection is taken to stand without being asked.
const TRUSTED_WHILE: Duration = Duration::from_secs(1);
/// Least time to wait for the database when the program starts.
const STARTUP_PATIENCE: Duration = Duration::from_secs(10);

/// How to reach the database and how long to wait for it.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// `postgres://` address with its password.
    pub url: SecretString,
    /// Connections this process may hold.
    pub max_connections: u32,
    /// Longest wait for a connection before a request is refused.
    pub acquire_timeout: Duration,
    /// Longest time one statement may run.
    pub statement_timeout: Duration,
    /// Whether a pooler may stand between. It may refuse what it does not know.
    pub is_pooled: bool,
}

/// How statements are planned, all of which look rows up by their keys: once for each connection, and then by index.
///
/// PostgreSQL would rather plan anew, for the partitions that a call's values are in, each time: of a statement that
/// reads one request that took four times as long as reading it (`pg_stat_statements`, 134 and 30 microseconds). A plan
/// that is kept knows the tables as they were when it was made, maybe empty, so that it must not be one that reads all
/// of a table: neither by a scan, nor to join it. What cannot but scan seems expensive enough then to be compiled,
/// which takes longer by far.
const PLANS: [(&str, &str); 5] = [
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// What each connection is opened with, in milliseconds; 0 = none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// `statement_timeout`
    pub(crate) statement: i64,
    /// `idle_in_transaction_session_timeout`
    pub(crate) idle_in_transaction: i64,
}

impl DatabaseOptions {
    /// A process that stands still in the middle of a transaction must not keep all others from sending:
    /// they wait no longer than for a statement, so it loses its locks before they give up.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Timeouts {
            statement: millis(self.statement_timeout),
            idle_in_transaction: millis(self.statement_timeout / 2),
        }
    }
}

/// The timeouts that connections do have: a pooler may have left them out.
pub(crate) async fn timeouts(pool: &PgPool) -> Result<Timeouts, sqlx::Error> {
    sqlx::query_as!(
        Timeouts,
        r#"SELECT statement.setting::bigint AS "statement!", idle.setting::bigint AS "idle_in_transaction!"
         FROM pg_settings AS statement, pg_settings AS idle
         WHERE statement.name = 'statement_timeout' AND idle.name = 'idle_in_transaction_session_timeout'"#,
    )
    .fetch_one(pool)
    .await
}

/// A statement failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is shutting down or is out of connections: trying again
    /// later helps.
    #[error("the database is out of reach")]
    Unavailable(#[source] sqlx::Error),
    /// A defect: trying again does not help.
    #[error("a statement failed")]
    Broken(#[source] sqlx::Error),
    /// A row does not hold what this program writes there.
    #[error("a stored {0} is not valid")]
    Corrupt(&'static str),
    /// A row could not be given an id.
    #[error("no id could be made for a row")]
    NoId(#[from] RandomUnavailable),
    /// What was done for several calls at once failed, for each of them.
    #[error(transparent)]
    Together(Arc<StoreError>),
}

impl StoreError {
    /// The same for each of so many calls.
    pub(crate) fn of_all<T>(error: Self, calls: usize) -> Vec<Result<T, Self>> {
        let error = Arc::new(error);
        let failed = || Err(Self::Together(Arc::clone(&error)));
        std::iter::repeat_with(failed).take(calls).collect()
    }

    /// Whether trying again later helps.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Together(error) => error.is_outage(),
            Self::Broken(_) | Self::Corrupt(_) | Self::NoId(_) => false,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_outage(&error) {
            Self::Unavailable(error)
        } else {
            Self::Broken(error)
        }
    }
}

/// How the service connects.
pub(crate) fn connect_options(options: &DatabaseOptions) -> Result<PgConnectOptions, sqlx::Error> {
    let timeouts = options.timeouts();
    let connect = options
        .url
        .expose_secret()
        .parse::<PgConnectOptions>()?
        .application_name(SERVICE)
        .options([
            ("statement_timeout", timeouts.statement),
            (
                "idle_in_transaction_session_timeout",
                timeouts.idle_in_transaction,
            ),
        ]);
    Ok(if options.is_pooled {
        connect
    } else {
        connect.options(PLANS)
    })
}

/// Opens a pool; no connection is made before the first statement.
pub fn pool(options: &DatabaseOptions) -> Result<PgPool, sqlx::Error> {
    let connect = connect_options(options)?;
    Ok(PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        // A round trip on every use would double what a call costs; only a connection that has
        // been idle is asked first whether it still stands.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= TRUSTED_WHILE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(connect))
}

/// Begins a transaction. What it takes to connect is 15 kB of future, which a call that waits for it would carry
/// along from its start, and move.
pub(crate) fn begin(
    pool: &PgPool,
) -> BoxFuture<'_, Result<Transaction<'static, Postgres>, sqlx::Error>> {
    Box::pin(pool.begin())
}

/// Opens a pool of one connection for what is done once at start: a migration may take longer than
/// a request's statement may, and a machine that starts may be slow to connect.
pub async fn startup_pool(options: &DatabaseOptions) -> Result<PgPool, sqlx::Error> {
    let connect = options.url.expose_secret().parse::<PgConnectOptions>()?;
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(options.acquire_timeout.max(STARTUP_PATIENCE))
        .connect_with(connect)
        .await
}

fn is_outage(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
        );
    };
    // PostgreSQL, appendix A: class 08 connection, 28 authorization, 3D no such database,
    // 25P03 a transaction that stood still, 40 one that stood in another's way, 53 resources, 55 a database that
    // takes no connections, 57 operator intervention (57014 is a statement that ran into its timeout); 25006 is a
    // standby, which is read-only.
    error.code().is_some_and(|code| {
        let classes = ["08", "28", "3D", "40", "53", "55", "57"];
        ["25006", "25P03"].contains(&code.as_ref())
            || classes.iter().any(|class| code.starts_with(class))
    })
}
