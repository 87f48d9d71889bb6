//! `POST /v1/otp/verify`

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{OTHER_PHONE, PHONE, World, wrong};

#[sqlx::test]
async fn a_right_code_signs_in_once(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;
    let code = world.code(PHONE);

    let first = app.verify(&id, &code).await;
    let second = app.verify(&id, &code).await;

    assert_eq!(first.status, 200, "{}", first.body);
    let body = first.json();
    assert_eq!(body["verified"], true);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 900);
    assert_eq!(body["new_user"], true);
    assert_eq!(body["refresh_expires_in"], 2_592_000);
    assert!(app.lets_in(&first.text("access_token")).await);
    assert_eq!(first.header("cache-control"), "no-store");
    assert_eq!(second.problem(), (400, "otp_request_expired".to_owned()));
}

#[sqlx::test]
async fn a_phone_keeps_its_user_and_each_login_has_its_session(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let mut logins = Vec::new();
    for phone in [PHONE, PHONE, OTHER_PHONE] {
        let id = app.sent(phone).await;
        logins.push(app.verify(&id, &world.code(phone)).await);
        world.clock.advance(60);
    }

    let [first, again, other] = logins.try_into().unwrap();
    assert_eq!(first.text("subject"), again.text("subject"));
    assert_ne!(first.text("session_id"), again.text("session_id"));
    assert_eq!(again.json()["new_user"], false);
    assert_ne!(first.text("subject"), other.text("subject"));
    assert_eq!(other.json()["new_user"], true);
}

/// security.md 4.
#[sqlx::test]
async fn five_wrong_codes_end_a_request_even_for_the_right_one(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;
    let code = world.code(PHONE);

    for left in [4, 3, 2, 1, 0] {
        let answer = app.verify(&id, &wrong(&code)).await;
        assert_eq!(answer.problem(), (401, "otp_incorrect".to_owned()));
        assert_eq!(answer.json()["verified"], false);
        assert_eq!(answer.json()["attempts_remaining"], left);
    }

    let right = app.verify(&id, &code).await;
    assert_eq!(right.problem(), (429, "too_many_attempts".to_owned()));
    world.clock.advance(right.retry_after());
    assert_eq!(
        app.send(PHONE).await.status,
        201,
        "a new code after the wait"
    );
}

#[sqlx::test]
async fn the_fifth_try_may_be_the_right_one(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;
    let code = world.code(PHONE);
    for _ in 0..4 {
        app.verify(&id, &wrong(&code)).await;
    }

    assert_eq!(app.verify(&id, &code).await.status, 200);
}

/// security.md 2.
#[sqlx::test]
async fn a_code_works_until_its_last_second(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    for (age, works) in [(299, true), (300, false), (301, false)] {
        let id = app.sent(PHONE).await;
        world.clock.advance(age);
        let answer = app.verify(&id, &world.code(PHONE)).await;
        if works {
            assert_eq!(answer.status, 200, "after {age} s");
        } else {
            let expired = (400, "otp_request_expired".to_owned());
            assert_eq!(answer.problem(), expired, "after {age} s");
        }
        world.clock.advance(3600);
    }
}

/// security.md 8.
#[sqlx::test]
async fn a_code_is_wrong_for_any_other_request(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let mine = app.sent(PHONE).await;
    app.sent(OTHER_PHONE).await;
    let (my_code, other_code) = (world.code(PHONE), world.code(OTHER_PHONE));
    assert_ne!(my_code, other_code, "one in a million: run again");

    assert_eq!(
        app.verify(&mine, &other_code).await.problem(),
        (401, "otp_incorrect".to_owned())
    );
    assert_eq!(app.verify(&mine, &my_code).await.status, 200);
}

#[sqlx::test]
async fn malformed_verifies_are_refused_and_cost_no_try(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;

    for (body, pointers) in [
        (json!({}), vec!["/request_id", "/code"]),
        (json!({"request_id": id}), vec!["/code"]),
        (json!({"request_id": id, "code": 123_456}), vec!["/code"]),
        (json!({"request_id": id, "code": "12345"}), vec!["/code"]),
        (json!({"request_id": id, "code": "1234567"}), vec!["/code"]),
        (json!({"request_id": id, "code": "12345a"}), vec!["/code"]),
        (
            json!({"request_id": "x", "code": "123456"}),
            vec!["/request_id"],
        ),
    ] {
        let answer = app.post("/v1/otp/verify", &body).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_request".to_owned()),
            "{body}"
        );
        assert_eq!(answer.pointers(), pointers, "{body}");
    }
    assert_eq!(app.report(&id).await.json()["attempts_remaining"], 5);
}

#[sqlx::test]
async fn a_test_number_signs_in_with_its_fixed_code_and_costs_no_sms(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let numbers = "[[test_numbers]]\nphone_number = \"+919876543210\"\ncode = \"424242\"\n";
    let app = world.instance_with(&[], numbers).await;
    let id = app.sent(PHONE).await;

    assert_eq!(
        app.verify(&id, "424243").await.problem(),
        (401, "otp_incorrect".to_owned())
    );
    assert_eq!(app.verify(&id, "424242").await.status, 200);
    assert_eq!(world.sandbox.requests().send, 0);
}
