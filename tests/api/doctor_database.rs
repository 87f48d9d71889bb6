//! What `otp-auth doctor` says of the database.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use otp_auth::doctor::Level::{Fail, Ok as Good, Skip, Warn};
use otp_auth::doctor::database;
use otp_auth::doctor::gateway::Way;
use reqwest::Method;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Executor as _};
use tokio::net::TcpListener;

use crate::support::{PHONE, World, pooler};

const CHECKS: [&str; 9] = [
    "database.reach",
    "database.writable",
    "database.migrations",
    "database.connections",
    "database.round_trip",
    "database.clock",
    "database.rights",
    "database.timeouts",
    "database.listen",
];

async fn execute(world: &World, statement: &str) {
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    world.pool.execute(sqlx::raw_sql(statement)).await.unwrap();
}

#[sqlx::test]
async fn a_database_that_does_not_answer_stops_no_other_check(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let refused = world
        .patient(&[])
        .on("postgres://me:s3cret-word@127.0.0.1:9/x");
    let refused = refused.examine().await;
    refused.says("database.reach", Fail, "Connection refused");

    // Nobody ever speaks there, although the system accepts the call.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "postgres://me:s3cret-word@{}/x",
        silent.local_addr().unwrap()
    );
    let patient = world
        .patient(&[])
        .on(&url)
        .behind("http://127.0.0.1:9/", Way::Jwks);
    let silent = patient.patience(Duration::from_secs(3)).examine().await;
    silent.says("database.reach", Fail, "did not end within 3000 ms");

    silent.says("gateway.tokens", Skip, "needs the database");
    for found in [refused, silent] {
        for name in &CHECKS[1..] {
            found.says(name, Skip, "needs the database");
        }
        found.says("vendor.key", Good, "it is taken");
        found.says("keys.next", Skip, "needs the keys");
        assert!(!found.0.text().contains("s3cret-word"));
    }
}

#[sqlx::test]
async fn a_wrong_password_is_named_and_not_shown(_: PgPoolOptions, connect: PgConnectOptions) {
    let nobody = connect
        .clone()
        .username("nobody_here")
        .password("s3cret-word");
    let world = World::new(connect).await;
    let patient = world.patient(&[]).on(nobody.to_url_lossy().as_str());

    let found = patient.examine().await;

    found.says("database.reach", Fail, "PostgreSQL says: ");
    assert!(!found.0.text().contains("s3cret-word"));
    assert!(!found.0.json().contains("s3cret-word"));
}

#[sqlx::test]
async fn a_database_that_cannot_be_written_to_fails(_: PgPoolOptions, connect: PgConnectOptions) {
    let mut read_only = connect.to_url_lossy();
    let option = ("options[default_transaction_read_only]", "on");
    read_only.query_pairs_mut().append_pair(option.0, option.1);
    let world = World::new(connect).await;
    let patient = world.patient(&[]);
    patient
        .examine()
        .await
        .says("database.writable", Good, "primary");

    let found = patient.on(read_only.as_str()).examine().await;

    found.says("database.writable", Fail, "it is read-only");
}

#[sqlx::test]
async fn migrations_are_compared_with_this_programs(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let starts = world.patient(&[]);
    let waits = world.patient(&[("DATABASE__MIGRATE_ON_START", "false")]);
    starts
        .examine()
        .await
        .says("database.migrations", Good, "all ");

    execute(
        &world,
        "INSERT INTO _sqlx_migrations VALUES (20991231000001, 'later', now(), true, '', 0)",
    )
    .await;
    let newer = "applied by a newer version: 20991231000001";
    starts
        .examine()
        .await
        .says("database.migrations", Warn, newer);
    // It starts, which migrates what there is to migrate.
    world.instance().await;

    execute(
        &world,
        "DELETE FROM _sqlx_migrations WHERE version IN (20991231000001, 20261123000001)",
    )
    .await;
    let pending = "pending: 20261123000001";
    starts
        .examine()
        .await
        .says("database.migrations", Warn, pending);
    waits
        .examine()
        .await
        .says("database.migrations", Fail, "otp-auth migrate");

    execute(
        &world,
        "UPDATE _sqlx_migrations SET checksum = '' WHERE version = 20261123000002",
    )
    .await;
    let changed = "another text than this program's: 20261123000002";
    starts
        .examine()
        .await
        .says("database.migrations", Fail, changed);

    execute(
        &world,
        "UPDATE _sqlx_migrations SET success = false WHERE version = 20261123000003",
    )
    .await;
    let broken = "20261123000003 broke off";
    starts
        .examine()
        .await
        .says("database.migrations", Fail, broken);

    execute(&world, "DROP TABLE _sqlx_migrations").await;
    let pending = "pending: 20261123000001, 20261123000002";
    starts
        .examine()
        .await
        .says("database.migrations", Warn, pending);
}

