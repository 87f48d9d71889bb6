//! `GET /v1/otp/{request_id}`

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{PHONE, World, wrong};

#[sqlx::test]
async fn a_report_follows_a_request_through_its_life(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;

    let fresh = app.report(&id).await;
    assert_eq!(fresh.status, 200, "{}", fresh.body);
    let members: Vec<String> = fresh.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        members,
        [
            "attempts_remaining",
            "delivery",
            "expires_at",
            "request_id",
            "resend_at",
            "sends_remaining",
            "status"
        ]
    );
    assert_eq!(fresh.text("status"), "pending");
    assert_eq!(fresh.text("delivery"), "sent");
    assert_eq!(fresh.json()["attempts_remaining"], 5);
    assert_eq!(fresh.json()["sends_remaining"], 2);

    app.verify(&id, &wrong(&world.code(PHONE))).await;
    assert_eq!(app.report(&id).await.json()["attempts_remaining"], 4);

    app.verify(&id, &world.code(PHONE)).await;
    let used = app.report(&id).await;
    assert_eq!(used.text("status"), "verified");
    assert_eq!(used.json()["attempts_remaining"], 0);
    assert_eq!(used.json()["sends_remaining"], 0);
}

#[sqlx::test]
async fn a_report_tells_expired_and_locked_requests_apart(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let expired = app.sent(PHONE).await;
    world.clock.advance(299);
    assert_eq!(app.report(&expired).await.text("status"), "pending");
    world.clock.advance(1);
    assert_eq!(app.report(&expired).await.text("status"), "expired");

    let locked = app.sent(PHONE).await;
    let bad = wrong(&world.code(PHONE));
    for _ in 0..5 {
        app.verify(&locked, &bad).await;
    }
    let report = app.report(&locked).await;
    assert_eq!(report.text("status"), "locked");
    assert_eq!(report.json()["attempts_remaining"], 0);
}

#[sqlx::test]
async fn an_unknown_request_has_no_report(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let unknown = app.report("00000000-0000-7000-8000-000000000000").await;
    assert_eq!(unknown.problem(), (400, "otp_request_expired".to_owned()));
    let malformed = app.report("abc").await;
    assert_eq!(malformed.problem(), (400, "invalid_request".to_owned()));
}
