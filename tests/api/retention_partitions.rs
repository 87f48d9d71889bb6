//! Partitions by time: made ahead, dropped whole, and in nobody's way.

use chrono::{DateTime, TimeDelta, Utc};
use otp_auth::audit::{Action, Actor, Event, Outcome};
use otp_auth::clock::Clock as _;
use otp_auth::database::MIGRATIONS;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::support::{OFTEN, OTHER_PHONE, PHONE, World};

/// Seconds.
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// The migration that made them.
const MADE: i64 = 20_261_128_000_001;

/// The partition of a time.
fn slot(time: DateTime<Utc>) -> String {
    let hour = time.timestamp().rem_euclid(DAY) / HOUR / 8 * 8;
    format!("otp_requests_{}_{hour:02}", time.format("%Y%m%d"))
}

async fn partition_of(world: &World, request: &str) -> Option<String> {
    world
        .text(&format!(
            "SELECT tableoid::regclass FROM otp_requests WHERE id = '{request}'"
        ))
        .await
}

async fn is_there(world: &World, table: &str) -> bool {
    let there = format!("to_regclass('{table}') IS NOT NULL");
    world.text(&there).await.as_deref() == Some("true")
}

enum Table {
    IsThere,
    IsGone,
}

/// After what stood in its way for a moment the service tries again.
async fn until(world: &World, table: &str, state: Table) {
    let state = match state {
        Table::IsThere => "IS NOT NULL",
        Table::IsGone => "IS NULL",
    };
    let is = format!("to_regclass('{table}') {state}");
    world.until(&is).await;
}

#[sqlx::test]
async fn a_request_is_in_the_partition_of_its_time_and_leaves_with_it(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let app = world.instance_with(&OFTEN, "").await.leading().await;
    let early = app.sent(PHONE).await;
    let first = slot(world.clock.now());
    assert_eq!(partition_of(&world, &early).await, Some(first.clone()));

    // All over a day there is a partition for now, and for the next day.
    for hours in [4, 4, 4, 4, 3] {
        world.later(&app, hours * HOUR).await;
        let now = world.clock.now();
        until(&world, &slot(now), Table::IsThere).await;
        let ahead = now + TimeDelta::hours(24);
        until(&world, &slot(ahead), Table::IsThere).await;
        assert_eq!(app.report(&early).await.status, 200, "{now}");
    }
    let late = app.sent(OTHER_PHONE).await;
    world.later(&app, HOUR).await;

    until(&world, &first, Table::IsGone).await;
    assert_eq!(app.report(&early).await.status, 400);
    assert_eq!(app.report(&late).await.status, 200);
    let metrics = app.admin_get("/metrics").await.body;
    let none = "otp_auth_retention_partitions_dropped_total{table=\"otp_requests\"} 0\n";
    assert!(!metrics.contains(none));
}

/// A dump, a report, somebody at psql.
#[sqlx::test]
async fn who_reads_for_long_keeps_nobody_from_sending_and_the_partition_goes_later(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let app = world.instance_with(&OFTEN, "").await.leading().await;
    app.sent(PHONE).await;
    let first = slot(world.clock.now());
    let mut reader = PgConnection::connect_with(&world.connect).await.unwrap();
    reader.execute("BEGIN").await.unwrap();
    let read = reader.execute("SELECT FROM otp_requests").await.unwrap();
    assert_eq!(read.rows_affected(), 1);

    world.later(&app, 21 * HOUR).await;
    assert!(is_there(&world, &first).await);
    world.log_in(&app, PHONE).await;

    reader.execute("COMMIT").await.unwrap();
    world.later(&app, 61).await;
    until(&world, &first, Table::IsGone).await;
}

