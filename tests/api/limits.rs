//! The limits, and the truth of what they tell the caller.

use otp_auth::clock::Clock as _;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, OTHER_PHONE, PHONE, World, wrong};

/// security.md 17 and 22: sends as fast as `Retry-After` allows, for longer than a day.
#[sqlx::test]
async fn sends_never_exceed_any_window_and_waiting_as_told_always_passes(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let mut sent_at = Vec::new();
    let mut elapsed = 0;
    while sent_at.len() < 25 {
        let answer = app.send(PHONE).await;
        if answer.status == 429 {
            assert_eq!(answer.problem().1, "rate_limited");
            world.clock.advance(answer.retry_after());
            elapsed += answer.retry_after();
            let second = app.send(PHONE).await;
            assert_eq!(second.status, 201, "after waiting as told: {}", second.body);
        } else {
            assert_eq!(answer.status, 201, "{}", answer.body);
        }
        sent_at.push(elapsed);
    }

    for (window, most) in [(300, 3), (3600, 5), (86_400, 10)] {
        for start in &sent_at {
            let inside = sent_at
                .iter()
                .filter(|at| **at >= *start && **at < *start + window)
                .count();
            assert!(
                inside <= most,
                "{inside} sends within {window} s: {sent_at:?}"
            );
        }
    }
    assert_eq!(sent_at[..3], [0, 30, 90], "the cooldown grows");
    assert_eq!(
        sent_at[3], 300,
        "the fourth waits for the first to leave the window"
    );
    assert_eq!(sent_at[10], 86_400, "the eleventh waits for the day");
    let kept =
        sqlx::query_scalar!(r#"SELECT cardinality(send_log) AS "kept!" FROM phone_throttles"#);
    let kept = kept.fetch_one(&world.pool).await.unwrap();
    assert!(
        kept <= 10,
        "what no window looks back to is forgotten: {kept}"
    );
}

#[sqlx::test]
async fn each_limit_is_named_in_the_refusal_and_in_the_header_fields(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let first = app.send(PHONE).await;
    assert_eq!(
        first.header("ratelimit-policy"),
        "\"phone-300s\";q=3;w=300, \"phone-3600s\";q=5;w=3600, \"phone-86400s\";q=10;w=86400"
    );
    assert_eq!(
        first.header("ratelimit"),
        "\"phone-300s\";r=2;t=300, \"phone-3600s\";r=4;t=3600, \"phone-86400s\";r=9;t=86400"
    );

    let cooldown = app.send(PHONE).await;
    assert_eq!(cooldown.text("limit"), "cooldown");
    assert_eq!(cooldown.retry_after(), 30);
    world.clock.advance(30);
    app.sent(PHONE).await;
    world.clock.advance(60);
    app.sent(PHONE).await;

    let phone = app.send(PHONE).await;
    assert_eq!(phone.text("limit"), "phone");
    assert_eq!(phone.retry_after(), 210, "until the first is 300 s old");
    assert!(
        phone
            .header("ratelimit")
            .starts_with("\"phone-300s\";r=0;t=210")
    );
}

/// security.md 17: a restart forgets nothing.
#[sqlx::test]
async fn limits_outlive_the_instance_that_took_them(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    world.instance().await.sent(PHONE).await;

    let answer = world.instance().await.send(PHONE).await;

    assert_eq!(answer.problem(), (429, "rate_limited".to_owned()));
}

async fn spend_tries(world: &World, app: &Instance, phone: &str, tries: usize) -> Answer {
    let id = app.sent(phone).await;
    let bad = wrong(&world.code(phone));
    let mut last = app.verify(&id, &bad).await;
    for _ in 1..tries {
        last = app.verify(&id, &bad).await;
    }
    last
}

/// security.md 5: a new code resets nothing.
#[sqlx::test]
async fn ten_wrong_codes_in_a_day_lock_the_phone_and_each_lock_doubles(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    spend_tries(&world, &app, PHONE, 5).await;
    world.clock.advance(300);
    let tenth = spend_tries(&world, &app, PHONE, 5).await;
    assert_eq!(tenth.problem(), (401, "otp_incorrect".to_owned()));
    assert_eq!(tenth.json()["attempts_remaining"], 0);

    let locked = app.send(PHONE).await;
    assert_eq!(locked.problem(), (429, "too_many_attempts".to_owned()));
    assert_eq!(locked.retry_after(), 1800);
    assert_eq!(
        app.send(OTHER_PHONE).await.status,
        201,
        "another phone is not concerned"
    );

    world.clock.advance(1799);
    assert_eq!(app.send(PHONE).await.status, 429);
    world.clock.advance(1);
    spend_tries(&world, &app, PHONE, 1).await;
    let doubled = app.send(PHONE).await;
    assert_eq!(doubled.problem(), (429, "too_many_attempts".to_owned()));
    assert_eq!(doubled.retry_after(), 3600);
}

#[sqlx::test]
async fn locks_double_up_to_their_longest_and_a_right_code_forgets_them(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let settings = [
        ("LIMITS__PHONE__FAILURES_PER_DAY", "1"),
        ("LIMITS__PHONE__LOCK_MAX_SECONDS", "3600"),
    ];
    let app = world.instance_with(&settings, "").await;
    for lock in [1800, 3600, 3600] {
        spend_tries(&world, &app, PHONE, 1).await;
        assert_eq!(app.send(PHONE).await.retry_after(), lock);
        world.clock.advance(lock);
    }
    let id = app.sent(PHONE).await;
    assert_eq!(app.verify(&id, &world.code(PHONE)).await.status, 200);
    world.clock.advance(300);

    spend_tries(&world, &app, PHONE, 1).await;

    assert_eq!(app.send(PHONE).await.retry_after(), 1800);
}

#[sqlx::test]
async fn a_locked_phone_refuses_even_the_right_code_of_a_live_request(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("LIMITS__PHONE__FAILURES_PER_DAY", "3")], "")
        .await;
    spend_tries(&world, &app, PHONE, 2).await;
    world.clock.advance(60);
    let id = app.sent(PHONE).await;
    let code = world.code(PHONE);
    let third = app.verify(&id, &wrong(&code)).await;
    assert_eq!(third.json()["attempts_remaining"], 0, "{}", third.body);

    let right = app.verify(&id, &code).await;

    assert_eq!(right.problem(), (429, "too_many_attempts".to_owned()));
    let report = app.report(&id).await;
    assert_eq!(report.text("status"), "locked");
    let unlocked = world.clock.now() + chrono::TimeDelta::seconds(1800);
    let unlocked = unlocked.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    assert_eq!(
        report.text("resend_at"),
        unlocked,
        "not before the lock ends"
    );
}

