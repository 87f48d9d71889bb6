//! The two calls of the vendor's tutorial: bodies and status codes byte for byte.

use otp_auth::clock::Clock as _;
use otp_auth::sandbox::{Fault, FaultKind};
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, CLIENTS, Instance, PHONE, World, wrong};

async fn verify(app: &Instance, cookie: &str, code: &str) -> Answer {
    let request = app
        .request(Method::POST, "/auth/verify-otp/")
        .header("cookie", cookie);
    Answer::of(request.json(&json!({"code": code}))).await
}

/// Name and value of the cookie that an answer set.
fn cookie(answer: &Answer) -> String {
    answer
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

async fn sent(app: &Instance) -> String {
    let answer = app
        .post("/auth/send-otp/", &json!({"phone_number": PHONE}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    cookie(&answer)
}

#[sqlx::test]
async fn the_tutorials_front_end_logs_in(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let sent = app
        .post("/auth/send-otp/", &json!({"phone_number": PHONE}))
        .await;
    assert_eq!(sent.status, 200);
    let expires_at = world.clock.now() + chrono::TimeDelta::seconds(300);
    let expires_at = expires_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    assert_eq!(sent.body, format!(r#"{{"expires_at":"{expires_at}"}}"#));
    let attributes = sent.header("set-cookie");
    for attribute in [
        "otp_request=",
        "HttpOnly",
        "SameSite=Lax",
        "Path=/auth",
        "Max-Age=300",
    ] {
        assert!(
            attributes.contains(attribute),
            "{attribute} in {attributes}"
        );
    }
    assert!(
        !attributes.contains("Secure"),
        "the issuer is plain http here"
    );

    let cookie = cookie(&sent);
    let bad = verify(&app, &cookie, &wrong(&world.code(PHONE))).await;
    assert_eq!(
        (bad.status, bad.body.as_str()),
        (401, r#"{"verified":false}"#)
    );
    let good = verify(&app, &cookie, &world.code(PHONE)).await;
    assert_eq!(good.status, 200, "{}", good.body);
    assert_eq!(good.json()["verified"], true);
    assert!(good.json()["access_token"].is_string());
    assert!(
        good.header("set-cookie").contains("Max-Age=0"),
        "the cookie is spent"
    );
    let again = verify(&app, &cookie, &world.code(PHONE)).await;
    assert_eq!(
        (again.status, again.body.as_str()),
        (400, r#"{"error":"session expired"}"#)
    );
}

#[sqlx::test]
async fn both_paths_work_with_and_without_the_trailing_slash(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let sent = app
        .post("/auth/send-otp", &json!({"phone_number": PHONE}))
        .await;
    let request = app
        .request(Method::POST, "/auth/verify-otp")
        .header("cookie", cookie(&sent));
    let answer = Answer::of(request.json(&json!({"code": world.code(PHONE)}))).await;

    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[sqlx::test]
async fn an_https_issuer_makes_the_cookie_secure(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("SERVER__ISSUER", "https://id.example")], "")
        .await;

    let sent = app
        .post("/auth/send-otp/", &json!({"phone_number": PHONE}))
        .await;

    assert!(sent.header("set-cookie").contains("Secure"));
}

#[sqlx::test]
async fn field_errors_are_in_the_frameworks_words(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let cookie = sent(&app).await;
    let pattern = "This value does not match the required pattern.";

    for (body, message) in [
        (json!({}), "This field is required."),
        (json!({"phone_number": null}), "This field may not be null."),
        (json!({"phone_number": ""}), "This field may not be blank."),
        (json!({"phone_number": 5}), "Not a valid string."),
        (json!({"phone_number": "9876543210"}), pattern),
        (json!({"phone_number": "+9198765432"}), pattern),
        (json!({"phone_number": "+91987654321０"}), pattern),
        (json!({"phone_number": "+14155552671"}), pattern),
        (
            json!({"phone_number": "+911123456789"}),
            "Enter a valid mobile number.",
        ),
    ] {
        let answer = app.post("/auth/send-otp/", &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(
            answer.body,
            format!(r#"{{"phone_number":["{message}"]}}"#),
            "{body}"
        );
    }
    for (code, message) in [
        ("", "This field may not be blank."),
        ("123", pattern),
        ("1234567", pattern),
        ("12a456", pattern),
    ] {
        let answer = verify(&app, &cookie, code).await;
        assert_eq!(
            (answer.status, answer.body),
            (400, format!(r#"{{"code":["{message}"]}}"#))
        );
    }
    let short = verify(&app, &cookie, "1234").await;
    assert_eq!(
        (short.status, short.body.as_str()),
        (401, r#"{"verified":false}"#)
    );
}

#[sqlx::test]
async fn limits_and_failures_are_in_the_frameworks_words(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let cookie = sent(&app).await;

    let limited = app
        .post("/auth/send-otp/", &json!({"phone_number": PHONE}))
        .await;
    assert_eq!(
        (limited.status, limited.body.as_str()),
        (429, r#"{"detail":"Too many calls"}"#)
    );
    assert_eq!(limited.retry_after(), 30);

    let bad = wrong(&world.code(PHONE));
    for _ in 0..5 {
        assert_eq!(verify(&app, &cookie, &bad).await.status, 401);
    }
    let spent = verify(&app, &cookie, &bad).await;
    assert_eq!(
        (spent.status, spent.body.as_str()),
        (429, r#"{"detail":"Too many wrong codes"}"#)
    );
    assert!(spent.retry_after() >= 1);

    world.clock.advance(60);
    world.sandbox.arm(Fault::once(FaultKind::Http500));
    let failed = app
        .post("/auth/send-otp/", &json!({"phone_number": PHONE}))
        .await;
    assert_eq!(
        (failed.status, failed.body.as_str()),
        (502, r#"{"error":"The SMS provider failed"}"#)
    );
}

/// The vendor failed after the SMS had left: its code still logs in.
#[sqlx::test]
async fn a_code_that_arrives_after_a_failure_still_logs_in(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    world.sandbox.arm(Fault::once(FaultKind::ResetAfterSend));

    let failed = app
        .post("/auth/send-otp/", &json!({"phone_number": PHONE}))
        .await;

    assert_eq!(failed.status, 504, "{}", failed.body);
    assert!(failed.json()["error"].is_string());
    let verified = verify(&app, &cookie(&failed), &world.code(PHONE)).await;
    assert_eq!(verified.status, 200, "{}", verified.body);
}

#[sqlx::test]
async fn without_a_live_cookie_the_session_has_expired(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let live = sent(&app).await;
    let code = world.code(PHONE);
    let forged = format!("{}x", live.strip_suffix(|_: char| true).unwrap());

    for (cookie, why) in [
        ("", "none"),
        ("otp_request=", "empty"),
        ("otp_request=abc", "junk"),
        (&forged, "bent"),
    ] {
        let answer = verify(&app, cookie, &code).await;
        let expected = (400, r#"{"error":"session expired"}"#);
        assert_eq!((answer.status, answer.body.as_str()), expected, "{why}");
    }
    world.clock.advance(300);
    let late = verify(&app, &live, &code).await;
    assert_eq!(
        (late.status, late.body.as_str()),
        (400, r#"{"error":"session expired"}"#)
    );
}

#[sqlx::test]
async fn posts_from_other_sites_are_refused(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let toml = CLIENTS.split("[[clients]]").nth(1).unwrap();
    let app = world
        .instance_with(&[], &format!("[[clients]]{toml}"))
        .await;

    for (name, value, status) in [
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("origin", "https://web.example", 200),
        ("origin", "http://127.0.0.1:8080", 200),
        ("origin", "https://web.ex\u{e4}mple", 403),
    ] {
        let request = app
            .request(Method::POST, "/auth/send-otp/")
            .header(name, value.as_bytes());
        let answer = Answer::of(request.json(&json!({"phone_number": PHONE}))).await;
        assert_eq!(answer.status, status, "{name}: {value}: {}", answer.body);
        world.clock.advance(3600);
    }
}

/// A throttled route tells what is left, whatever else it answers.
#[sqlx::test]
async fn every_answer_after_the_address_was_counted_tells_what_is_left(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let settings = [
        ("LIMITS__IP__SENDS_PER_MINUTE", "20"),
        ("LIMITS__IP__VERIFIES_PER_MINUTE", "20"),
    ];
    let app = world.instance_with(&settings, "").await;
    let sent = json!({"phone_number": PHONE});

    for (path, body, status) in [
        ("/auth/send-otp/", &json!({"phone_number": "x"}), 400),
        ("/auth/send-otp/", &sent, 200),
        ("/auth/send-otp/", &sent, 429),
        ("/auth/verify-otp/", &json!({"code": "x"}), 400),
        ("/auth/verify-otp/", &json!({"code": "123456"}), 400),
    ] {
        let answer = app.post(path, body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let told = answer.header("ratelimit");
        assert!(told.contains("\"ip-60s\";r="), "{path} {status}: {told:?}");
    }
}
