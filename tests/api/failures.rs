//! What callers see when the provider or the database fails.

use futures_util::future::join4;
use otp_auth::sandbox::{Fault, FaultKind};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, PHONE, World};

/// Less than the 10 s that a 429 asks for: it is not waited for.
const IMPATIENT: (&str, &str) = ("STARTMESSAGING__TIMEOUT_MS", "9000");

/// One row a fault: what the caller sees, whether an SMS left, and whether the request lives on.
#[sqlx::test]
async fn each_failure_of_the_provider_has_one_answer(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("STARTMESSAGING__TIMEOUT_MS", "2500")], "")
        .await;
    for (number, (fault, status, code, sms)) in [
        (FaultKind::Http500, 502, "provider_error", 0),
        (FaultKind::Http502Html, 502, "provider_error", 0),
        (FaultKind::Throttled, 503, "provider_unavailable", 0),
        (FaultKind::NumberCooling, 429, "rate_limited", 0),
        (
            FaultKind::InsufficientBalance,
            503,
            "provider_unavailable",
            0,
        ),
        (FaultKind::Unauthorized, 503, "provider_unavailable", 0),
        (FaultKind::SendFailed, 502, "provider_error", 0),
        (FaultKind::SendFailedAfterSend, 502, "provider_error", 1),
        (FaultKind::Garbage, 502, "provider_error", 1),
        (FaultKind::ResetBefore, 504, "provider_timeout", 0),
        (FaultKind::ResetAfterSend, 504, "provider_timeout", 1),
        (FaultKind::Hang, 504, "provider_timeout", 1),
    ]
    .into_iter()
    .enumerate()
    {
        let phone = format!("+9198765432{number:02}");
        world.sandbox.arm(Fault::once(fault));

        let answer = app.send(&phone).await;

        let why = format!("{fault:?}: {}", answer.body);
        assert_eq!(answer.problem(), (status, code.to_owned()), "{why}");
        if matches!(fault, FaultKind::Garbage) {
            assert!(world.sms_count(&phone) <= 1, "{why}");
        } else {
            assert_eq!(world.sms_count(&phone), sms, "{why}");
        }
        no_words_of_the_provider(&answer);
        if world.sms_count(&phone) == 1 {
            let id = answer.text("request_id");
            let verified = app.verify(&id, &world.code(&phone)).await;
            assert_eq!(verified.status, 200, "an SMS that arrived verifies: {why}");
        }
        world.sandbox.disarm_all();
        // An account fault opens the breaker; past that, each call is a probe.
        world.clock.advance(60);
    }
}

/// security.md 43.
fn no_words_of_the_provider(answer: &Answer) {
    for word in [
        "StartMessaging",
        "balance",
        "OTP_SEND_FAILED",
        "ThrottlerException",
        "html",
        "nginx",
    ] {
        assert!(!answer.body.contains(word), "{word} in {}", answer.body);
    }
}

/// What surely did not leave is given back: waiting as told, the same call succeeds.
#[sqlx::test]
async fn a_send_that_surely_never_left_costs_nothing(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[IMPATIENT], "").await;
    for (fault, wait) in [
        (FaultKind::Throttled, 10),
        (FaultKind::NumberCooling, 300),
        // A person must act first.
        (FaultKind::InsufficientBalance, 60),
        (FaultKind::Unauthorized, 60),
    ] {
        world.sandbox.arm(Fault::once(fault));
        let refused = app.send(PHONE).await;
        assert_eq!(refused.retry_after(), wait, "{fault:?}");
        world.clock.advance(wait);
    }

    let ids = [app.sent(PHONE).await];

    assert_eq!(world.sms_count(PHONE), 1);
    assert_eq!(app.report(&ids[0]).await.json()["sends_remaining"], 2);
}

#[sqlx::test]
async fn a_first_send_that_never_left_ends_its_request(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    world.sandbox.arm(Fault::once(FaultKind::Unauthorized));
    assert_eq!(app.send(PHONE).await.status, 503);

    let row = sqlx::query!("SELECT id, delivery FROM otp_requests")
        .fetch_one(&world.pool)
        .await;
    let row = row.unwrap();
    let report = app.report(&row.id.to_string()).await;
    assert_eq!(report.text("status"), "failed");
    assert_eq!(report.text("delivery"), "failed");
}