/// security.md 7.
#[sqlx::test]
async fn a_right_code_clears_the_count_of_its_phone_only(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("LIMITS__PHONE__FAILURES_PER_DAY", "6")], "")
        .await;
    for phone in [PHONE, OTHER_PHONE] {
        spend_tries(&world, &app, phone, 4).await;
    }
    world.clock.advance(300);
    let id = app.sent(PHONE).await;
    assert_eq!(app.verify(&id, &world.code(PHONE)).await.status, 200);
    world.clock.advance(300);

    for (phone, left) in [(PHONE, 3), (OTHER_PHONE, 0)] {
        let second = spend_tries(&world, &app, phone, 2).await;
        assert_eq!(second.json()["attempts_remaining"], left, "{phone}");
    }
}

/// Wrong codes older than a day do not count.
#[sqlx::test]
async fn wrong_codes_are_forgotten_after_a_day(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("LIMITS__PHONE__FAILURES_PER_DAY", "3")], "")
        .await;
    spend_tries(&world, &app, PHONE, 2).await;
    world.clock.advance(86_400);

    let answer = spend_tries(&world, &app, PHONE, 2).await;

    assert_eq!(answer.json()["attempts_remaining"], 3);
}

#[sqlx::test]
async fn sends_of_one_address_are_limited_and_waiting_as_told_passes(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(
            &[
                ("LIMITS__IP__SENDS_PER_MINUTE", "5"),
                ("LIMITS__IP__SENDS_PER_10_MINUTES", "20"),
            ],
            "",
        )
        .await;
    for last in 0..5 {
        let answer = app.send(&format!("+91987654321{last}")).await;
        assert_eq!(answer.status, 201);
        let left = format!("\"ip-60s\";r={}", 4 - last);
        assert!(
            answer.header("ratelimit").contains(&left),
            "{:?}",
            answer.headers
        );
    }

    let refused = app.send(OTHER_PHONE).await;

    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(refused.text("limit"), "ip");
    assert!(
        refused
            .header("ratelimit-policy")
            .contains("\"ip-60s\";q=5;w=60")
    );
    assert_eq!(refused.retry_after(), 12);
    world.clock.advance(11);
    assert_eq!(app.send(OTHER_PHONE).await.status, 429);
    world.clock.advance(1);
    assert_eq!(app.send(OTHER_PHONE).await.status, 201);
}

