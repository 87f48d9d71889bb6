//! What stands between the callers and a vendor that fails, hangs or is too slow for all of them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use otp_auth::sandbox::{Fault, FaultKind};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::bench::PATIENT;
use crate::support::raw::{RawVendor, Script};
use crate::support::{Answer, Instance, PHONE, World};

fn unavailable() -> (u16, String) {
    (503, "provider_unavailable".to_owned())
}

fn phone(number: usize) -> String {
    format!("+91987654{number:04}")
}

async fn instance(world: &World, raw: &RawVendor, settings: &[(&str, &str)]) -> Instance {
    let url = raw.url();
    let usual = [("STARTMESSAGING__BASE_URL", url.as_str()), PATIENT];
    world.instance_with(&[&usual, settings].concat(), "").await
}

/// So many answers that each come when it is time.
fn held(answers: usize) -> (Vec<Arc<Notify>>, Vec<Script>) {
    let times: Vec<Arc<Notify>> = (0..answers).map(|_| Arc::new(Notify::new())).collect();
    let script = |time: &Arc<Notify>| Script::When(Arc::clone(time), Box::new(Script::sent()));
    let scripts = times.iter().map(script).collect();
    (times, scripts)
}

async fn has_metric(app: &Instance, line: &str) -> bool {
    let metrics = Answer::of(app.http.get(format!("{}/metrics", app.admin))).await;
    metrics.body.lines().any(|found| found == line)
}

#[sqlx::test]
async fn a_vendor_that_keeps_failing_is_left_alone_and_then_tried_by_one_call(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let raw = RawVendor::start();
    let app = instance(&world, &raw, &[]).await;
    let fail = || Script::refusal("500 X", "INTERNAL_ERROR");
    raw.script((0..20).map(|_| fail()));
    for number in 0..20 {
        assert_eq!(app.breaker().await, "closed", "after {number} failures");
        assert_eq!(app.send(&phone(number)).await.status, 502);
    }

    assert_eq!(app.breaker().await, "open");
    let open = r#"otp_auth_provider_breaker_state{vendor="startmessaging",state="open"} 1"#;
    assert!(has_metric(&app, open).await);
    for (passed, wait) in [(0, 60), (59, 1)] {
        world.clock.advance(passed);
        let refused = app.send(PHONE).await;
        assert_eq!(refused.problem(), unavailable());
        assert_eq!(refused.retry_after(), wait);
    }
    assert_eq!(raw.calls().len(), 20, "it is not called");

    world.clock.advance(1);
    assert_eq!(app.breaker().await, "half_open");
    raw.script([fail()]);
    assert_eq!(app.send(&phone(20)).await.status, 502, "the probe");
    assert_eq!(app.breaker().await, "open");
    assert_eq!(app.send(PHONE).await.retry_after(), 60);

    world.clock.advance(60);
    let (times, scripts) = held(1);
    raw.script(scripts);
    let meanwhile = async {
        raw.called(22).await;
        let other = app.send(PHONE).await;
        assert_eq!(other.problem(), unavailable(), "one probe at a time");
        times[0].notify_one();
    };
    let (probe, ()) = join(app.send(&phone(21)), meanwhile).await;
    assert_eq!(probe.status, 201, "{}", probe.body);
    assert_eq!(app.breaker().await, "closed");
    app.sent(PHONE).await;
    assert_eq!(raw.calls().len(), 23);
}

/// What the vendor refuses for one number says nothing about the vendor.
#[sqlx::test]
async fn a_hundred_refused_numbers_leave_the_breaker_closed(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    world.sandbox.arm(Fault::always(FaultKind::NumberCooling));
    for number in 0..100 {
        assert_eq!(app.send(&phone(number)).await.status, 429);
    }

    assert_eq!(app.breaker().await, "closed");
    assert_eq!(world.sandbox.requests().send, 100);
    world.sandbox.disarm_all();
    app.sent(PHONE).await;
}

#[sqlx::test]
async fn a_refused_account_opens_the_breaker_at_once(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    for (calls, fault) in [
        (1, FaultKind::Unauthorized),
        (2, FaultKind::InsufficientBalance),
    ] {
        world.sandbox.arm(Fault::once(fault));
        for (passed, wait) in [(0, 60), (1, 59)] {
            world.clock.advance(passed);
            let refused = app.send(PHONE).await;
            assert_eq!(refused.problem(), unavailable(), "{fault:?}");
            assert_eq!(refused.retry_after(), wait, "{fault:?}");
        }
        assert_eq!(app.breaker().await, "open", "{fault:?}");
        assert_eq!(world.sandbox.requests().send, calls, "{fault:?}");
        world.clock.advance(59);
    }

    app.sent(PHONE).await;

    assert_eq!(app.breaker().await, "closed");
}

