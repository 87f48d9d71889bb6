//! A process that stands still for longer than its lease, as on a machine that sleeps: another one
//! finishes its call, and then it goes on.

use otp_auth::sandbox::{Fault, FaultKind, Mode};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::Statement::{Begin, BeginResend, Claim, Settle};
use crate::support::{Answer, Post, Program, Statement, World, resend, send, verify};

const PHONE: &str = "+919876543210";

/// Where a process stands still.
#[derive(Clone, Copy, Debug)]
enum Still {
    /// A statement is carried out, and it has not learnt of it.
    After(Statement),
    /// The provider has done its work, and it has not learnt of it.
    AtProvider,
}
use Still::{After, AtProvider};

/// A program with one connection, on which the statement that claims a key is prepared: one that is
/// not would wait while it is being prepared, and be carried out only if its client lives.
async fn prepared(world: &World) -> Program {
    let program = world
        .program_with(&[("DATABASE__MAX_CONNECTIONS", "1")])
        .await;
    let nothing = Post {
        path: "/v1/otp/resend",
        key: "prepare".to_owned(),
        body: Value::Object(serde_json::Map::new()),
    };
    assert_eq!(program.post(&nothing).await.status, 400);
    program
}

/// Makes the call at `first`, which stands still in the middle of it, and then at another process
/// once the lease is over. Returns what both answered.
async fn both_answers(world: &World, first: Program, post: &Post, still: Still) -> [Answer; 2] {
    let call = match still {
        After(statement) => {
            let (call, held) = world.bring_to(statement, &first, post).await;
            first.stand_still();
            held.release().await;
            world.until_idle().await;
            call
        }
        AtProvider => {
            world.sandbox.arm(Fault::once(FaultKind::Slow));
            let call = first.begin(post);
            world.until_held().await;
            first.stand_still();
            call
        }
    };
    let second = world.program().await;
    assert_eq!(
        second.post(post).await.status,
        409,
        "{still:?}: it has its lease"
    );
    world.end_leases().await;
    let answer = world.repeat(&second, post).await;

    first.go_on();

    let late = call.await.unwrap().expect("it answers late");
    assert_eq!(
        second.post(post).await,
        answer,
        "{still:?}: repeated once more"
    );
    world.nothing_is_left_open().await;
    [late, answer]
}

async fn one_sms_and_one_answer(connect: PgConnectOptions, mode: Mode, again: bool) {
    let world = World::new(connect, mode).await;
    let begin = if again { BeginResend } else { Begin };
    for (row, (still, status)) in [(After(Claim), 201), (After(begin), 201), (AtProvider, 504)]
        .into_iter()
        .enumerate()
    {
        let first = prepared(&world).await;
        let sent = first.post(&send(PHONE, &format!("first-{row}"))).await;
        let key = format!("key-{row}");
        let post = if again {
            resend(&sent.text("request_id"), &key)
        } else {
            send(PHONE, &key)
        };
        let before = world.sms_count(PHONE);

        let [late, answer] = both_answers(&world, first, &post, still).await;

        let status = if status == 201 && again { 200 } else { status };
        assert_eq!(answer.status, status, "{still:?}: {answer:?}");
        if matches!(still, After(statement) if statement == begin) {
            // Its transaction is gone, and the other one's is another.
            assert_eq!(late.status, 503, "{still:?}: {late:?}");
        } else {
            assert_eq!(late, answer, "{still:?}");
        }
        assert_eq!(world.sms_count(PHONE), before + 1, "{still:?}");
        let program = world.program().await;
        let right = verify(
            &answer.text("request_id"),
            &world.code(PHONE),
            &format!("verify-{row}"),
        );
        let verified = program.post(&right).await;
        assert_eq!(verified.status, 200, "{still:?}: {verified:?}");
    }
}

#[sqlx::test]
async fn a_send_that_stood_still_sends_one_sms(_: PgPoolOptions, connect: PgConnectOptions) {
    one_sms_and_one_answer(connect, Mode::Service, false).await;
}

#[sqlx::test]
async fn a_send_of_a_code_of_the_provider_that_stood_still_sends_one_sms(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    one_sms_and_one_answer(connect, Mode::Vendor, false).await;
}

#[sqlx::test]
async fn a_resend_that_stood_still_sends_one_sms(_: PgPoolOptions, connect: PgConnectOptions) {
    one_sms_and_one_answer(connect, Mode::Service, true).await;
}

#[sqlx::test]
async fn a_resend_of_a_code_of_the_provider_that_stood_still_sends_one_sms(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    one_sms_and_one_answer(connect, Mode::Vendor, true).await;
}

async fn one_session(connect: PgConnectOptions, mode: Mode, stills: &[Still]) {
    let world = World::new(connect, mode).await;
    for (row, still) in stills.iter().enumerate() {
        let first = prepared(&world).await;
        let sent = first.post(&send(PHONE, &format!("send-{row}"))).await;
        let key = format!("key-{row}");
        let post = verify(&sent.text("request_id"), &world.code(PHONE), &key);

        let [late, answer] = both_answers(&world, first, &post, *still).await;

        assert_eq!(answer.status, 200, "{still:?}: {answer:?}");
        assert_eq!(late, answer, "{still:?}");
        let sessions: i64 = world.ask("SELECT count(*) FROM sessions").await;
        assert_eq!(usize::try_from(sessions).unwrap(), row + 1, "{still:?}");
    }
}

#[sqlx::test]
async fn a_verify_that_stood_still_signs_in_once(_: PgPoolOptions, connect: PgConnectOptions) {
    one_session(connect, Mode::Service, &[After(Claim), After(Settle)]).await;
}

#[sqlx::test]
async fn a_verify_at_the_provider_that_stood_still_signs_in_once(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let stills = [
        After(Claim),
        After(Statement::Reserve),
        AtProvider,
        After(Settle),
    ];
    one_session(connect, Mode::Vendor, &stills).await;
}
