//! Every answer to a send that is no plain yes: what the caller sees, whether the code can still be
//! verified, whether the phone's limits are given back, what the breaker makes of it, and how often
//! the vendor is called.

use std::cell::Cell;
use std::time::Duration;

use otp_auth::sandbox::{Fault, FaultKind};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::Answer;
use crate::support::bench::End::{Account, Failed, Open, Refused};
use crate::support::bench::{
    Bench, ERROR, IMPATIENT, PATIENT, Row, TIMEOUT, UNAVAILABLE, each_row_holds, raw_bench,
};
use crate::support::raw::{RawVendor, Script};

fn refusal(status: &str, code: &str) -> Vec<Script> {
    vec![Script::refusal(status, code)]
}

fn flat(status: &str) -> Vec<Script> {
    vec![Script::reply(status, r#"{"message":"secret words"}"#)]
}

/// The faults that the sandbox has.
#[sqlx::test]
async fn each_fault_of_the_sandbox_has_one_end(_: PgPoolOptions, connect: PgConnectOptions) {
    let mut bench = Bench::new(connect, &[IMPATIENT]).await;
    let sandbox = bench.world.sandbox.clone();
    for (fault, end, sms) in [
        (FaultKind::ResetBefore, Open(504, TIMEOUT), 0),
        (FaultKind::ResetAfterSend, Open(504, TIMEOUT), 1),
        (FaultKind::Hang, Open(504, TIMEOUT), 1),
        (FaultKind::Slow, Open(504, TIMEOUT), 1),
        (FaultKind::Http500, Open(502, ERROR), 0),
        (FaultKind::Http502Html, Open(502, ERROR), 0),
        (FaultKind::Garbage, Open(502, ERROR), 1),
        (FaultKind::SendFailed, Open(502, ERROR), 0),
        (FaultKind::SendFailedAfterSend, Open(502, ERROR), 1),
        (FaultKind::Throttled, Failed(503, UNAVAILABLE, 10), 0),
        (
            FaultKind::NumberCooling,
            Refused(429, "rate_limited", 300),
            0,
        ),
        (FaultKind::InsufficientBalance, Account, 0),
        (FaultKind::Unauthorized, Account, 0),
        (FaultKind::Suspended, Account, 0),
        (FaultKind::AddressNotAllowed, Account, 0),
        (FaultKind::KycPending, Account, 0),
        (FaultKind::ValidationError, Refused(502, ERROR, 0), 0),
        (FaultKind::InvalidInput, Refused(502, ERROR, 0), 0),
    ] {
        let (calls, texted) = (sandbox.requests().send, sandbox.messages().len());
        let seen = Cell::new(None);
        let good = || {
            sandbox.disarm_all();
            if seen.get().is_none() {
                let made = sandbox.requests().send - calls;
                seen.set(Some((made, sandbox.messages().len() - texted)));
            }
        };
        let arm = || sandbox.arm(Fault::always(fault));

        bench.holds(&format!("{fault:?}"), end, arm, good).await;

        assert_eq!(seen.get(), Some((1, sms)), "{fault:?}: calls and SMS");
    }
}

/// startmessaging.md 2.2, and what its tutorials claim.
#[sqlx::test]
async fn each_refusal_has_one_end(_: PgPoolOptions, connect: PgConnectOptions) {
    let (mut bench, raw) = raw_bench(connect, PATIENT).await;
    let rows: [Row; 23] = [
        (
            "a broken rule",
            || refusal("400 X", "VALIDATION_ERROR"),
            Refused(502, ERROR, 0),
            1,
        ),
        (
            "not JSON",
            || refusal("400 X", "INVALID_INPUT"),
            Refused(502, ERROR, 0),
            1,
        ),
        (
            "an unknown code",
            || refusal("400 X", "NEW_ONE"),
            Refused(502, ERROR, 0),
            1,
        ),
        (
            "cooling",
            || refusal("400 X", "RATE_LIMIT_EXCEEDED"),
            Refused(429, "rate_limited", 300),
            1,
        ),
        (
            "no balance",
            || refusal("400 X", "INSUFFICIENT_BALANCE"),
            Account,
            1,
        ),
        (
            "not sent",
            || refusal("400 X", "OTP_SEND_FAILED"),
            Open(502, ERROR),
            1,
        ),
        (
            "a bare 400",
            || flat("400 Bad Request"),
            Open(502, ERROR),
            1,
        ),
        ("the key", || refusal("401 X", "UNAUTHORIZED"), Account, 1),
        (
            "no balance, as told",
            || flat("402 Payment Required"),
            Account,
            1,
        ),
        ("onboarding", || refusal("403 X", "FORBIDDEN"), Account, 1),
        (
            "no such route",
            || refusal("404 X", "NOT_FOUND"),
            Refused(502, ERROR, 0),
            1,
        ),
        (
            "no such method",
            || flat("405 X"),
            Refused(502, ERROR, 0),
            1,
        ),
        (
            "a conflict",
            || flat("409 Conflict"),
            Refused(502, ERROR, 0),
            1,
        ),
        ("too large", || flat("413 X"), Refused(502, ERROR, 0), 1),
        ("unprocessable", || flat("422 X"), Refused(502, ERROR, 0), 1),
        (
            "a defect",
            || refusal("500 X", "INTERNAL_ERROR"),
            Open(502, ERROR),
            1,
        ),
        (
            "away",
            || refusal("503 X\r\nretry-after: 1", "INTERNAL_ERROR"),
            Open(502, ERROR),
            1,
        ),
        ("late", || flat("504 Gateway Timeout"), Open(502, ERROR), 1),
        (
            "ten seconds",
            || refusal("429 X\r\nretry-after: 10", "INTERNAL_ERROR"),
            Failed(503, UNAVAILABLE, 10),
            1,
        ),
        (
            "no wait told",
            || refusal("429 X", "INTERNAL_ERROR"),
            Failed(503, UNAVAILABLE, 10),
            1,
        ),
        (
            "no number",
            || refusal("429 X\r\nretry-after: soon", "X"),
            Failed(503, UNAVAILABLE, 10),
            1,
        ),
        (
            "a date",
            || refusal("429 X\r\nretry-after: Fri, 31 Dec 1999 23:59:59 GMT", "X"),
            Failed(503, UNAVAILABLE, 10),
            1,
        ),
        (
            "absurd",
            || refusal("429 X\r\nretry-after: 99999999999", "X"),
            Failed(503, UNAVAILABLE, 3600),
            1,
        ),
    ];

    each_row_holds(&mut bench, &raw, &rows).await;
}

/// security.md 42: a redirect would carry the API key and the code to wherever it points.
#[sqlx::test]
async fn no_redirect_is_followed(_: PgPoolOptions, connect: PgConnectOptions) {
    let (mut bench, raw) = raw_bench(connect, PATIENT).await;
    let elsewhere = RawVendor::start();
    for status in ["301 X", "302 X", "303 X", "307 X", "308 X"] {
        let head = format!("{status}\r\nlocation: {}/otp/send", elsewhere.url());
        let arm = || raw.script([Script::reply(&head, "")]);

        let good = || raw.script([]);
        bench.holds(status, Open(502, ERROR), arm, good).await;
    }
    assert_eq!(elsewhere.calls().len(), 0);
}

/// A 429 is tried again where there is time for what it asks for, three calls in all.
#[sqlx::test]
async fn a_short_throttle_is_waited_for(_: PgPoolOptions, connect: PgConnectOptions) {
    let (mut bench, raw) = raw_bench(connect, PATIENT).await;
    let throttle =
        |wait: &str| Script::refusal(&format!("429 X\r\nretry-after: {wait}"), "INTERNAL_ERROR");
    for (why, waits, status, calls) in [
        ("a second", &["1"][..], 201, 2),
        ("none is one", &["0"], 201, 2),
        ("a second, then ten", &["1", "10"], 503, 2),
        ("a second, for ever", &["1", "1", "1", "1"], 503, 3),
    ] {
        let phone = bench.phone();
        let before = raw.calls().len();
        raw.script(waits.iter().map(|wait| throttle(wait)));

        let answer = bench.app.send(&phone).await;

        assert_eq!(answer.status, status, "{why}: {}", answer.body);
        let made = &raw.calls()[before..];
        assert_eq!(made.len(), calls, "{why}");
        assert!(made.iter().all(|call| call.body == made[0].body), "{why}");
        raw.script([]);
        if status == 503 {
            assert_eq!(bench.calm.send(&phone).await.status, 201, "{why}");
        }
    }
}

/// The call never started, so it is made again: the third time there is somebody.
#[sqlx::test]
async fn a_refused_connection_is_tried_three_times_and_costs_nothing(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let mut bench = Bench::new(connect, &[PATIENT]).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let settings = [("STARTMESSAGING__BASE_URL", address.as_str()), PATIENT];
    let lost = bench.world.instance_with(&settings, "").await;
    let phone = bench.phone();
    let started = tokio::time::Instant::now();

    let refused = lost.send(&phone).await;

    bench
        .answers("nobody", Failed(503, UNAVAILABLE, 5), &refused)
        .await;
    // Two pauses, of 100 and 200 ms.
    assert!(started.elapsed() >= Duration::from_millis(300));
    let metrics = Answer::of(lost.http.get(format!("{}/metrics", lost.admin))).await;
    let line = r#"otp_auth_provider_calls_total{vendor="startmessaging",call="send",outcome="unreachable"} 3"#;
    assert!(metrics.body.contains(line), "{}", metrics.body);
    assert_eq!(bench.calm.send(&phone).await.status, 201);
}