#[sqlx::test]
async fn whoever_finds_no_place_is_told_soon_and_loses_nothing(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let raw = RawVendor::start();
    let settings = [
        ("PROVIDER__MAX_IN_FLIGHT", "2"),
        ("PROVIDER__MAX_WAIT_MS", "200"),
    ];
    let app = instance(&world, &raw, &settings).await;
    let (times, scripts) = held(2);
    raw.script(scripts);

    let two = join_all([app.send("+919812345601"), app.send("+919812345602")]);
    let meanwhile = async {
        raw.called(2).await;
        let started = Instant::now();
        let third = app.send(PHONE).await;
        assert_eq!(third.problem(), unavailable());
        assert_eq!(third.retry_after(), 1);
        assert!(started.elapsed() >= Duration::from_millis(200));
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "before the two end"
        );
        for time in &times {
            time.notify_one();
        }
    };
    let (two, ()) = join(two, meanwhile).await;

    assert!(two.iter().all(|answer| answer.status == 201));
    assert_eq!(raw.calls().len(), 2);
    app.sent(PHONE).await;
}

#[sqlx::test]
async fn a_place_that_becomes_free_in_time_is_taken(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let raw = RawVendor::start();
    let settings = [
        ("PROVIDER__MAX_IN_FLIGHT", "1"),
        ("PROVIDER__MAX_WAIT_MS", "10000"),
    ];
    let app = instance(&world, &raw, &settings).await;
    let (times, scripts) = held(1);
    raw.script(scripts);

    let second = async {
        raw.called(1).await;
        let let_go = async {
            // It is admitted, and so on its way to the place.
            world.until("(SELECT count(*) = 2 FROM otp_requests)").await;
            times[0].notify_one();
        };
        join(app.send(PHONE), let_go).await.0
    };
    let (first, second) = join(app.send("+919812345601"), second).await;

    assert_eq!((first.status, second.status), (201, 201));
}

#[sqlx::test]
async fn the_vendors_rate_is_kept_and_costs_nobody_his_limits(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let settings = [
        ("STARTMESSAGING__REQUESTS_PER_SECOND", "1"),
        ("STARTMESSAGING__BURST", "3"),
    ];
    let app = world.instance_with(&settings, "").await;
    for number in 0..3 {
        app.sent(&phone(number)).await;
    }

    let fourth = app.send(PHONE).await;

    assert_eq!(fourth.problem(), unavailable());
    assert_eq!(fourth.retry_after(), 1);
    assert_eq!(app.breaker().await, "closed");
    world.clock.advance(1);
    app.sent(PHONE).await;
    assert_eq!(world.sandbox.requests().send, 4);
}

/// One connection to the database, and twenty callers whose vendor hangs.
#[sqlx::test]
async fn nobody_who_waits_for_the_vendor_holds_a_connection(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let raw = RawVendor::start();
    let settings = [
        ("DATABASE__MAX_CONNECTIONS", "1"),
        ("DATABASE__ACQUIRE_TIMEOUT_MS", "5000"),
        ("STARTMESSAGING__TIMEOUT_MS", "60000"),
    ];
    let service = instance(&world, &raw, &settings).await;
    let vendor = [&settings[..], &[("STARTMESSAGING__CODE_OWNER", "vendor")]].concat();
    let vendor = instance(&world, &raw, &vendor).await;
    let mut requests = Vec::new();
    for number in 0..20 {
        requests.push(vendor.sent(&phone(number)).await);
    }
    let id = service.sent(PHONE).await;
    let body: Value = serde_json::from_str(&raw.calls()[20].body).unwrap();
    let code = body["variables"]["otp"].as_str().unwrap().to_owned();
    let (times, scripts) = held(40);
    raw.script(scripts);

    let sends = join_all((20..40).map(|number| {
        let (service, phone) = (&service, phone(number));
        async move { service.send(&phone).await }
    }));
    let checks = join_all(requests.iter().map(|id| vendor.verify(id, "123456")));
    let meanwhile = async {
        raw.called(61).await;
        let open = "NOT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND state LIKE 'idle in transaction%')";
        world.until(open).await;
        for app in [&service, &vendor] {
            assert_eq!(app.report(&id).await.status, 200);
            assert_eq!(app.get("/.well-known/jwks.json").await.status, 200);
            assert_eq!(app.breaker().await, "closed");
        }
        assert_eq!(service.verify(&id, &code).await.status, 200);
        for time in &times {
            time.notify_one();
        }
    };
    let (sends, checks, ()) = futures_util::future::join3(sends, checks, meanwhile).await;

    assert!(sends.iter().all(|answer| answer.status == 201));
    // What a send is told is no answer to a check.
    assert!(checks.iter().all(|answer| answer.status == 502));
}
