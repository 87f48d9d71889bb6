//! How long an `Idempotency-Key` belongs to whoever claimed it.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join;
use otp_auth::sandbox::{Fault, FaultKind};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::task::JoinHandle;

use crate::support::{Answer, CLIENTS, Instance, OTHER_PHONE, PHONE, SECRET, World};

/// A lease of 100 s: the provider's timeout, and eight times both of the database's.
const LEASE: [(&str, &str); 3] = [
    ("STARTMESSAGING__TIMEOUT_MS", "60000"),
    ("DATABASE__ACQUIRE_TIMEOUT_MS", "2500"),
    ("DATABASE__STATEMENT_TIMEOUT_MS", "2500"),
];

fn send(app: &Instance, key: &str, phone: &str) -> impl Future<Output = Answer> + use<> {
    let request = app
        .request(Method::POST, "/v1/otp/send")
        .header("idempotency-key", key);
    Answer::of(request.json(&json!({"phone_number": phone})))
}

/// Sends a code whose provider does not answer, and returns while the call is under way.
async fn stuck(
    world: &World,
    calls_before: usize,
    call: impl Future<Output = Answer> + Send + 'static,
) -> JoinHandle<Answer> {
    world.sandbox.arm(Fault::once(FaultKind::Hang));
    let call = tokio::spawn(call);
    let held = async {
        while world.sandbox.held_replies() == calls_before {
            tokio::task::yield_now().await;
        }
    };
    let held = tokio::time::timeout(Duration::from_mins(1), held).await;
    held.expect("the provider holds its answer back");
    call
}

#[sqlx::test]
async fn a_key_is_taken_over_when_its_lease_has_ended_and_not_before(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let one = world.instance_with(&LEASE, "").await;
    let two = world.instance_with(&LEASE, "").await;
    let mut calls = Vec::new();
    for (row, (millis, status)) in [(99_999, 409), (100_000, 504), (100_001, 504)]
        .into_iter()
        .enumerate()
    {
        let (key, phone) = (format!("k{row}"), format!("+9198765432{row:02}"));
        let call = stuck(&world, row, send(&one, &key, &phone)).await;
        assert_eq!(send(&two, &key, &phone).await.status, 409, "at once");
        world.clock.advance_by(TimeDelta::milliseconds(millis));

        let answer = send(&two, &key, &phone).await;

        assert_eq!(answer.status, status, "after {millis} ms: {}", answer.body);
        calls.push((call, (status == 504).then_some(answer.body), phone));
    }
    world.sandbox.stop();
    for (call, taken_over, phone) in calls {
        let late = call.await.unwrap();
        assert_eq!(late.status, 504, "{}", late.body);
        assert_eq!(
            late.body,
            taken_over.unwrap_or(late.body.clone()),
            "one reply"
        );
        assert_eq!(world.sms_count(&phone), 1);
    }
}

/// Where a call may take very long, its key outlives it all the same.
#[sqlx::test]
async fn a_lease_longer_than_replies_are_kept_is_waited_for(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let longest = [
        ("STARTMESSAGING__TIMEOUT_MS", "60000"),
        ("DATABASE__ACQUIRE_TIMEOUT_MS", "60000"),
        ("DATABASE__STATEMENT_TIMEOUT_MS", "60000"),
    ];
    let app = world.instance_with(&longest, "").await;
    let call = stuck(&world, 0, send(&app, "k1", PHONE)).await;
    for (seconds, status) in [(900, 409), (119, 409), (1, 201)] {
        world.clock.advance(seconds);

        let answer = send(&app, "k1", PHONE).await;

        assert_eq!(answer.status, status, "{seconds} s later: {}", answer.body);
    }
    world.sandbox.stop();
    assert_eq!(call.await.unwrap().status, 504);
}

#[sqlx::test]
async fn a_key_whose_owner_gave_up_may_be_used_again_at_once(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    // Less than the 10 s that a 429 asks for: it is not waited for.
    let impatient = [("STARTMESSAGING__TIMEOUT_MS", "9000")];
    let (one, two) = join(
        world.instance_with(&impatient, ""),
        world.instance_with(&impatient, ""),
    )
    .await;
    world.sandbox.arm(Fault::once(FaultKind::Throttled));
    let refused = send(&one, "k1", PHONE).await;
    assert_eq!(refused.problem(), (503, "provider_unavailable".to_owned()));

    let sent = send(&two, "k1", PHONE).await;

    assert_eq!(sent.status, 201, "{}", sent.body);
    assert_eq!(send(&one, "k1", PHONE).await.body, sent.body);
    assert_eq!(world.sms_count(PHONE), 1);
    let requests = sqlx::query_scalar!(r#"SELECT id::text AS "id!" FROM otp_requests"#);
    let requests = requests.fetch_all(&world.pool).await.unwrap();
    assert_eq!(requests, [sent.text("request_id")], "the same operation");
}

#[sqlx::test]
async fn another_body_is_a_conflict_during_a_lease_and_after_it(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&LEASE, "").await;
    let call = stuck(&world, 0, send(&app, "k1", PHONE)).await;
    for seconds in [0, 99, 1, 1] {
        world.clock.advance(seconds);

        let other = send(&app, "k1", OTHER_PHONE).await;

        assert_eq!(other.problem(), (422, "idempotency_conflict".to_owned()));
    }
    assert_eq!(world.sms_count(OTHER_PHONE), 0);
    world.sandbox.stop();
    assert_eq!(call.await.unwrap().status, 504);
}

#[sqlx::test]
async fn a_key_in_progress_is_in_nobody_elses_way(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&LEASE, CLIENTS).await;
    let post = |body: Value| {
        let request = app.request(Method::POST, "/v1/otp/send");
        request.header("idempotency-key", "k1").json(&body)
    };
    let of_web = |phone: &str| post(json!({"phone_number": phone, "client_id": "web"}));
    let of_shop =
        |phone: &str| post(json!({"phone_number": phone})).basic_auth("shop", Some(SECRET));
    let call = stuck(&world, 0, Answer::of(of_web(PHONE))).await;

    let shop = Answer::of(of_shop(OTHER_PHONE)).await;

    assert_eq!(shop.status, 201, "{}", shop.body);
    assert_eq!(Answer::of(of_web(PHONE)).await.status, 409);
    assert_eq!(Answer::of(of_shop(OTHER_PHONE)).await.body, shop.body);
    assert_eq!(world.sms_count(OTHER_PHONE), 1);
    world.sandbox.stop();
    assert_eq!(call.await.unwrap().status, 504);
}
