//! `/admin/v1/switches`: what is turned on and off for everybody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use otp_auth::clock::Clock as _;
use otp_auth::random::SystemRandom;
use otp_auth::rules::{Rules, Switches};
use otp_auth::secrets::Keyring;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, World};

const SWITCHES: &str = "/admin/v1/switches";

async fn put(app: &Instance, name: &str, body: &Value) -> Answer {
    let path = format!("{SWITCHES}/{name}");
    Answer::of(app.admin(Method::PUT, &path).json(body)).await
}

#[sqlx::test]
async fn switches_are_off_until_somebody_turns_them_on(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let now = world.clock.now();
    let now = now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let all = async || Answer::of(app.admin(Method::GET, SWITCHES)).await.json();
    let untouched = json!({"on": false, "reason": null, "changed_at": null});
    assert_eq!(
        all().await,
        json!({"kill": untouched, "emergency": untouched})
    );

    let on = put(&app, "kill", &json!({"on": true, "reason": "pumping"})).await;

    let state = json!({"on": true, "reason": "pumping", "changed_at": now});
    assert_eq!((on.status, on.json()), (200, state.clone()), "{}", on.body);
    assert_eq!(all().await, json!({"kill": state, "emergency": untouched}));
    put(&app, "kill", &json!({"on": false, "reason": "over"})).await;
    let state = json!({"on": false, "reason": "over", "changed_at": now});
    assert_eq!(all().await, json!({"kill": state, "emergency": untouched}));
    let events = sqlx::query!(
        r#"SELECT action || ' ' || outcome || ' ' || actor AS "what!", detail::text AS "detail!"
        FROM audit_events WHERE actor = 'admin' ORDER BY detail ->> 'on' DESC"#,
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let is_change = |what: &str| !what.starts_with("admin.call ");
    let events: Vec<_> = events
        .iter()
        .filter(|event| is_change(&event.what))
        .collect();
    for (event, on) in events.iter().zip([true, false]) {
        assert_eq!(event.what, "switch.set success admin");
        let detail: Value = serde_json::from_str(&event.detail).unwrap();
        assert_eq!(detail, json!({"switch": "kill", "on": on}));
    }
    assert_eq!(events.len(), 2);
}

#[sqlx::test]
async fn what_is_no_switch_and_no_position_is_refused(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let unknown = put(&app, "light", &json!({"on": true, "reason": "a test"})).await;
    assert_eq!(unknown.problem(), (404, "not_found".to_owned()));
    for (body, pointers) in [
        (json!({}), &["/on", "/reason"][..]),
        (json!({"on": "true", "reason": "a test"}), &["/on"]),
        (json!({"on": true, "reason": "9876543210"}), &["/reason"]),
    ] {
        let answer = put(&app, "kill", &body).await;
        assert_eq!(answer.problem(), (400, "invalid_request".to_owned()));
        assert_eq!(answer.pointers(), pointers);
    }
    world.until("NOT EXISTS (SELECT FROM switches)").await;
}

#[sqlx::test]
async fn a_switch_is_seen_by_every_replica_within_a_second(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let master_key = world.settings(&[], "").secrets.master_key;
    let (pool, keyring) = (world.pool.clone(), Keyring::derive(&master_key).unwrap());
    let other = Rules::load(&pool, pool.clone(), keyring.into(), Arc::new(SystemRandom));
    let other = Arc::new(other.await.unwrap());
    let following = tokio::spawn(Arc::clone(&other).follow(std::future::pending()));

    for (name, on, kill, emergency) in [
        ("kill", true, true, false),
        ("emergency", true, true, true),
        ("kill", false, false, true),
    ] {
        put(&app, name, &json!({"on": on, "reason": "a test"})).await;
        let began = Instant::now();
        while other.switches() != (Switches { kill, emergency }) {
            assert!(began.elapsed() < Duration::from_secs(1), "{name} {on}");
            tokio::task::yield_now().await;
        }
    }
    following.abort();
}

/// Changes are looked for, not counted: after a failover to a standby that lagged the version is an
/// earlier one.
#[sqlx::test]
async fn a_version_that_went_back_is_news_too(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    put(&app, "kill", &json!({"on": true, "reason": "a test"})).await;
    let master_key = world.settings(&[], "").secrets.master_key;
    let (pool, keyring) = (world.pool.clone(), Keyring::derive(&master_key).unwrap());
    let rules = Rules::load(&pool, pool.clone(), keyring.into(), Arc::new(SystemRandom));
    let rules = rules.await.unwrap();
    assert!(rules.switches().kill);

    let lost = "DELETE FROM switches; UPDATE operator_changes SET version = 0";
    sqlx::raw_sql(lost).execute(&world.pool).await.unwrap();
    rules.refresh().await.unwrap();

    assert!(!rules.switches().kill);
}

/// security.md 20: an outage opens nothing.
#[sqlx::test]
async fn what_was_decided_stays_while_the_database_is_away(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect.clone()).await;
    let app = world.instance().await;
    put(&app, "kill", &json!({"on": true, "reason": "a test"})).await;
    let master_key = world.settings(&[], "").secrets.master_key;
    let keyring = Keyring::derive(&master_key).unwrap().into();
    let pool = sqlx::PgPool::connect_with(connect).await.unwrap();
    let rules = Rules::load(&world.pool, pool.clone(), keyring, Arc::new(SystemRandom));
    let rules = rules.await.unwrap();

    pool.close().await;

    assert!(rules.refresh().await.is_err());
    assert!(rules.switches().kill);
}
