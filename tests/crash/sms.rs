//! A send or a resend whose process dies: no second SMS for one key, and a true answer in the end.

use otp_auth::sandbox::{Fault, FaultKind, Mode};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::Fate::{Done, Lost};
use crate::support::Point::{self, Asked, At, Unanswered};
use crate::support::Statement::{Accept, Begin, BeginResend, Keep};
use crate::support::{Post, World, phone, resend, send, verify};

/// What is true of the SMS after the call was repeated.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// It was sent, and that is the answer.
    Sent,
    /// It is out, but the answer is that it may be: whoever knew better died.
    Open,
    /// It is not out, and the answer is that it may be.
    OpenInVain,
}
use Told::{Open, OpenInVain, Sent};

fn points(begin: crate::support::Statement) -> [(Point, Told); 8] {
    [
        // The key is claimed, and no more.
        (At(begin, Lost), Sent),
        // It is not stored before all limits are taken.
        (At(begin, Done), Sent),
        // It is stored, and the provider has done nothing yet.
        (Asked, OpenInVain),
        // The SMS is out.
        (Unanswered, Open),
        (At(Accept, Lost), Open),
        (At(Accept, Done), Sent),
        // All is recorded but the reply.
        (At(Keep, Lost), Sent),
        (At(Keep, Done), Sent),
    ]
}

/// Crashes a call for each row, restarts the program once for all, and repeats the calls.
async fn each_crash_is_survived(world: &World, posts: &[Post], points: &[(Point, Told)]) {
    let before: Vec<usize> = (0..points.len())
        .map(|row| world.sms_count(&phone(row)))
        .collect();
    for (post, (point, _)) in posts.iter().zip(points) {
        world.crash(post, *point).await;
    }
    let program = world.program().await;
    for (post, (point, _)) in posts.iter().zip(points) {
        let expected = if *point == At(Keep, Done) {
            done_status(post)
        } else {
            409
        };
        let early = program.post(post).await;
        assert_eq!(
            early.status, expected,
            "before the lease ends, {point:?}: {early:?}"
        );
    }
    world.end_leases().await;
    for (row, (post, (point, told))) in posts.iter().zip(points).enumerate() {
        let phone = phone(row);

        let answer = world.repeat(&program, post).await;

        let why = format!("{point:?}: {answer:?}");
        let expected = if *told == Sent {
            done_status(post)
        } else {
            504
        };
        assert_eq!(answer.status, expected, "{why}");
        if expected == 504 {
            assert_eq!(answer.text("code"), "provider_timeout", "{why}");
        }
        assert_eq!(
            program.post(post).await,
            answer,
            "repeated once more, {why}"
        );
        let sent = usize::from(*told != OpenInVain);
        assert_eq!(world.sms_count(&phone), before[row] + sent, "{why}");
        let id = answer.text("request_id");
        // One before, and this one, whether it left or not.
        assert_eq!(world.logged_sends(&id).await, 2, "{why}");
        let delivery = if *told == Sent { "sent" } else { "unknown" };
        let report = format!("/v1/otp/{id}");
        world
            .until(&format!(
                "delivery = '{delivery}' FROM otp_requests WHERE id = '{id}'"
            ))
            .await;
        assert_eq!(
            program.get(&report).await.text("delivery"),
            delivery,
            "{why}"
        );
        if *told != OpenInVain {
            let right = verify(&id, &world.code(&phone), &format!("verify-{row}"));
            let verified = program.post(&right).await;
            assert_eq!(
                verified.status, 200,
                "the code that arrived, {why}: {verified:?}"
            );
            assert_eq!(
                world.sms_count(&phone),
                before[row] + sent,
                "verified, {why}"
            );
        }
    }
    world.nothing_is_left_open().await;
}

fn done_status(post: &Post) -> u16 {
    if post.path == "/v1/otp/send" {
        201
    } else {
        200
    }
}

/// The first SMS of each phone, so that it has a row to wait for; returns the ids of the requests.
async fn first_sms_each(world: &World, phones: usize) -> Vec<String> {
    let program = world.program().await;
    let mut ids = Vec::new();
    for row in 0..phones {
        let sent = program
            .post(&send(&phone(row), &format!("first-{row}")))
            .await;
        assert_eq!(sent.status, 201, "{sent:?}");
        ids.push(sent.text("request_id"));
    }
    ids
}

