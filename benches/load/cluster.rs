//! The PostgreSQL that both sides work on: one server, and a database of its own for each run.

use otp_auth::dev::postgres::{DataDir, PostgresOptions, PrivatePostgres};
use otp_auth::random::SystemRandom;
use secrecy::ExposeSecret as _;
use sqlx::{
    AssertSqlSafe, Connection as _, Decode, Executor as _, PgConnection, Postgres, Row as _, Type,
    raw_sql,
};

use crate::Failure;
use crate::floor;
use crate::process::family_seconds;

/// The floor's tables, empty.
pub(crate) const FLOOR: &str = "floor_empty";
/// The service's.
pub(crate) const SERVICE: &str = "service_empty";

pub(crate) struct Cluster {
    postgres: PrivatePostgres,
}

impl Cluster {
    /// PostgreSQL as it comes: what is committed is on the disk.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let options = PostgresOptions {
            data: DataDir::ThrowAway,
            durable: true,
            max_connections: 100,
            settings: &[],
        };
        let postgres = PrivatePostgres::start(options, &SystemRandom).await?;
        let cluster = Self { postgres };
        cluster
            .execute("otp_auth", format!("CREATE DATABASE {FLOOR}"))
            .await?;
        cluster
            .execute("otp_auth", format!("CREATE DATABASE {SERVICE}"))
            .await?;
        cluster.execute(FLOOR, floor::TABLE.to_owned()).await?;
        Ok(cluster)
    }

    /// The address of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        let url = self.postgres.url();
        let (server, _) = url.expose_secret().rsplit_once('/').unwrap_or_default();
        format!("{server}/{database}")
    }

    /// A new copy of a database.
    pub(crate) async fn copy(&self, of: &str) -> Result<String, Failure> {
        let name = format!("copy_of_{of}");
        self.execute("otp_auth", format!("DROP DATABASE IF EXISTS {name}"))
            .await?;
        self.execute("otp_auth", format!("CREATE DATABASE {name} TEMPLATE {of}"))
            .await?;
        Ok(name)
    }

    /// Executes statements in a database, each in a transaction of its own.
    pub(crate) async fn execute(&self, database: &str, sql: String) -> Result<(), Failure> {
        let mut connection = PgConnection::connect(&self.url(database)).await?;
        connection.execute(raw_sql(AssertSqlSafe(sql))).await?;
        Ok(connection.close().await?)
    }

    /// Asks for one value.
    pub(crate) async fn ask<T>(&self, database: &str, sql: &str) -> Result<T, Failure>
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let mut connection = PgConnection::connect(&self.url(database)).await?;
        let row = connection
            .fetch_one(raw_sql(AssertSqlSafe(sql.to_owned())))
            .await?;
        let value = row.try_get(0)?;
        connection.close().await?;
        Ok(value)
    }

    /// Bytes that it has written ahead of its tables.
    pub(crate) async fn wal_bytes(&self) -> Result<i64, Failure> {
        self.ask(
            "otp_auth",
            "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint",
        )
        .await
    }

    /// The processor time of the server, in seconds.
    pub(crate) async fn processor_seconds(&self) -> Result<f64, Failure> {
        let mut connection = PgConnection::connect(&self.url("otp_auth")).await?;
        let row = connection.fetch_one(raw_sql("SELECT pg_backend_pid()"));
        let backend: i32 = row.await?.try_get(0)?;
        // Looked at while the backend is there: its parent is the server.
        let used = family_seconds(u32::try_from(backend)?);
        connection.close().await?;
        used
    }

    /// A setting or the version, as PostgreSQL shows it.
    pub(crate) async fn show(&self, name: &str) -> Result<String, Failure> {
        self.ask("otp_auth", &format!("SHOW {name}")).await
    }

    pub(crate) async fn stop(self) -> Result<(), Failure> {
        Ok(self.postgres.stop().await?)
    }
}