#[sqlx::test]
async fn replicas_that_find_no_room_fail(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let settings = [("DATABASE__MAX_CONNECTIONS", "1000")];
    let few = world.patient(&[]).replicas(2).examine().await;
    few.says(
        "database.connections",
        Good,
        "18 wanted by 2 x (8 + 1), of ",
    );

    let many = world.patient(&settings).replicas(1000).examine().await;

    many.says(
        "database.connections",
        Fail,
        "1001000 wanted by 1000 x (1000 + 1), of ",
    );
}

#[sqlx::test]
async fn a_clock_that_drifts_is_seen(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    for (ahead, level, side) in [
        (3, Warn, " behind this machine's clock"),
        (-3, Warn, " ahead of this machine's clock"),
        (60, Fail, " behind this machine's clock"),
        (-60, Fail, " ahead of this machine's clock"),
    ] {
        let found = world.patient(&[]).ahead(ahead).examine().await;
        found.says("database.clock", level, side);
        found.says("vendor.clock", level, side);
    }
}

/// Whoever has the rights that are looked for can serve, and misses none; without one it is named.
#[sqlx::test]
async fn a_right_that_is_missing_is_named(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    execute(
        &world,
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM current_user",
    )
    .await;
    for (table, right) in database::rights() {
        execute(&world, &format!("GRANT {right} ON {table} TO current_user")).await;
    }
    let settings = [("DATABASE__MIGRATE_ON_START", "false")];
    let patient = world.patient(&settings);
    let found = patient.examine().await;
    found.says("database.rights", Good, "none is missing");
    let unread = "may not read _sqlx_migrations";
    found.says("database.migrations", Skip, unread);
    let starts = world.patient(&[]).examine().await;
    starts.says("database.migrations", Fail, unread);
    let app = world.instance_with(&settings, "").await;
    let login = world.log_in(&app, PHONE).await;
    let refreshed = app.refresh(&login.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    let token = refreshed.text("access_token");
    let ended = app.bearer(Method::DELETE, "/v1/sessions", &token).await;
    assert_eq!(ended.status, 204, "{}", ended.body);

    let revoke =
        "REVOKE DELETE ON users FROM current_user; REVOKE INSERT ON sessions FROM current_user";
    execute(&world, revoke).await;

    let missing = "missing: DELETE on users, INSERT on sessions";
    patient
        .examine()
        .await
        .says("database.rights", Fail, missing);
}

#[sqlx::test]
async fn every_table_is_among_those_looked_at(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let there = world
        .text(
            "SELECT string_agg(relname, ' ') FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                AND NOT relispartition AND relname <> '_sqlx_migrations'",
        )
        .await
        .unwrap();

    let there: BTreeSet<&str> = there.split(' ').collect();

    let looked_at: BTreeSet<&str> = database::rights().map(|(table, _)| table).collect();
    assert_eq!(looked_at, there);
}

#[sqlx::test]
async fn a_pooler_that_loses_notifications_is_seen(_: PgPoolOptions, connect: PgConnectOptions) {
    let server = format!("{}:{}", connect.get_host(), connect.get_port());
    let server: SocketAddr = server.parse().unwrap();
    let world = World::new(connect.clone()).await;
    world
        .patient(&[])
        .examine()
        .await
        .says("database.listen", Good, "came back");
    let pooler = pooler::start(server).await;
    let pooled = connect
        .clone()
        .host("127.0.0.1")
        .port(pooler.port())
        .ssl_mode(sqlx::postgres::PgSslMode::Disable);

    let found = world
        .patient(&[])
        .on(pooled.to_url_lossy().as_str())
        .examine()
        .await;

    found.says("database.listen", Warn, "database.direct_url");
    found.says("database.rights", Good, "none is missing");

    let direct = connect.to_url_lossy().to_string();
    let found = world
        .patient(&[("DATABASE__DIRECT_URL", &direct)])
        .on(pooled.to_url_lossy().as_str())
        .examine()
        .await;

    found.says("database.listen", Good, "came back");
    // The pool is the pooler's.
    found.says("database.connections", Good, "1 wanted by 1 x (0 + 1)");
}

#[sqlx::test]
async fn a_database_of_this_version_is_good(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    world.log_in(&app, PHONE).await;

    let found = world.patient(&[]).examine().await;

    for name in CHECKS {
        // How fast a loaded machine is, is not what is tested.
        if name != "database.round_trip" {
            found.says(name, Good, "");
        }
    }
}
