//! The database's connection that breaks in the middle of a statement, while the program lives.

use otp_auth::sandbox::Mode;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::Statement::{Accept, Begin, Keep, Refund};
use crate::support::{World, send, verify};

const PHONE: &str = "+919876543210";

#[sqlx::test]
async fn that_an_sms_was_taken_is_recorded_later(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect, Mode::Service).await;
    let program = world.program().await;
    let post = send(PHONE, "key");
    let (call, held) = world.bring_to(Accept, &program, &post).await;

    world.break_connection(Accept).await;

    let answer = call.await.unwrap().unwrap();
    assert_eq!(answer.status, 201, "the caller need not wait: {answer:?}");
    let report = format!("/v1/otp/{}", answer.text("request_id"));
    assert_eq!(program.get(&report).await.text("delivery"), "queued");
    held.release().await;
    world
        .until("(SELECT delivery = 'sent' AND due_at IS NOT NULL FROM otp_requests)")
        .await;
    assert_eq!(program.get(&report).await.text("delivery"), "sent");
    assert_eq!(program.post(&post).await, answer);
    assert_eq!(world.sms_count(PHONE), 1);
}

#[sqlx::test]
async fn what_an_sms_took_that_never_left_is_given_back_later(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect, Mode::Service).await;
    let provider = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", provider.local_addr().unwrap());
    let own = [
        ("STARTMESSAGING__BASE_URL", url.as_str()),
        // Less than the 10 s that the refusal asks for: it is not waited for.
        ("STARTMESSAGING__TIMEOUT_MS", "9000"),
        ("OTP__RESEND_COOLDOWNS_SECONDS", "30"),
    ];
    let program = world.program_with(&own).await;
    let post = send(PHONE, "key");
    let call = program.begin(&post);
    let (mut asked, _) = provider.accept().await.unwrap();
    let mut request = Vec::new();
    // Its body is an object that ends with an object.
    while !request.ends_with(b"}}") {
        assert_ne!(asked.read_buf(&mut request).await.unwrap(), 0);
    }
    let held = world.hold(Refund).await;
    let refusal = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 10\r\ncontent-length: 0\r\n\r\n";
    asked.write_all(refusal.as_bytes()).await.unwrap();
    world.until_waiting(Refund).await;

    world.break_connection(Refund).await;

    let answer = call.await.unwrap().unwrap();
    assert_eq!(answer.text("code"), "provider_unavailable", "{answer:?}");
    held.release().await;
    world
        .until("(SELECT delivery = 'failed' AND failed_at IS NOT NULL FROM otp_requests)")
        .await;
    let logged: i32 = world
        .ask("SELECT cardinality(send_log) FROM phone_throttles")
        .await;
    assert_eq!(logged, 0, "its place in the limits");
    let well = world
        .program_with(&[("OTP__RESEND_COOLDOWNS_SECONDS", "30")])
        .await;
    let sent = well.post(&post).await;
    assert_eq!(sent.status, 201, "the cooldown too: {sent:?}");
    let right = verify(&sent.text("request_id"), &world.code(PHONE), "verify");
    assert_eq!(well.post(&right).await.status, 200);
}

#[sqlx::test]
async fn a_reply_that_could_not_be_kept_at_first_is_kept_a_moment_later(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect, Mode::Service).await;
    let program = world.program().await;
    program.post(&send(PHONE, "first")).await;
    let post = send(PHONE, "key");
    let (call, held) = world.bring_to(Keep, &program, &post).await;

    world.break_connection(Keep).await;

    held.release().await;
    let answer = call.await.unwrap().unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
    let again = program.post(&post).await;
    assert_eq!(again.body, answer.body);
    assert_eq!(world.sms_count(PHONE), 2);
}

/// Given all the same, it would not be what a repeat gets.
#[sqlx::test]
async fn a_reply_that_cannot_be_kept_is_not_given_but_found_again(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect, Mode::Service).await;
    let program = world.program().await;
    program.post(&send(PHONE, "first")).await;
    let post = send(PHONE, "key");
    let (call, held) = world.bring_to(Keep, &program, &post).await;

    world.break_connection(Keep).await;
    for _ in 0..2 {
        world.until_waiting(Keep).await;
        world.break_connection(Keep).await;
    }

    let answer = call.await.unwrap().unwrap();
    assert_eq!(answer.text("code"), "service_unavailable", "{answer:?}");
    held.release().await;
    assert_eq!(program.post(&post).await.status, 409);
    world.end_leases().await;
    let again = world.repeat(&program, &post).await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(program.post(&post).await.body, again.body);
    assert_eq!(world.sms_count(PHONE), 2);
}

#[sqlx::test]
async fn a_send_that_could_not_be_stored_may_be_made_again_at_once(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect, Mode::Service).await;
    let program = world.program().await;
    program.post(&send(PHONE, "first")).await;
    let post = send(PHONE, "key");
    let (call, held) = world.bring_to(Begin, &program, &post).await;

    world.break_connection(Begin).await;

    let answer = call.await.unwrap().unwrap();
    assert_eq!(answer.text("code"), "service_unavailable", "{answer:?}");
    held.release().await;
    assert_eq!(program.post(&post).await.status, 201);
    assert_eq!(world.sms_count(PHONE), 2);
}
