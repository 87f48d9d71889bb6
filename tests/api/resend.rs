//! `POST /v1/otp/resend`

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{PHONE, World, wrong};

#[sqlx::test]
async fn resend_sends_the_same_digits_and_keeps_the_expiry(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let first = app.send(PHONE).await;
    let id = first.text("request_id");
    world.clock.advance(30);

    let second = app.resend(&id).await;

    assert_eq!(second.status, 200, "{}", second.body);
    assert_eq!(second.text("request_id"), id);
    assert_eq!(second.text("expires_at"), first.text("expires_at"));
    assert_eq!(second.json()["expires_in"], 270);
    assert_eq!(second.json()["sends_remaining"], 1);
    let codes: Vec<String> = world
        .sandbox
        .messages_to(PHONE)
        .into_iter()
        .map(|message| message.code)
        .collect();
    assert_eq!(codes.len(), 2);
    assert_eq!(codes[0], codes[1]);
    let texts = world.sandbox.messages_to(PHONE);
    assert!(
        texts[0].text.contains("4 minutes"),
        "not more than is left: {}",
        texts[0].text
    );
    assert_eq!(app.verify(&id, &codes[0]).await.status, 200);
}

#[sqlx::test]
async fn resend_waits_for_a_cooldown_that_grows(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(
            &[
                ("LIMITS__PHONE__SENDS_PER_5_MINUTES", "0"),
                ("OTP__MAX_SENDS", "5"),
            ],
            "",
        )
        .await;
    let id = app.sent(PHONE).await;

    for (cooldown, send) in [(30, 2), (60, 3), (120, 4)] {
        world.clock.advance(cooldown - 1);
        let early = app.resend(&id).await;
        assert_eq!(early.problem(), (429, "rate_limited".to_owned()));
        assert_eq!(early.text("limit"), "cooldown");
        assert_eq!(early.retry_after(), 1);
        world.clock.advance(early.retry_after());
        assert_eq!(app.resend(&id).await.status, 200, "send {send}");
    }
    assert_eq!(world.sms_count(PHONE), 4);
}

#[sqlx::test]
async fn a_request_has_three_sends_and_no_more(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("LIMITS__PHONE__SENDS_PER_5_MINUTES", "0")], "")
        .await;
    let id = app.sent(PHONE).await;
    world.clock.advance(30);
    assert_eq!(app.resend(&id).await.json()["sends_remaining"], 1);
    world.clock.advance(60);
    assert_eq!(app.resend(&id).await.json()["sends_remaining"], 0);
    world.clock.advance(120);

    let fourth = app.resend(&id).await;

    assert_eq!(fourth.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(fourth.text("limit"), "phone");
    assert!(
        fourth.text("detail").contains("no sends left"),
        "{}",
        fourth.body
    );
    world.clock.advance(fourth.retry_after());
    assert_eq!(app.send(PHONE).await.status, 201, "a new request passes");
    assert_eq!(world.sms_count(PHONE), 4);
}

#[sqlx::test]
async fn only_a_live_request_is_sent_again(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let gone = (400, "otp_request_expired".to_owned());

    let unknown = app.resend("00000000-0000-7000-8000-000000000000").await;
    assert_eq!(unknown.problem(), gone, "unknown");

    let used = app.sent(PHONE).await;
    app.verify(&used, &world.code(PHONE)).await;
    world.clock.advance(60);
    assert_eq!(app.resend(&used).await.problem(), gone, "used");

    let expired = app.sent(PHONE).await;
    world.clock.advance(300);
    assert_eq!(app.resend(&expired).await.problem(), gone, "expired");

    let locked = app.sent(PHONE).await;
    let bad = wrong(&world.code(PHONE));
    for _ in 0..5 {
        app.verify(&locked, &bad).await;
    }
    world.clock.advance(60);
    let answer = app.resend(&locked).await;
    assert_eq!(
        answer.problem(),
        (429, "too_many_attempts".to_owned()),
        "locked"
    );
    assert_eq!(world.sms_count(PHONE), 3);
}

#[sqlx::test]
async fn how_many_sends_a_request_has_is_a_setting(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[("OTP__MAX_SENDS", "2")], "").await;

    let first = app.send(PHONE).await;
    world.clock.advance(30);
    let second = app.resend(&first.text("request_id")).await;
    world.clock.advance(60);
    let third = app.resend(&first.text("request_id")).await;

    assert_eq!(first.json()["sends_remaining"], 1);
    assert_eq!(second.json()["sends_remaining"], 0);
    assert_eq!(third.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(world.sms_count(PHONE), 2);
}

#[sqlx::test]
async fn malformed_resends_are_refused(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    for body in [
        json!({}),
        json!({"request_id": 5}),
        json!({"request_id": "abc"}),
        json!({"request_id": "0123456789abcdef0123456789abcdef"}),
    ] {
        let answer = app.post("/v1/otp/resend", &body).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_request".to_owned()),
            "{body}"
        );
        assert_eq!(answer.json()["errors"][0]["pointer"], "/request_id");
    }
}
