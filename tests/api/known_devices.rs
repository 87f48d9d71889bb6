//! The owner of a phone is not locked out by a stranger: a device that logged in before has a receipt, and
//! with it an allowance of its own.

use futures_util::future::join_all;
use otp_auth::clock::Clock as _;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, Line, OTHER_PHONE, PHONE, World, by_outcome, wrong};

/// Logs in and keeps the receipt.
async fn receipt(line: &Line, app: &Instance, phone: &str) -> String {
    let id = app.sent(phone).await;
    let answer = app.verify(&id, &line.code(phone)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    line.world.clock.advance(600);
    answer.text("device_receipt")
}

async fn send_with(app: &Instance, phone: &str, receipt: &str) -> Answer {
    let body = json!({"phone_number": phone, "device_receipt": receipt});
    app.post("/v1/otp/send", &body).await
}

async fn verify_with(app: &Instance, id: &str, code: &str, receipt: &str) -> Answer {
    let body = json!({"request_id": id, "code": code, "device_receipt": receipt});
    app.post("/v1/otp/verify", &body).await
}

/// Tries wrong codes as a stranger until the phone is locked.
async fn lock(line: &Line, app: &Instance, phone: &str) {
    let mut tried = 0;
    while tried < 10 {
        let id = app.sent(phone).await;
        let code = wrong(&line.code(phone));
        // A provider that makes the codes allows three wrong ones for each SMS.
        for _ in 0..3.min(10 - tried) {
            assert_eq!(app.verify(&id, &code).await.status, 401);
            tried += 1;
        }
        line.world.clock.advance(600);
    }
    let refused = app.send(phone).await;
    assert_eq!(refused.problem(), (429, "too_many_attempts".to_owned()));
}

async fn the_owner_of_a_locked_phone_logs_in(line: Line) {
    let app = line
        .instance_with(
            &[
                ("LIMITS__PHONE__SENDS_PER_HOUR", "0"),
                ("LIMITS__PHONE__LOCK_SECONDS", "86400"),
            ],
            "",
        )
        .await;
    let receipt = receipt(&line, &app, PHONE).await;
    lock(&line, &app, PHONE).await;

    let sent = send_with(&app, PHONE, &receipt).await;

    assert_eq!(sent.status, 201, "{}", sent.body);
    let (id, code) = (sent.text("request_id"), line.code(PHONE));
    let stranger = app.verify(&id, &code).await;
    assert_eq!(
        stranger.problem(),
        (429, "too_many_attempts".to_owned()),
        "the lock holds"
    );
    let mistyped = verify_with(&app, &id, &wrong(&code), &receipt).await;
    assert_eq!(
        mistyped.json()["attempts_remaining"],
        4,
        "{}",
        mistyped.body
    );
    let owner = verify_with(&app, &id, &code, &receipt).await;
    assert_eq!(owner.status, 200, "{}", owner.body);
    line.world.clock.advance(600);
    assert_eq!(
        app.send(PHONE).await.status,
        201,
        "a success clears the lock"
    );
}

#[sqlx::test]
async fn a_locked_owner_logs_in(_: PgPoolOptions, connect: PgConnectOptions) {
    the_owner_of_a_locked_phone_logs_in(Line::startmessaging_service(connect).await).await;
}

#[sqlx::test]
async fn a_locked_owner_logs_in_where_the_provider_makes_the_codes(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    the_owner_of_a_locked_phone_logs_in(Line::startmessaging_vendor(connect).await).await;
}

/// The allowance is small: 5 wrong codes a day, however many requests and devices.
#[sqlx::test]
async fn the_allowance_for_wrong_codes_is_used_up(_: PgPoolOptions, connect: PgConnectOptions) {
    let line = Line::startmessaging_service(connect).await;
    let settings = [
        ("LIMITS__PHONE__SENDS_PER_HOUR", "0"),
        ("LIMITS__PHONE__LOCK_SECONDS", "604800"),
        ("LIMITS__PHONE__LOCK_MAX_SECONDS", "604800"),
    ];
    let app = line.instance_with(&settings, "").await;
    let receipt = receipt(&line, &app, PHONE).await;
    lock(&line, &app, PHONE).await;
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let sent = send_with(&app, PHONE, &receipt).await;
        let (id, code) = (sent.text("request_id"), wrong(&line.code(PHONE)));
        let guesses = (0..4).map(|_| verify_with(&app, &id, &code, &receipt));
        outcomes.extend(join_all(guesses).await);
        line.world.clock.advance(3600);
    }

    let outcomes = by_outcome(&outcomes);

    assert_eq!(outcomes["401 otp_incorrect"], 5, "{outcomes:?}");
    assert_eq!(outcomes["429 too_many_attempts"], 3, "{outcomes:?}");
    line.world.clock.advance(86_400);
    let sent = send_with(&app, PHONE, &receipt).await;
    let id = sent.text("request_id");
    let verified = verify_with(&app, &id, &line.code(PHONE), &receipt).await;
    assert_eq!(verified.status, 200, "a day later: {}", verified.body);
}