/// The limit is one a process: a bucket for each worker would let `workers` times as many pass.
#[sqlx::test]
async fn verifies_of_one_address_are_limited_over_all_workers(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let settings = [
        ("LIMITS__IP__VERIFIES_PER_MINUTE", "10"),
        ("SERVER__WORKERS", "4"),
    ];
    let app = world.instance_with(&settings, "").await;
    let id = app.sent(PHONE).await;
    let mut passed = 0;
    for _ in 0..40 {
        // A connection of its own each, so that all workers get some.
        let http = crate::support::http_client();
        let url = format!("{}/v1/otp/verify", app.base);
        let request = http
            .post(url)
            .json(&json!({"request_id": id, "code": "000000"}));
        let answer = Answer::of(request).await;
        passed += usize::from(answer.text("code") != "rate_limited");
    }
    assert_eq!(passed, 10);
}

/// security.md 18.
#[sqlx::test]
async fn a_forged_forwarding_header_changes_no_limit(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let limit = ("LIMITS__IP__VERIFIES_PER_MINUTE", "1");
    let direct = world.instance_with(&[limit], "").await;
    let proxied = world
        .instance_with(&[limit, ("SERVER__TRUSTED_PROXIES", "127.0.0.0/8")], "")
        .await;
    let verify = async |app: &Instance, name: &'static str, value: &str| {
        let body = json!({
            "request_id": "00000000-0000-7000-8000-000000000000", "code": "000000"
        });
        let request = app
            .request(reqwest::Method::POST, "/v1/otp/verify")
            .json(&body);
        Answer::of(request.header(name, value)).await.status
    };

    assert_eq!(verify(&direct, "x-forwarded-for", "192.0.2.1").await, 400);
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.2"),
        ("forwarded", "for=192.0.2.3"),
        ("x-real-ip", "192.0.2.4"),
    ] {
        assert_eq!(verify(&direct, name, value).await, 429, "{name}");
    }

    assert_eq!(
        verify(&proxied, "x-forwarded-for", "6.6.6.6, 192.0.2.1").await,
        400
    );
    assert_eq!(
        verify(&proxied, "x-forwarded-for", "7.7.7.7, 192.0.2.1").await,
        429
    );
    assert_eq!(
        verify(&proxied, "x-forwarded-for", "7.7.7.7, 192.0.2.2").await,
        400
    );
}

/// The provider throttles by egress address; a service that stays below is never throttled.
#[sqlx::test]
async fn the_providers_own_budget_is_not_overrun(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let settings = [
        ("STARTMESSAGING__REQUESTS_PER_SECOND", "1"),
        ("STARTMESSAGING__BURST", "2"),
    ];
    let app = world.instance_with(&settings, "").await;
    app.sent("+919876543210").await;
    app.sent("+919876543211").await;

    let busy = app.send("+919876543212").await;

    assert_eq!(busy.problem(), (503, "provider_unavailable".to_owned()));
    assert_eq!(
        world.sandbox.requests().send,
        2,
        "the provider was not called"
    );
    world.clock.advance(busy.retry_after());
    assert_eq!(
        app.send("+919876543212").await.status,
        201,
        "the phone's limits were given back"
    );
}