#[sqlx::test]
async fn a_failed_resend_keeps_the_request_and_its_sends(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[IMPATIENT], "").await;
    let id = app.sent(PHONE).await;
    world.clock.advance(30);
    world.sandbox.arm(Fault::once(FaultKind::Throttled));
    let refused = app.resend(&id).await;
    assert_eq!(refused.problem(), (503, "provider_unavailable".to_owned()));
    assert_eq!(app.report(&id).await.json()["sends_remaining"], 2);
    world.clock.advance(refused.retry_after());

    assert_eq!(app.resend(&id).await.status, 200);
    assert_eq!(app.verify(&id, &world.code(PHONE)).await.status, 200);
}

#[sqlx::test]
async fn a_provider_that_cannot_be_reached_is_a_503_and_costs_nothing(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = nobody.local_addr().unwrap().port();
    drop(nobody);
    // Ends every connection at once: the handshake of TLS fails.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    for (address, why) in [
        (format!("http://127.0.0.1:{gone}"), "nobody listens"),
        ("http://nobody.invalid".to_owned(), "there is no such name"),
        (format!("https://127.0.0.1:{port}"), "it does not speak TLS"),
    ] {
        let lost = world
            .instance_with(&[("STARTMESSAGING__BASE_URL", address.as_str())], "")
            .await;
        let refused = lost.send(PHONE).await;
        let unavailable = (503, "provider_unavailable".to_owned());
        assert_eq!(refused.problem(), unavailable, "{why}");
    }

    let found = world.instance().await;
    assert_eq!(
        found.send(PHONE).await.status,
        201,
        "no cooldown is left behind"
    );
}

/// security.md 20: fail closed.
#[sqlx::test]
async fn without_its_database_the_service_refuses_and_says_so(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("DATABASE__ACQUIRE_TIMEOUT_MS", "2000")], "")
        .await;
    let id = app.sent(PHONE).await;
    let ready = app.http.get(format!("{}/readyz", app.admin));
    assert_eq!(Answer::of(ready).await.status, 200);
    world.cut_off().await;

    let unavailable = (503, "service_unavailable".to_owned());
    let (send, verify) = (app.send("+919812345678"), app.verify(&id, "000000"));
    let (send, verify, resend, report) =
        join4(send, verify, app.resend(&id), app.report(&id)).await;
    for (call, answer) in [
        ("send", send),
        ("verify", verify),
        ("resend", resend),
        ("report", report),
    ] {
        assert_eq!(answer.problem(), unavailable, "{call}");
    }
    assert_eq!(
        app.get("/.well-known/jwks.json").await.status,
        200,
        "served from memory"
    );
    let ready = Answer::of(app.http.get(format!("{}/readyz", app.admin))).await;
    assert_eq!((ready.status, ready.retry_after()), (503, 5));
    assert_eq!(ready.header("content-type"), "application/health+json");
    assert_eq!(ready.text("status"), "fail");
    assert_eq!(ready.json()["checks"]["database"][0]["status"], "fail");
    let live = app.http.get(format!("{}/livez", app.admin));
    assert_eq!(Answer::of(live).await.status, 200);
    assert_eq!(
        world.sandbox.requests().send,
        1,
        "no SMS for what cannot be stored"
    );
}

/// security.md 20: no hang.
#[sqlx::test]
async fn a_statement_that_takes_too_long_is_a_503(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("DATABASE__STATEMENT_TIMEOUT_MS", "1000")], "")
        .await;
    let mut holder = world.pool.begin().await.unwrap();
    let lock = sqlx::raw_sql("LOCK TABLE phone_throttles");
    lock.execute(&mut *holder).await.unwrap();

    let answer = app.send(PHONE).await;

    assert_eq!(answer.problem(), (503, "service_unavailable".to_owned()));
    assert_eq!(world.sandbox.requests().send, 0);
    holder.rollback().await.unwrap();
    assert_eq!(app.send(PHONE).await.status, 201);
}

/// security.md 43: a defect's answer is constant and tells nothing.
#[sqlx::test]
async fn a_broken_schema_is_a_500_that_tells_nothing(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    sqlx::raw_sql("ALTER TABLE otp_requests DROP COLUMN code_nonce")
        .execute(&world.pool)
        .await
        .unwrap();

    let answer = app.send(PHONE).await;

    assert_eq!(answer.problem(), (500, "internal_error".to_owned()));
    for word in [
        "column",
        "code_nonce",
        "relation",
        "SELECT",
        "INSERT",
        "sqlx",
    ] {
        assert!(!answer.body.contains(word), "{word} in {}", answer.body);
    }
    assert_eq!(world.sandbox.requests().send, 0);
}