/// Whoever floods a phone uses up its limits, but not the allowance; `Retry-After` is the truth of both.
#[sqlx::test]
async fn a_flooded_owner_is_sent_a_code_at_once(_: PgPoolOptions, connect: PgConnectOptions) {
    let line = Line::startmessaging_service(connect).await;
    let app = line.instance().await;
    let receipt = receipt(&line, &app, PHONE).await;
    let mut flood = app.send(PHONE).await;
    while flood.status == 201 || flood.retry_after() < 600 {
        line.world.clock.advance(if flood.status == 201 {
            0
        } else {
            flood.retry_after()
        });
        flood = app.send(PHONE).await;
    }
    let mut waits = Vec::new();
    for _ in 0..3 {
        let sent = send_with(&app, PHONE, &receipt).await;
        assert_eq!(sent.status, 201, "{}", sent.body);
        let refused = send_with(&app, PHONE, &receipt).await;
        assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
        waits.push(refused.retry_after());
        line.world.clock.advance(refused.retry_after());
    }
    assert_eq!(waits[..2], [30, 30], "the first cooldown");
    assert!(
        waits[2] > 600,
        "three an hour, or what the flood left of the hour: {waits:?}"
    );
    assert_eq!(
        send_with(&app, PHONE, &receipt).await.status,
        201,
        "after waiting as told"
    );
}

/// What a known device is told in `resend_at` is when it may send, not when a stranger may.
#[sqlx::test]
async fn a_known_device_is_told_when_it_may_send_again(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let line = Line::startmessaging_service(connect).await;
    let app = line.instance().await;
    let receipt = receipt(&line, &app, PHONE).await;
    for _ in 0..4 {
        app.sent(PHONE).await;
        line.world.clock.advance(300);
    }
    let refused = app.send(PHONE).await;
    assert!(refused.retry_after() > 60, "five an hour: {}", refused.body);

    let sent = send_with(&app, PHONE, &receipt).await;

    let now = line.world.clock.now();
    let at: chrono::DateTime<chrono::Utc> = sent.text("resend_at").parse().unwrap();
    assert_eq!((at - now).num_seconds(), 30, "{}", sent.body);
    line.world.clock.advance(30);
    assert_eq!(send_with(&app, PHONE, &receipt).await.status, 201);
}

/// In parallel, over replicas, the allowance is taken as often as it allows.
#[sqlx::test]
async fn parallel_calls_take_the_allowance_once(_: PgPoolOptions, connect: PgConnectOptions) {
    let line = Line::startmessaging_service(connect).await;
    let apps = [
        line.instance().await,
        line.instance().await,
        line.instance().await,
    ];
    let receipt = receipt(&line, &apps[0], PHONE).await;
    apps[0].sent(PHONE).await;
    let before = line.codes(PHONE).len();

    let sends = (0..30).map(|n| send_with(&apps[n % 3], PHONE, &receipt));
    let outcomes = by_outcome(&join_all(sends).await);

    assert_eq!(outcomes["201 ok"], 1, "{outcomes:?}");
    assert_eq!(line.codes(PHONE).len(), before + 1);
}

#[sqlx::test]
async fn a_receipt_of_another_phone_or_none_at_all_changes_nothing(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let line = Line::startmessaging_service(connect).await;
    let app = line.instance().await;
    let other = receipt(&line, &app, OTHER_PHONE).await;
    app.sent(PHONE).await;
    let plain = app.send(PHONE).await;

    for receipt in [other.as_str(), "x", "", &"a".repeat(500)] {
        let answer = send_with(&app, PHONE, receipt).await;
        assert_eq!(answer.problem(), plain.problem(), "{receipt}");
        assert_eq!(answer.retry_after(), plain.retry_after(), "{receipt}");
    }
    let body = json!({"phone_number": PHONE, "device_receipt": 5});
    let answer = app.post("/v1/otp/send", &body).await;
    assert_eq!(answer.pointers(), ["/device_receipt"]);
    let null = json!({"phone_number": PHONE, "device_receipt": Value::Null});
    assert_eq!(app.post("/v1/otp/send", &null).await.status, 429);
    line.world.clock.advance(180 * 86_400);
    app.sent(OTHER_PHONE).await;
    assert_eq!(
        send_with(&app, OTHER_PHONE, &other).await.status,
        429,
        "too old"
    );
}

