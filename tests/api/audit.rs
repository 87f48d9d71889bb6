//! The audit log at rest.

use otp_auth::audit::{Action, Actor, Event, Outcome};
use otp_auth::clock::Clock as _;
use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use uuid::Uuid;

use crate::support::World;

fn event() -> Event {
    Event::new(Action::OtpSend, Outcome::Success, Actor::Service)
}

fn month(world: &World) -> String {
    format!("audit_events_{}", world.clock.now().format("%Y_%m"))
}

/// The partition that an event is in.
async fn partition(world: &World, id: Uuid) -> Option<String> {
    world
        .text(&format!(
            "SELECT tableoid::regclass FROM audit_events WHERE id = '{id}'"
        ))
        .await
}

#[sqlx::test]
async fn an_event_of_this_month_or_the_next_is_in_the_months_partition(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    world.instance().await;
    let (audit, this_month) = (world.audit(), month(&world));
    let now = audit.record(&event()).await.unwrap();
    while month(&world) == this_month {
        world.clock.advance(86_400);
    }

    let next = audit.record(&event()).await.unwrap();

    assert_eq!(partition(&world, now).await, Some(this_month));
    assert_eq!(partition(&world, next).await, Some(month(&world)));
}

#[sqlx::test]
async fn an_event_of_a_month_that_nobody_prepared_is_not_lost(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let early = world.audit().record(&event()).await.unwrap();
    let in_default = Some("audit_events_default".to_owned());
    assert_eq!(partition(&world, early).await, in_default);

    world.instance().await;

    // It moves to where it belongs, and the default partition is one as before.
    assert_eq!(partition(&world, early).await, Some(month(&world)));
    let late = world.audit().record(&event()).await.unwrap();
    assert_eq!(partition(&world, late).await, Some(month(&world)));
    world.clock.advance(100 * 86_400);
    let later = world.audit().record(&event()).await.unwrap();
    assert_eq!(partition(&world, later).await, in_default);
    let refused = world.pool.execute("DELETE FROM audit_events_default").await;
    assert_eq!(
        refused.unwrap_err().as_database_error().unwrap().message(),
        "audit_events is append-only"
    );
}

/// security.md 43: what was logged stays as it was.
#[sqlx::test]
async fn nobody_changes_or_removes_an_event(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    world.instance().await;
    let id = world.audit().record(&event()).await.unwrap();
    let this_month = month(&world);
    for statement in [
        "UPDATE audit_events SET outcome = 'failure'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        &format!("UPDATE {this_month} SET outcome = 'failure'"),
        &format!("DELETE FROM {this_month}"),
    ] {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        let refused = world.pool.execute(sqlx::raw_sql(statement)).await;

        let error = refused.unwrap_err();
        let error = error.as_database_error().unwrap();
        assert_eq!(error.code().as_deref(), Some("42501"), "{error}");
        assert_eq!(error.message(), "audit_events is append-only");
    }
    assert_eq!(partition(&world, id).await, Some(this_month));
}

#[sqlx::test]
async fn an_event_that_cannot_be_written_stops_nobody(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let audit = world.audit();
    world.pool.close().await;

    audit.note(&event()).await;

    assert!(audit.record(&event()).await.is_err());
}

#[sqlx::test]
async fn the_first_signing_key_is_told_of_once(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    world.instance().await;
    let app = world.instance().await;

    let events = app.events("action=signing_key.create").await;

    let keys = app.get("/.well-known/jwks.json").await.json();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["detail"]["kid"], keys["keys"][0]["kid"]);
    assert_eq!(events[0]["actor"], "service");
}
