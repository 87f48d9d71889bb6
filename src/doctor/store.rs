//! All SQL of the checks. Nothing here changes anything.

use chrono::{DateTime, Utc};
use sqlx::migrate::{Migrate as _, MigrateError};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::database::{self, DatabaseOptions, MIGRATIONS, SERVICE};

/// Names the connections of the checks to PostgreSQL.
const DOCTOR: &str = "otp-auth-doctor";
/// Connections of the checks, at most: a notification needs two, and a server that has few left should
/// keep them for its users.
const CONNECTIONS: u32 = 3;
/// PostgreSQL's names (appendix A) for a table that is not there, and for one that this user may not read.
const UNDEFINED_TABLE: &str = "42P01";
const NO_RIGHT: &str = "42501";

/// Opens a pool; no connection is made before the first statement.
pub(super) fn pool(options: &DatabaseOptions) -> Result<PgPool, sqlx::Error> {
    Ok(PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(options.acquire_timeout)
        .connect_lazy_with(connect_options(options)?))
}

/// As the service connects, but for the name.
fn connect_options(options: &DatabaseOptions) -> Result<PgConnectOptions, sqlx::Error> {
    Ok(database::connect_options(options)?.application_name(DOCTOR))
}

/// The server at the other end.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Such as 150004.
    pub(super) number: i32,
    /// As it shows it.
    pub(super) version: String,
    pub(super) is_standby: bool,
    pub(super) is_read_only: bool,
}

/// Connects without a pool, which would hide why it cannot, and asks who is there.
pub(super) async fn server(options: &DatabaseOptions) -> Result<Server, sqlx::Error> {
    let connect = connect_options(options)?;
    let mut connection = PgConnection::connect_with(&connect).await?;
    let server = sqlx::query_as!(
        Server,
        r#"SELECT current_setting('server_version_num')::integer AS "number!",
            current_setting('server_version') AS "version!",
            pg_is_in_recovery() AS "is_standby!",
            current_setting('transaction_read_only')::boolean AS "is_read_only!""#,
    );
    let server = server.fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(server)
}

/// What the database's clock says.
pub(super) async fn now(connection: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
        .fetch_one(connection)
        .await
}

/// Who holds how many connections of how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connections {
    /// What users may have in all, of this database and as this user.
    pub(super) most: i32,
    /// Those of this service.
    pub(super) ours: i64,
    /// Those of everybody else, in all databases.
    pub(super) others: i64,
}

pub(super) async fn connections(pool: &PgPool) -> Result<Connections, sqlx::Error> {
    sqlx::query_as!(
        Connections,
        r#"SELECT least(
                current_setting('max_connections')::integer
                    - current_setting('superuser_reserved_connections')::integer
                    - coalesce(current_setting('reserved_connections', true)::integer, 0),
                (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()),
                (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
            ) AS "most!",
            ours AS "ours!",
            (SELECT coalesce(sum(numbackends), 0)::bigint FROM pg_stat_database)
                - ours - doctors AS "others!"
         FROM (SELECT count(*) FILTER (WHERE application_name = $1) AS ours,
                count(*) FILTER (WHERE application_name = $2) AS doctors
            FROM pg_stat_activity WHERE usename = current_user) AS by_name"#,
        SERVICE,
        DOCTOR,
    )
    .fetch_one(pool)
    .await
}

/// Which of these rights to tables this user lacks; those to tables that are not there are not told.
pub(super) async fn missing_rights(
    pool: &PgPool,
    tables: &[String],
    rights: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT needed.right || ' on ' || needed.table AS "missing!"
         FROM unnest($1::text[], $2::text[]) AS needed ("table", "right")
         WHERE NOT has_table_privilege(to_regclass(needed.table), needed.right)
         ORDER BY 1"#,
        tables,
        rights,
    )
    .fetch_all(pool)
    .await
}

/// What migrations left in the database.
#[derive(Clone, Debug, Default)]
pub(super) struct Applied {
    /// Version and checksum.
    pub(super) migrations: Vec<(i64, Vec<u8>)>,
    /// One that broke off.
    pub(super) broken: Option<i64>,
}

/// `None` if this user may not know.
pub(super) async fn applied(pool: &PgPool) -> Result<Option<Applied>, MigrateError> {
    let mut connection = pool.acquire().await?;
    let table = &MIGRATIONS.table_name;
    let migrations = match connection.list_applied_migrations(table).await {
        Err(MigrateError::Execute(sqlx::Error::Database(error))) => {
            return match error.code().as_deref() {
                Some(UNDEFINED_TABLE) => Ok(Some(Applied::default())),
                Some(NO_RIGHT) => Ok(None),
                _ => Err(sqlx::Error::Database(error).into()),
            };
        }
        migrations => migrations?,
    };
    let migrations = migrations.into_iter();
    Ok(Some(Applied {
        migrations: migrations
            .map(|one| (one.version, one.checksum.into_owned()))
            .collect(),
        broken: connection.dirty_version(table).await?,
    }))
}

/// Listens on a channel.
pub(super) async fn listen(pool: &PgPool, channel: &str) -> Result<PgListener, sqlx::Error> {
    let mut ear = PgListener::connect_with(pool).await?;
    ear.listen(channel).await?;
    Ok(ear)
}

/// Sends a word over another connection, and waits until it is heard.
pub(super) async fn hear(
    pool: &PgPool,
    ear: &mut PgListener,
    channel: &str,
    word: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_notify($1, $2)", channel, word)
        .execute(pool)
        .await?;
    while ear.recv().await?.payload() != word {}
    Ok(())
}