/// security.md 5: after 100 wrong codes in a row only a known device or an operator helps, however long
/// anybody waits.
#[sqlx::test]
async fn a_hundred_wrong_codes_in_a_row_stop_a_phone(_: PgPoolOptions, connect: PgConnectOptions) {
    a_phone_is_stopped(Line::startmessaging_service(connect).await).await;
}

#[sqlx::test]
async fn a_hundred_wrong_codes_in_a_row_stop_a_phone_where_the_provider_makes_them(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    a_phone_is_stopped(Line::startmessaging_vendor(connect).await).await;
}

async fn a_phone_is_stopped(line: Line) {
    let world: &World = &line.world;
    let app = line.instance().await;
    let receipt = receipt(&line, &app, PHONE).await;
    for round in 0..2 {
        let id = app.sent(PHONE).await;
        sqlx::query!("UPDATE phone_throttles SET failures_in_row = 99")
            .execute(&world.pool)
            .await
            .unwrap();
        let last = app.verify(&id, &wrong(&line.code(PHONE))).await;
        assert_eq!(last.json()["attempts_remaining"], 0, "{}", last.body);
        for _ in 0..3 {
            let refused = app.send(PHONE).await;
            assert_eq!(refused.problem(), (429, "too_many_attempts".to_owned()));
            let refused = app.verify(&id, &line.code(PHONE)).await;
            assert_ne!(refused.status, 200);
            world.clock.advance(86_400 * 30);
        }
        let stops = app.events("action=phone.stop").await;
        assert_eq!(stops.len(), round + 1);
        assert_eq!(stops[0]["reason"], "wrong_codes");

        if round == 0 {
            let sent = send_with(&app, PHONE, &receipt).await;
            let id = sent.text("request_id");
            let owner = verify_with(&app, &id, &line.code(PHONE), &receipt).await;
            assert_eq!(owner.status, 200, "{}", owner.body);
        } else {
            let body = json!({"phone_number": PHONE, "reason": "proved at the counter"});
            let unlock = app
                .admin(Method::POST, "/admin/v1/phones/unlock")
                .json(&body);
            assert_eq!(Answer::of(unlock).await.status, 200);
        }
        world.clock.advance(600);
        assert_eq!(app.send(PHONE).await.status, 201, "round {round}");
        world.clock.advance(600);
    }
}

/// The tutorial's front ends know nothing of receipts: a cookie carries it.
#[sqlx::test]
async fn the_tutorials_browser_keeps_its_receipt_in_a_cookie(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let line = Line::startmessaging_service(connect).await;
    let app = line.instance().await;
    let post = async |path: &str, cookies: &str, body: Value| {
        let request = app.request(Method::POST, path).header("cookie", cookies);
        Answer::of(request.json(&body)).await
    };
    let cookie = |answer: &Answer, name: &str| -> String {
        let all = answer.headers.get_all("set-cookie").iter();
        let found = all.map(|value| value.to_str().unwrap().to_owned());
        found
            .into_iter()
            .find(|cookie| cookie.starts_with(name))
            .expect(name)
    };
    let sent = post("/auth/send-otp/", "", json!({"phone_number": PHONE})).await;
    let request = cookie(&sent, "otp_request=");
    let request = request.split(';').next().unwrap();
    let code = json!({"code": line.code(PHONE)});
    let verified = post("/auth/verify-otp/", request, code).await;
    assert_eq!(verified.status, 200, "{}", verified.body);

    let device = cookie(&verified, "otp_device=");

    for part in ["HttpOnly", "SameSite=Lax", "Path=/auth", "Max-Age=15552000"] {
        assert!(device.contains(part), "{part} in {device}");
    }
    let device = device.split(';').next().unwrap();
    line.world.clock.advance(600);
    app.sent(PHONE).await;
    let again = json!({"phone_number": PHONE});
    assert_eq!(post("/auth/send-otp/", "", again.clone()).await.status, 429);
    assert_eq!(post("/auth/send-otp/", device, again).await.status, 200);
}
