//! `Idempotency-Key`

use futures_util::future::join_all;
use otp_auth::sandbox::{Fault, FaultKind};
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, OTHER_PHONE, PHONE, World, wrong};

/// security.md 21.
#[sqlx::test]
async fn the_same_key_and_body_is_one_sms_and_the_same_reply(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);
    let body = json!({"phone_number": PHONE});

    let first = one.post_once("/v1/otp/send", "k1", &body).await;
    let again = two.post_once("/v1/otp/send", "k1", &body).await;

    assert_eq!(first.status, 201);
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(world.sms_count(PHONE), 1);
}

/// security.md 21.
#[sqlx::test]
async fn the_same_key_with_another_body_is_a_conflict(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    app.post_once("/v1/otp/send", "k1", &json!({"phone_number": PHONE}))
        .await;

    let other = app
        .post_once("/v1/otp/send", "k1", &json!({"phone_number": OTHER_PHONE}))
        .await;

    assert_eq!(other.problem(), (422, "idempotency_conflict".to_owned()));
    assert_eq!(world.sms_count(OTHER_PHONE), 0);
}

/// security.md 21.
#[sqlx::test]
async fn of_parallel_calls_with_one_key_one_works_and_the_others_wait(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);
    world.sandbox.arm(Fault {
        delay: std::time::Duration::from_millis(500),
        ..Fault::always(FaultKind::Slow)
    });
    let body = json!({"phone_number": PHONE});

    let calls = (0..20)
        .map(|n| if n % 2 == 0 { &one } else { &two }.post_once("/v1/otp/send", "k1", &body));
    let answers = join_all(calls).await;

    let created: Vec<&Answer> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .collect();
    assert!(!created.is_empty());
    assert!(created.iter().all(|answer| answer.body == created[0].body));
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(
            answer.problem(),
            (409, "idempotency_in_progress".to_owned())
        );
    }
    assert_eq!(world.sms_count(PHONE), 1);
}

#[sqlx::test]
async fn a_verify_whose_reply_was_lost_gives_the_same_tokens_again(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;
    let body = json!({"request_id": id, "code": world.code(PHONE)});

    let first = app.post_once("/v1/otp/verify", "v1", &body).await;
    let again = app.post_once("/v1/otp/verify", "v1", &body).await;

    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!((again.status, &again.body), (200, &first.body));
    let without = app.post("/v1/otp/verify", &body).await;
    assert_eq!(without.problem(), (400, "otp_request_expired".to_owned()));
}

#[sqlx::test]
async fn a_repeated_wrong_code_costs_one_try(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;
    let body = json!({"request_id": id, "code": wrong(&world.code(PHONE))});

    let first = app.post_once("/v1/otp/verify", "v1", &body).await;
    let again = app.post_once("/v1/otp/verify", "v1", &body).await;

    assert_eq!(first.problem(), (401, "otp_incorrect".to_owned()));
    assert_eq!((again.status, again.body), (401, first.body));
    assert_eq!(app.report(&id).await.json()["attempts_remaining"], 4);
}

#[sqlx::test]
async fn a_refusal_that_asks_to_come_back_is_not_kept(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    app.sent(PHONE).await;
    let body = json!({"phone_number": PHONE});
    let refused = app.post_once("/v1/otp/send", "k1", &body).await;
    assert_eq!(refused.status, 429);
    world.clock.advance(refused.retry_after());

    assert_eq!(app.post_once("/v1/otp/send", "k1", &body).await.status, 201);
}

#[sqlx::test]
async fn a_key_is_kept_for_fifteen_minutes_and_belongs_to_one_operation(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let body = json!({"phone_number": PHONE});
    let first = app.post_once("/v1/otp/send", "k1", &body).await;
    let resend = json!({"request_id": first.text("request_id")});
    let other_operation = app.post_once("/v1/otp/resend", "k1", &resend).await;
    assert_eq!(other_operation.text("limit"), "cooldown", "not a conflict");

    world.clock.advance(899);
    assert_eq!(
        app.post_once("/v1/otp/send", "k1", &body).await.body,
        first.body
    );
    world.clock.advance(1);
    let fresh = app.post_once("/v1/otp/send", "k1", &body).await;
    assert_eq!(fresh.status, 201);
    assert_ne!(fresh.text("request_id"), first.text("request_id"));
}

#[sqlx::test]
async fn keys_that_are_no_keys_are_refused(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let longest = "k".repeat(128);
    assert_eq!(
        app.post_once("/v1/otp/send", &longest, &json!({"phone_number": PHONE}))
            .await
            .status,
        201
    );

    for key in ["k".repeat(129), "a b".to_owned(), String::new()] {
        let answer = app
            .post_once("/v1/otp/send", &key, &json!({"phone_number": OTHER_PHONE}))
            .await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_request".to_owned()),
            "{key:?}"
        );
    }
    let two = app
        .request(Method::POST, "/v1/otp/send")
        .header("idempotency-key", "k1")
        .header("idempotency-key", "k2")
        .json(&json!({"phone_number": OTHER_PHONE}));
    assert_eq!(
        Answer::of(two).await.problem(),
        (400, "invalid_request".to_owned()),
        "two keys"
    );
    assert_eq!(world.sms_count(OTHER_PHONE), 0);
}
