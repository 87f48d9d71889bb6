//! Codes that the vendor makes and checks, while the vendor or the way to it fails.
//!
//! A vendor says "right" once and then "used before". If its first word is lost, the code that was
//! tried then, and no other, may be believed to have been the right one.

use futures_util::future::join_all;
use otp_auth::sandbox::{Fault, FaultKind};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, Line, OTHER_PHONE, PHONE, World, wrong};

/// Less than the 10 s that a 429 asks for, and soon over where nothing comes.
const IMPATIENT: (&str, &str) = ("STARTMESSAGING__TIMEOUT_MS", "1500");

async fn start(connect: PgConnectOptions, more: &[(&str, &str)]) -> (Line, Instance) {
    let line = Line::startmessaging_vendor(connect).await;
    let app = line.instance_with(&[&[IMPATIENT], more].concat(), "").await;
    (line, app)
}

fn phone(number: usize) -> String {
    format!("+9198765432{number:02}")
}

async fn attempts_left(app: &Instance, id: &str) -> i64 {
    let report = app.report(id).await.json();
    report["attempts_remaining"].as_i64().unwrap()
}

async fn sessions(world: &World) -> i64 {
    let sessions = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM sessions"#);
    sessions.fetch_one(&world.pool).await.unwrap()
}

/// A fault, what the caller sees of it, and whether the vendor had looked at the code.
const LOST_ANSWERS: [(FaultKind, u16, &str); 6] = [
    (FaultKind::ResetBefore, 504, "provider_timeout"),
    (FaultKind::ResetAfterSend, 504, "provider_timeout"),
    (FaultKind::Hang, 504, "provider_timeout"),
    (FaultKind::Http500, 502, "provider_error"),
    (FaultKind::Http502Html, 502, "provider_error"),
    (FaultKind::Garbage, 502, "provider_error"),
];

fn shows(answer: &Answer, id: &str, status: u16, code: &str, why: &str) {
    assert_eq!(answer.problem(), (status, code.to_owned()), "{why}");
    assert_eq!(answer.text("request_id"), id, "{why}");
}

#[sqlx::test]
async fn a_right_code_whose_answer_was_lost_costs_one_try_and_still_signs_in(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let (line, app) = start(connect, &[]).await;
    for (number, (fault, status, code)) in LOST_ANSWERS.into_iter().enumerate() {
        let (phone, why) = (phone(number), format!("{fault:?}"));
        let id = app.sent(&phone).await;
        let right = line.code(&phone);
        line.world.sandbox.arm(Fault::once(fault));

        shows(&app.verify(&id, &right).await, &id, status, code, &why);
        assert_eq!(attempts_left(&app, &id).await, 4, "{why}");
        line.world.sandbox.arm(Fault::once(fault));
        shows(&app.verify(&id, &right).await, &id, status, code, &why);
        assert_eq!(attempts_left(&app, &id).await, 4, "{why}: no further try");

        let again = app.verify(&id, &right).await;
        assert_eq!(again.status, 200, "{why}: {}", again.body);
        // So many failures would open the breaker.
        line.world.clock.advance(60);
    }
}

/// An answer that was lost is none to keep for an `Idempotency-Key`: the repeat finds it out.
#[sqlx::test]
async fn a_repeat_after_a_lost_yes_signs_in_and_is_then_the_same(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let (line, app) = start(connect, &[]).await;
    let id = app.sent(PHONE).await;
    let body = json!({"request_id": id, "code": line.code(PHONE)});
    let arm = |fault| line.world.sandbox.arm(Fault::once(fault));
    arm(FaultKind::ResetAfterSend);
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(app.post_once("/v1/otp/verify", "k", &body).await);
    }

    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [504, 200, 200]);
    assert_eq!(answers[1].body, answers[2].body);
    assert_eq!(sessions(&line.world).await, 1);
}

#[sqlx::test]
async fn a_wrong_code_whose_answer_was_lost_is_still_wrong_and_counted_once(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let (line, app) = start(connect, &[]).await;
    for (number, (fault, ..)) in LOST_ANSWERS.into_iter().enumerate() {
        let phone = phone(number);
        let id = app.sent(&phone).await;
        let right = line.code(&phone);
        line.world.sandbox.arm(Fault::once(fault));
        assert!(app.verify(&id, &wrong(&right)).await.status >= 502);

        let again = app.verify(&id, &wrong(&right)).await;

        assert_eq!(again.problem(), (401, "otp_incorrect".to_owned()));
        assert_eq!(again.json()["attempts_remaining"], 4, "{fault:?}");
        assert_eq!(app.verify(&id, &right).await.status, 200, "{fault:?}");
        line.world.clock.advance(60);
    }
}

/// Somebody else's yes is not for whoever comes next, however often he comes; and it stays that
/// somebody's.
#[sqlx::test]
async fn a_lost_yes_signs_in_its_own_code_and_no_other(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    a_lost_yes_stays_its_own(connect, async |_, _, _, _| {}).await;
}

/// A refused newer send makes the older request live again, with what is remembered of its codes.
#[sqlx::test]
async fn a_lost_yes_signs_no_other_code_in_after_a_send_that_never_left(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    a_lost_yes_stays_its_own(connect, async |line, app, phone, id| {
        line.world.clock.advance(30);
        line.world
            .sandbox
            .arm(Fault::once(FaultKind::NumberCooling));
        assert_eq!(app.send(phone).await.status, 429);
        assert_eq!(app.report(id).await.text("status"), "pending");
    })
    .await;
}