#[sqlx::test]
async fn a_request_that_came_while_nobody_made_partitions_works_and_moves_later(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    // Somebody has the lease and does nothing.
    let stuck = "INSERT INTO leases VALUES ('retention', gen_random_uuid(), 'infinity')";
    world.pool.execute(stuck).await.unwrap();
    let app = world.instance_with(&OFTEN, "").await;
    world.clock.advance(10 * DAY);
    world.log_in(&app, PHONE).await;
    let request = app.sent(PHONE).await;
    let in_default = Some("otp_requests_default".to_owned());
    assert_eq!(partition_of(&world, &request).await, in_default);

    world.pool.execute("DELETE FROM leases").await.unwrap();
    let app = app.leading().await;

    let partition = partition_of(&world, &request).await;
    assert_eq!(partition, Some(slot(world.clock.now())));
    let answer = app.verify(&request, &world.code(PHONE)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[sqlx::test]
async fn what_is_left_in_the_default_partition_goes_too(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let app = world.instance().await.leading().await;
    let request = app.sent(PHONE).await;
    // An id that tells no time.
    let moved = format!(
        "UPDATE otp_requests SET id = 'ffffffff-ffff-4fff-bfff-ffffffffffff' WHERE id = '{request}'"
    );
    let moved = sqlx::raw_sql(sqlx::AssertSqlSafe(moved));
    world.pool.execute(moved).await.unwrap();

    world.later(&app, 12 * HOUR).await;
    assert_eq!(world.count("otp_requests_default").await, 1);
    world.later(&app, 61).await;
    assert_eq!(world.count("otp_requests_default").await, 0);
}

#[sqlx::test]
async fn a_month_of_the_audit_log_goes_when_all_of_it_is_old_enough(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    // The database refuses to drop what is young by its own clock.
    world.clock.advance(-500 * DAY);
    let app = world
        .instance_with(&[("RETENTION__AUDIT_DAYS", "60")], "")
        .await
        .leading()
        .await;
    let event = Event::new(Action::OtpSend, Outcome::Success, Actor::Service);
    world.audit().record(&event).await.unwrap();
    let month = format!("audit_events_{}", world.clock.now().format("%Y_%m"));
    assert!(is_there(&world, &month).await);

    world.later(&app, 59 * DAY).await;
    assert!(is_there(&world, &month).await);
    world.later(&app, 33 * DAY).await;
    until(&world, &month, Table::IsGone).await;

    let this_month = format!("audit_events_{}", world.clock.now().format("%Y_%m"));
    until(&world, &this_month, Table::IsThere).await;
}

/// security.md 43: not even the service itself gets rid of what it just logged.
#[sqlx::test]
async fn a_young_month_of_the_audit_log_cannot_be_dropped(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    world.instance().await;
    for before in ["now() - interval '29 days'", "now()", "'infinity'"] {
        let statement = sqlx::AssertSqlSafe(format!("SELECT audit_drop({before})"));
        let refused = world.pool.execute(sqlx::raw_sql(statement)).await;
        let error = refused.unwrap_err();
        let error = error.as_database_error().unwrap();
        assert_eq!(error.message(), "audit_events keeps 30 days", "{before}");
    }
    let old = "SELECT audit_drop(now() - interval '31 days')";
    world.pool.execute(old).await.unwrap();
}

/// Requests that the version before stored, one of them with an id that tells no time.
const BEFORE: &str = "
    INSERT INTO otp_requests (id, phone_index, phone_sealed, client_id, purpose, code_nonce,
        created_at, expires_at)
    SELECT id, sha256('a'), '', 'web', 'login', decode(repeat('00', 16), 'hex'), now(), now()
    FROM (VALUES ('01a20737-4d79-745c-a01a-0c9020452ce3'::uuid),
        ('ffffffff-ffff-4fff-bfff-ffffffffffff')) AS v (id);
    GRANT SELECT ON otp_requests TO PUBLIC";

#[sqlx::test(migrations = false)]
async fn the_requests_of_the_version_before_are_still_there(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let mut connection = PgConnection::connect_with(&connect).await.unwrap();
    let before = MIGRATIONS.iter().filter(|one| one.version < MADE).cloned();
    let before = Migrator::with_migrations(before.collect());
    before.run(&mut connection).await.unwrap();
    connection.execute(BEFORE).await.unwrap();

    MIGRATIONS.run(&mut connection).await.unwrap();

    let world = World::new(connect).await;
    for (id, partition) in [
        (
            "01a20737-4d79-745c-a01a-0c9020452ce3",
            "otp_requests_before",
        ),
        (
            "ffffffff-ffff-4fff-bfff-ffffffffffff",
            "otp_requests_default",
        ),
    ] {
        assert_eq!(
            partition_of(&world, id).await.as_deref(),
            Some(partition),
            "{id}"
        );
    }
    let granted = "pg_class AS c, aclexplode(c.relacl) AS a WHERE c.oid = 'otp_requests'::regclass
        AND a.grantee = 0 AND a.privilege_type = 'SELECT'";
    assert_eq!(world.count(granted).await, 1);
    let app = world.instance().await.leading().await;
    let request = app.sent(PHONE).await;
    assert_eq!(
        app.verify(&request, &world.code(PHONE)).await.status,
        200,
        "all goes on"
    );
    world.later(&app, 24 * HOUR).await;
    until(&world, "otp_requests_before", Table::IsGone).await;
}