async fn each_crash_of_a_send_is_survived(connect: PgConnectOptions, mode: Mode) {
    let world = World::new(connect, mode).await;
    let points = points(Begin);
    first_sms_each(&world, points.len()).await;
    let posts = (0..points.len()).map(|row| send(&phone(row), &format!("key-{row}")));
    let posts: Vec<Post> = posts.collect();

    each_crash_is_survived(&world, &posts, &points).await;
}

async fn each_crash_of_a_resend_is_survived(connect: PgConnectOptions, mode: Mode) {
    let world = World::new(connect, mode).await;
    let points = points(BeginResend);
    let ids = first_sms_each(&world, points.len()).await;
    let posts = ids.iter().enumerate();
    let posts: Vec<Post> = posts
        .map(|(row, id)| resend(id, &format!("key-{row}")))
        .collect();

    each_crash_is_survived(&world, &posts, &points).await;
}

#[sqlx::test]
async fn a_send_that_crashed_anywhere_sends_one_sms_and_is_answered(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    each_crash_of_a_send_is_survived(connect, Mode::Service).await;
}

#[sqlx::test]
async fn a_send_of_a_code_of_the_provider_that_crashed_anywhere_sends_one_sms_and_is_answered(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    each_crash_of_a_send_is_survived(connect, Mode::Vendor).await;
}

#[sqlx::test]
async fn a_resend_that_crashed_anywhere_sends_one_sms_and_is_answered(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    each_crash_of_a_resend_is_survived(connect, Mode::Service).await;
}

#[sqlx::test]
async fn a_resend_of_a_code_of_the_provider_that_crashed_anywhere_sends_one_sms_and_is_answered(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    each_crash_of_a_resend_is_survived(connect, Mode::Vendor).await;
}

/// As all others, but with nobody's help: the lease is 10 s long.
#[sqlx::test]
async fn a_lease_ends_by_itself_and_so_does_an_sms_under_way(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect, Mode::Service).await;
    let post = send(&phone(0), "key");
    let short = [
        ("STARTMESSAGING__TIMEOUT_MS", "2000"),
        ("DATABASE__ACQUIRE_TIMEOUT_MS", "500"),
        ("DATABASE__STATEMENT_TIMEOUT_MS", "500"),
    ];
    world.crash_with(&short, &post, Unanswered).await;
    let program = world.program().await;
    assert_eq!(program.post(&post).await.status, 409);

    let answer = world.repeat(&program, &post).await;

    assert_eq!(answer.text("code"), "provider_timeout", "{answer:?}");
    world.nothing_is_left_open().await;
    let report = format!("/v1/otp/{}", answer.text("request_id"));
    assert_eq!(program.get(&report).await.text("delivery"), "unknown");
    assert_eq!(world.sms_count(&phone(0)), 1);
}

/// A caller without a key has his answer before it is recorded that the SMS was taken.
#[sqlx::test]
async fn an_answered_send_whose_record_was_lost_verifies_and_is_closed(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect, Mode::Service).await;
    let mut program = world.program().await;
    world.sandbox.arm(Fault::once(FaultKind::Slow));
    let call = program.begin(&send(&phone(0), ""));
    world.until_held().await;
    let held = world.hold(Accept).await;
    assert_eq!(world.sandbox.held_replies(), 1, "the lock came too late");

    let answer = call.await.unwrap().unwrap();
    world.until_waiting(Accept).await;
    program.kill();
    world.end_backends("true").await;
    held.release().await;

    assert_eq!(answer.status, 201, "{answer:?}");
    let program = world.program().await;
    assert_eq!(
        world
            .ask::<String>("SELECT delivery FROM otp_requests")
            .await,
        "queued"
    );
    world.end_leases().await;
    world.nothing_is_left_open().await;
    let id = answer.text("request_id");
    let report = program.get(&format!("/v1/otp/{id}")).await;
    assert_eq!(report.text("delivery"), "unknown");
    let right = verify(&id, &world.code(&phone(0)), "");
    assert_eq!(program.post(&right).await.status, 200);
    assert_eq!(world.sms_count(&phone(0)), 1);
}