/// Loses the yes for the right code, does something, and tries another code thrice and the right one.
async fn a_lost_yes_stays_its_own(
    connect: PgConnectOptions,
    then: impl AsyncFn(&Line, &Instance, &str, &str),
) {
    let (line, app) = start(connect, &[]).await;
    // Whether the first answer about the other code is lost too.
    for (phone, lost) in [(PHONE, false), (OTHER_PHONE, true)] {
        let arm = |fault| line.world.sandbox.arm(Fault::once(fault));
        let id = app.sent(phone).await;
        let right = line.code(phone);
        arm(FaultKind::ResetAfterSend);
        assert_eq!(app.verify(&id, &right).await.status, 504);
        then(&line, &app, phone, &id).await;
        if lost {
            arm(FaultKind::ResetAfterSend);
        }

        for _ in 0..3 {
            let answer = app.verify(&id, &wrong(&right)).await;
            assert_ne!(answer.status, 200, "{}", answer.body);
        }

        assert_eq!(app.verify(&id, &right).await.status, 200);
    }
    assert_eq!(sessions(&line.world).await, 2);
}

/// However lost answers and callers mix, the right code signs in once at most, and no other does.
#[sqlx::test]
async fn parallel_codes_and_lost_answers_sign_no_wrong_code_in(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let (line, app) = start(connect, &[("STARTMESSAGING__TIMEOUT_MS", "9000")]).await;
    let two = line.instance().await;
    for (number, (lost, wrong_ones)) in [(0, 0), (1, 0), (1, 10), (2, 10), (5, 10)]
        .into_iter()
        .enumerate()
    {
        let phone = phone(number);
        let id = app.sent(&phone).await;
        let right = line.code(&phone);
        let before = sessions(&line.world).await;
        line.world.sandbox.arm(Fault {
            times: Some(lost),
            ..Fault::always(FaultKind::ResetAfterSend)
        });

        let others: Vec<String> = (0..wrong_ones).map(|n| format!("{n:06}")).collect();
        let codes = (0..10).map(|_| &right).chain(&others);
        let calls = codes.enumerate().map(|(n, code)| {
            let (app, id) = (if n % 2 == 0 { &app } else { &two }, &id);
            async move { (code, app.verify(id, code).await) }
        });
        let answers = join_all(calls).await;
        line.world.sandbox.disarm_all();

        let signed_in = answers.iter().filter(|(_, answer)| answer.status == 200);
        let signed_in: Vec<&String> = signed_in.map(|(code, _)| *code).collect();
        assert!(
            signed_in.iter().all(|code| **code == right),
            "{lost}, {wrong_ones}"
        );
        let made = sessions(&line.world).await - before;
        assert!(made <= 1, "{lost}, {wrong_ones}: {made} sessions");
        if wrong_ones == 0 {
            assert_eq!((signed_in.len(), made), (1, 1), "{lost} lost");
        }
        // So many failures would open the breaker.
        line.world.clock.advance(60);
    }
}

/// Nobody has looked at the code: it costs neither a try nor a failure, and no lock stays.
#[sqlx::test]
async fn a_check_that_was_surely_not_made_costs_nothing(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    // The first failure locks, so that a lock that is left behind is seen.
    let (line, app) = start(connect, &[("LIMITS__PHONE__FAILURES_PER_DAY", "1")]).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let settings = [("STARTMESSAGING__BASE_URL", address.as_str())];
    let lost = line.instance_with(&settings, "").await;
    for (number, (fault, status, code)) in [
        (Some(FaultKind::Throttled), 503, "provider_unavailable"),
        (Some(FaultKind::Unauthorized), 503, "provider_unavailable"),
        (Some(FaultKind::Verify404), 502, "provider_error"),
        (None, 503, "provider_unavailable"),
    ]
    .into_iter()
    .enumerate()
    {
        let phone = phone(number);
        let id = app.sent(&phone).await;
        let right = line.code(&phone);
        let asked = if let Some(fault) = fault {
            line.world.sandbox.arm(Fault::once(fault));
            &app
        } else {
            &lost
        };

        let answer = asked.verify(&id, &right).await;

        let why = format!("{fault:?}: {}", answer.body);
        assert_eq!(answer.problem(), (status, code.to_owned()), "{why}");
        assert!(answer.json().get("request_id").is_none(), "{why}");
        assert_eq!(attempts_left(&app, &id).await, 5, "{why}");
        let unmarked = "NOT EXISTS (SELECT FROM phone_throttles WHERE failure_log <> '{}'
            OR locks <> 0 OR locked_until IS NOT NULL)";
        line.world.until(unmarked).await;
        // A refused account opens the breaker.
        line.world.clock.advance(60);
        assert_eq!(app.verify(&id, &right).await.status, 200, "{why}");
    }
}

/// What is remembered of a code is of no use to whoever has a copy of the database.
#[sqlx::test]
async fn a_code_without_an_answer_is_kept_sealed(_: PgPoolOptions, connect: PgConnectOptions) {
    let (line, app) = start(connect, &[]).await;
    let id = app.sent(PHONE).await;
    let right = line.code(PHONE);
    line.world
        .sandbox
        .arm(Fault::once(FaultKind::ResetAfterSend));
    assert_eq!(app.verify(&id, &right).await.status, 504);

    let kept = sqlx::query_scalar!(
        r#"SELECT concat(p, r) AS "text!" FROM phone_throttles AS p, otp_requests AS r
           WHERE p.check_sealed IS NOT NULL"#
    );
    let kept = kept.fetch_one(&line.world.pool).await.unwrap();
    let as_bytes: Vec<String> = right.bytes().map(|byte| format!("{byte:02x}")).collect();

    for secret in [right, as_bytes.concat(), PHONE.replace("+91", "")] {
        assert!(!kept.contains(&secret), "{secret} in {kept}");
    }
}
