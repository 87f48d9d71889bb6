//! The bill has a ceiling, and codes that nobody uses have a budget, over all replicas.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, PHONE, World, by_outcome};

/// A number of the given block of 10,000.
fn number(block: u32, n: u32) -> String {
    format!("+9198{block:04}{n:04}")
}

/// Logs in, so that the number is known.
async fn log_in(world: &World, app: &Instance, phone: &str) {
    let id = app.sent(phone).await;
    assert_eq!(app.verify(&id, &world.code(phone)).await.status, 200);
}

async fn switch(app: &Instance, name: &str, on: bool) {
    let path = format!("/admin/v1/switches/{name}");
    let body = json!({"on": on, "reason": "drill"});
    let answer = Answer::of(app.admin(Method::PUT, &path).json(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// security.md 17 and 19: refused before the provider is called, over three replicas.
///
/// The last tenth of a ceiling is for known users; all of it together is never exceeded.
#[sqlx::test]
async fn a_ceiling_holds_over_replicas_and_refuses_known_users_last(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let free = world.instance().await;
    log_in(&world, &free, PHONE).await;
    world.clock.advance(86_400);
    let ceiling = [("LIMITS__SPEND__MESSAGES_PER_HOUR", "10")];
    let mut apps = Vec::new();
    for _ in 0..3 {
        apps.push(world.instance_with(&ceiling, "").await);
    }
    let before = world.sandbox.requests().send;

    let sends = (0..30).map(|n| {
        let app = &apps[usize::try_from(n % 3).unwrap()];
        async move { app.send(&number(n, 1)).await }
    });
    let answers = join_all(sends).await;

    let outcomes = by_outcome(&answers);
    assert_eq!(outcomes["201 ok"], 9, "{outcomes:?}");
    assert_eq!(outcomes["503 provider_unavailable"], 21, "{outcomes:?}");
    assert_eq!(apps[0].send(PHONE).await.status, 201, "a known user");
    let refused = apps[1].send(&number(99, 1)).await;
    assert_eq!(refused.status, 503);
    assert_eq!(world.sandbox.requests().send - before, 10);
    let decision = refused.text("decision_id");
    let decision = apps[2]
        .admin_get(&format!("/admin/v1/decisions/{decision}"))
        .await;
    assert_eq!(
        decision.text("reason"),
        "messages_per_hour",
        "{}",
        decision.body
    );
    let warnings = apps[0].events("action=spend.warning").await;
    assert_eq!(
        warnings.len(),
        3,
        "50, 80 and 100 %, once each: {warnings:?}"
    );
    world.clock.advance(refused.retry_after());
    assert_eq!(
        apps[1].send(&number(99, 1)).await.status,
        201,
        "after waiting as told"
    );
}

/// What surely never left is not counted.
#[sqlx::test]
async fn an_sms_that_never_left_is_taken_off_the_bill(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::at_midnight(connect).await;
    let app = world.instance().await;
    let fault = otp_auth::sandbox::FaultKind::Unauthorized;
    world.sandbox.arm(otp_auth::sandbox::Fault::once(fault));
    assert_eq!(app.send(PHONE).await.status, 503);

    let counted = "SELECT sum(hour_messages + day_messages + hour_cost + day_cost + month_cost
        + hour_unverified + day_unverified) FROM sms_counters";

    assert_eq!(world.text(counted).await.as_deref(), Some("0"));
    world.clock.advance(60);
    app.sent(PHONE).await;
    let cost = "SELECT month_cost FROM sms_counters WHERE scope = 'service'";
    assert_eq!(
        world.text(cost).await.as_deref(),
        Some("250000"),
        "INR 0.25"
    );
}

#[sqlx::test]
async fn a_prefix_whose_codes_nobody_uses_is_closed_and_the_others_are_not(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let settings = [
        ("LIMITS__PUMPING__MODE", "enforce"),
        ("LIMITS__PUMPING__EXPECTED_LOGINS_PER_DAY", "10000"),
    ];
    let app = world.instance_with(&settings, "").await;
    log_in(&world, &app, &number(1, 9)).await;
    world.clock.advance(3600);
    let first = app.sent(&number(1, 1)).await;
    for n in 2..4 {
        app.sent(&number(1, n)).await;
    }

    let refused = app.send(&number(1, 4)).await;

    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(refused.text("limit"), "service");
    assert_eq!(world.sms_count(&number(1, 4)), 0);
    let decision = format!("/admin/v1/decisions/{}", refused.text("decision_id"));
    let decision = app.admin_get(&decision).await;
    assert_eq!(
        decision.text("reason"),
        "prefix_unverified",
        "{}",
        decision.body
    );
    assert_eq!(decision.json()["detail"]["allowed"], 3);
    assert_eq!(app.send(&number(2, 1)).await.status, 201, "another prefix");
    assert_eq!(app.send(&number(1, 9)).await.status, 201, "a known number");
    // Two right codes make room for one more: the known number's is not used yet.
    let code = world.code(&number(1, 1));
    assert_eq!(app.verify(&first, &code).await.status, 200);
    assert_eq!(app.send(&number(1, 4)).await.status, 429);
    world.clock.advance(refused.retry_after());
    assert_eq!(
        app.send(&number(1, 4)).await.status,
        201,
        "after waiting as told"
    );
}

#[sqlx::test]
async fn a_guard_that_only_records_lets_all_through(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::at_midnight(connect).await;
    let app = world.instance().await;
    for n in 0..5 {
        app.sent(&number(1, n)).await;
    }

    let recorded = app.events("outcome=recorded").await;

    assert_eq!(recorded.len(), 2, "the fourth and the fifth: {recorded:?}");
}

/// security.md 19: a switch costs no SMS.
#[sqlx::test]
async fn operators_stop_all_sms_or_those_to_strangers(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::at_midnight(connect).await;
    let app = world.instance().await;
    log_in(&world, &app, PHONE).await;
    world.clock.advance(600);

    switch(&app, "emergency", true).await;
    let stranger = app.send(&number(1, 1)).await;
    assert_eq!(stranger.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(stranger.text("limit"), "service");
    assert_eq!(app.send(PHONE).await.status, 201, "a known user");
    world.clock.advance(600);
    switch(&app, "kill", true).await;
    let before = world.sandbox.requests().send;
    let killed = app.send(PHONE).await;
    assert_eq!(killed.problem(), (503, "provider_unavailable".to_owned()));
    assert_eq!(world.sandbox.requests().send, before);
    switch(&app, "kill", false).await;
    switch(&app, "emergency", false).await;
    assert_eq!(app.send(&number(1, 1)).await.status, 201);
    assert_eq!(app.send(PHONE).await.status, 201);
}

/// Whoever asks for codes all over the country from one address does not spend what other addresses' new
/// users need; users who use their codes have room there.
#[sqlx::test]
async fn one_address_cannot_spend_the_budget_of_a_country(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let settings = [
        ("SERVER__TRUSTED_PROXIES", "127.0.0.1"),
        ("LIMITS__IP__PHONES_PER_DAY", "1000"),
        ("LIMITS__PUMPING__MODE", "enforce"),
        ("LIMITS__PUMPING__EXPECTED_LOGINS_PER_DAY", "600"),
        ("LIMITS__PUMPING__ADDRESS_LEAST_PER_HOUR", "4"),
        ("LIMITS__PUMPING__ADDRESS_LEAST_PER_DAY", "7"),
    ];
    let mut apps = Vec::new();
    for _ in 0..3 {
        apps.push(world.instance_with(&settings, "").await);
    }
    let send_from = async |address: &str, block: u32| {
        let app = &apps[usize::try_from(block % 3).unwrap()];
        let body = json!({"phone_number": number(block, 1)});
        app.post_from(address, "/v1/otp/send", &body).await
    };

    let pumped = join_all((0..30).map(|block| send_from("192.0.2.1", block))).await;

    let outcomes = by_outcome(&pumped);
    assert_eq!(outcomes["201 ok"], 4, "{outcomes:?}");
    let refused = send_from("192.0.2.1", 30).await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(refused.text("limit"), "ip");
    let decision = format!("/admin/v1/decisions/{}", refused.text("decision_id"));
    let decision = apps[0].admin_get(&decision).await;
    assert_eq!(decision.text("reason"), "address_unverified");
    assert_eq!(send_from("192.0.2.2", 31).await.status, 201);

    let used = pumped
        .iter()
        .position(|answer| answer.status == 201)
        .unwrap();
    let code = world.code(&number(u32::try_from(used).unwrap(), 1));
    let request = pumped[used].text("request_id");
    assert_eq!(apps[0].verify(&request, &code).await.status, 200);
    assert_eq!(send_from("192.0.2.1", 32).await.status, 201, "one was used");
    world.clock.advance(refused.retry_after());
    let next = join_all((40..50).map(|block| send_from("192.0.2.1", block))).await;
    assert_eq!(by_outcome(&next)["201 ok"], 3, "seven a day");
}
