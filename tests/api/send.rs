//! `POST /v1/otp/send`

use chrono::{DateTime, Utc};
use otp_auth::clock::Clock as _;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{OTHER_PHONE, PHONE, World};

#[sqlx::test]
async fn send_texts_a_code_and_tells_where_and_how_long(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let now = world.clock.now();

    let answer = app.send(PHONE).await;

    assert_eq!(answer.status, 201, "{}", answer.body);
    let body = answer.json();
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "channel",
            "code_length",
            "expires_at",
            "expires_in",
            "phone_number",
            "request_id",
            "resend_at",
            "sends_remaining"
        ]
    );
    assert_eq!(body["phone_number"], "+91******3210");
    assert_eq!(body["channel"], "sms");
    assert_eq!(body["code_length"], 6);
    assert_eq!(body["expires_in"], 300);
    assert_eq!(body["sends_remaining"], 2);
    assert_eq!(seconds_after(now, &body["expires_at"]), 300);
    assert_eq!(seconds_after(now, &body["resend_at"]), 30);
    assert_eq!(
        answer.header("location"),
        format!("/v1/otp/{}", answer.text("request_id"))
    );
    let message = &world.sandbox.messages_to(PHONE)[0];
    assert_eq!(message.code.len(), 6);
    assert!(message.text.contains("5 minutes"), "{}", message.text);
}

fn seconds_after(now: DateTime<Utc>, time: &Value) -> i64 {
    let text = time.as_str().unwrap();
    assert!(text.ends_with('Z'), "{text}");
    (text.parse::<DateTime<Utc>>().unwrap() - now).num_seconds()
}

/// security.md 13.
#[sqlx::test]
async fn every_spelling_of_a_number_is_one_phone(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    app.sent("9876543210").await;

    for spelling in [
        "09876543210",
        "+91 98765 43210",
        "+919876543210",
        "00919876543210",
        "98765-43210",
    ] {
        let answer = app.send(spelling).await;
        assert_eq!(
            answer.problem(),
            (429, "rate_limited".to_owned()),
            "{spelling}"
        );
        assert_eq!(answer.text("limit"), "cooldown", "{spelling}");
    }
    assert_eq!(world.sms_count(PHONE), 1);
}

/// security.md 19: what is refused costs no SMS.
#[sqlx::test]
async fn numbers_that_are_not_sent_to_are_refused_before_any_sms(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    for (number, status, code, why) in [
        (
            "+911123456789",
            403,
            "phone_number_not_allowed",
            "a landline in Delhi",
        ),
        (
            "+14155552671",
            403,
            "phone_number_not_allowed",
            "another country",
        ),
        (
            "+447911123456",
            403,
            "phone_number_not_allowed",
            "another country",
        ),
        ("+91987654321", 400, "invalid_phone_number", "a digit short"),
        (
            "+9198765432101",
            400,
            "invalid_phone_number",
            "a digit long",
        ),
        (
            "+919876543210 ext 5",
            400,
            "invalid_phone_number",
            "an extension",
        ),
        ("hello", 400, "invalid_phone_number", "no number"),
        ("", 400, "invalid_phone_number", "nothing"),
    ] {
        let answer = app.send(number).await;
        assert_eq!(
            answer.problem(),
            (status, code.to_owned()),
            "{why}: {}",
            answer.body
        );
    }
    assert_eq!(world.sandbox.requests().send, 0);
}

#[sqlx::test]
async fn malformed_bodies_are_refused_with_a_pointer_to_each_fault(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    for (body, pointers) in [
        (json!({}), vec!["/phone_number"]),
        (json!({"phone_number": null}), vec!["/phone_number"]),
        (
            json!({"phone_number": 919_876_543_210_i64}),
            vec!["/phone_number"],
        ),
        (
            json!({"phone_number": PHONE, "purpose": "admin"}),
            vec!["/purpose"],
        ),
        (json!({"purpose": 5}), vec!["/phone_number", "/purpose"]),
        (
            json!({"phone_number": PHONE, "client_id": 5}),
            vec!["/client_id"],
        ),
        (json!([PHONE]), vec![""]),
        (json!(PHONE), vec![""]),
    ] {
        let answer = app.post("/v1/otp/send", &body).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_request".to_owned()),
            "{body}"
        );
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        let found: Vec<&str> = errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(found, pointers, "{body}");
    }
    assert_eq!(world.sandbox.requests().send, 0);
}

#[sqlx::test]
async fn a_newer_send_supersedes_the_older_request(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let older = app.sent(PHONE).await;
    let older_code = world.code(PHONE);
    world.clock.advance(30);
    let newer = app.sent(PHONE).await;

    assert_eq!(app.report(&older).await.text("status"), "expired");
    let answer = app.verify(&older, &older_code).await;
    assert_eq!(answer.problem(), (400, "otp_request_expired".to_owned()));
    assert_eq!(app.verify(&newer, &world.code(PHONE)).await.status, 200);
}

/// security.md 11: the answer does not tell whether the phone is known.
#[sqlx::test]
async fn known_and_unknown_phones_get_the_same_answer(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;
    assert_eq!(app.verify(&id, &world.code(PHONE)).await.status, 200);
    world.clock.advance(3600);

    let known = app.send(PHONE).await;
    let unknown = app.send(OTHER_PHONE).await;

    let shape = |answer: &crate::support::Answer| {
        let mut body = answer.json();
        for own in ["request_id", "phone_number"] {
            body[own] = Value::Null;
        }
        let names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        (answer.status, body, names)
    };
    assert_eq!(known.status, 201);
    assert_eq!(shape(&known), shape(&unknown));
}
