//! Each fault as the caller sees it, and whether the SMS went out nevertheless.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use otp_auth::sandbox::{Fault, FaultKind, Mode};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PHONE, Rig, client, failure, service_body};

const FAILED: &str = "The message could not be delivered to this number. Please check the number \
    and try again, or contact support if it continues.";
const COOLING: &str =
    "Too many OTP requests for this mobile number. Please try again after 5 minutes.";

#[tokio::test]
async fn a_fault_that_answers_gives_the_real_servers_bytes() {
    let cases = [
        (
            "http_500",
            500,
            "INTERNAL_ERROR",
            "Internal server error",
            0,
        ),
        (
            "throttled",
            429,
            "INTERNAL_ERROR",
            "ThrottlerException: Too Many Requests",
            0,
        ),
        ("number_cooling", 400, "RATE_LIMIT_EXCEEDED", COOLING, 0),
        (
            "insufficient_balance",
            400,
            "INSUFFICIENT_BALANCE",
            "Insufficient balance",
            0,
        ),
        ("unauthorized", 401, "UNAUTHORIZED", "Invalid API key", 0),
        ("suspended", 401, "UNAUTHORIZED", "Account is suspended", 0),
        (
            "address_not_allowed",
            401,
            "UNAUTHORIZED",
            "Authentication required",
            0,
        ),
        ("kyc_pending", 403, "FORBIDDEN", "KYC approval pending", 0),
        (
            "invalid_input",
            400,
            "INVALID_INPUT",
            "Expected property name or '}' in JSON at position 1",
            0,
        ),
        ("send_failed", 400, "OTP_SEND_FAILED", FAILED, 0),
        ("send_failed_after_send", 400, "OTP_SEND_FAILED", FAILED, 1),
    ];

    for (kind, status, code, message, sms) in cases {
        let rig = Rig::service();
        rig.arm(json!({ "kind": kind, "times": 1 })).await;

        let struck = rig.send(PHONE).await;

        assert_eq!(struck.status, status, "{kind}");
        assert_eq!(struck.masked(), failure(status, code, message), "{kind}");
        assert_eq!(
            struck.header("retry-after"),
            (status == 429).then_some("10"),
            "{kind}"
        );
        let throttle_spoke = !["http_500", "throttled", "invalid_input"].contains(&kind);
        assert_eq!(
            struck.header("x-ratelimit-limit").is_some(),
            throttle_spoke,
            "{kind}"
        );
        assert_eq!(rig.handle.messages().len(), sms, "{kind}");
        assert_eq!(rig.send(PHONE).await.status, 201, "{kind} strikes once");
    }
}

#[tokio::test]
async fn a_bad_gateway_is_html_and_sends_nothing() {
    let rig = Rig::service();
    rig.arm(json!({ "kind": "http_502_html" })).await;

    let answer = rig.send(PHONE).await;

    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert!(
        answer
            .text
            .starts_with("<html>\r\n<head><title>502 Bad Gateway</title>")
    );
    assert_eq!(rig.handle.messages(), []);
}

#[tokio::test]
async fn garbage_is_a_success_that_does_not_parse_and_the_sms_went_out() {
    let rig = Rig::service();
    rig.arm(json!({ "kind": "garbage" })).await;

    let answer = rig.send(PHONE).await;

    assert_eq!(answer.status, 201);
    assert!(serde_json::from_str::<Value>(&answer.text).is_err());
    assert_eq!(rig.handle.messages().len(), 1);
}

#[tokio::test]
async fn a_slow_answer_is_late_and_complete() {
    let rig = Rig::service();
    rig.arm(json!({ "kind": "slow", "delay_ms": 120 })).await;
    let started = Instant::now();

    let answer = rig.send(PHONE).await;

    assert!(started.elapsed() >= Duration::from_millis(120));
    assert_eq!(answer.status, 201);
    assert_eq!(rig.handle.messages().len(), 1);
}

#[tokio::test]
async fn a_hanging_answer_never_comes_and_the_sms_went_out() {
    let rig = Rig::service();
    rig.handle.arm(Fault::once(FaultKind::Hang));

    let outcome = client(Duration::from_millis(300))
        .post(format!("{}/otp/send", rig.handle.url()))
        .header("X-API-Key", "k")
        .json(&service_body(PHONE))
        .send()
        .await;

    assert!(outcome.unwrap_err().is_timeout());
    assert_eq!(rig.handle.messages().len(), 1);
    assert_eq!(rig.send(PHONE).await.status, 201);
}

#[tokio::test]
async fn a_held_reply_is_given_up_when_its_caller_leaves() {
    let rig = Rig::service();
    rig.handle.arm(Fault::once(FaultKind::Hang));
    let caller = tokio::spawn(
        rig.request(Method::POST, "/otp/send")
            .header("X-API-Key", "k")
            .json(&service_body(PHONE))
            .send(),
    );
    until(|| rig.handle.held_replies() == 1).await;

    caller.abort();

    until(|| rig.handle.held_replies() == 0).await;
}

/// Gives way until something is true; the limit only ends a test that has failed.
async fn until(mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < limit, "it never came true");
        tokio::task::yield_now().await;
    }
}

/// What a bare socket reads after a send.
async fn raw_send(rig: &Rig) -> Result<Vec<u8>, ErrorKind> {
    let authority = rig.handle.url().replace("http://", "");
    let mut socket = TcpStream::connect(&authority).await.unwrap();
    let body = service_body(PHONE).to_string();
    let length = body.len();
    let head = format!("POST /otp/send HTTP/1.1\r\nHost: {authority}\r\nX-API-Key: k\r\n");
    let rest = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    socket
        .write_all(format!("{head}{rest}").as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::with_capacity(1_024);
    match socket.read_buf(&mut answer).await {
        Ok(_) => Ok(answer),
        Err(error) => Err(error.kind()),
    }
}

#[tokio::test]
async fn a_reset_is_a_tcp_reset_without_a_byte_of_http() {
    for (kind, sms) in [(FaultKind::ResetBefore, 0), (FaultKind::ResetAfterSend, 1)] {
        let rig = Rig::service();
        rig.handle.arm(Fault::once(kind));

        assert_eq!(
            raw_send(&rig).await,
            Err(ErrorKind::ConnectionReset),
            "{kind:?}"
        );
        assert_eq!(rig.handle.messages().len(), sms, "{kind:?}");
        assert!(
            raw_send(&rig)
                .await
                .unwrap()
                .starts_with(b"HTTP/1.1 201 Created\r\n"),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_404_can_be_armed_for_verify_and_leaves_send_alone() {
    let rig = Rig::vendor();
    rig.arm(json!({ "kind": "verify_404", "times": 1 })).await;

    let send = rig.vendor_send(PHONE, "key-1").await;
    let verify = rig.post("/otp/verify", &json!({})).await;

    assert_eq!(send.status, 201);
    assert_eq!(
        verify.masked(),
        failure(404, "NOT_FOUND", "Cannot POST /otp/verify")
    );
    assert_eq!(rig.handle.faults(), []);
}

#[tokio::test]
async fn a_verify_whose_answer_is_lost_has_used_the_code() {
    let rig = Rig::vendor();
    let id = rig.vendor_send(PHONE, "key-1").await.json()["data"]["requestId"].clone();
    let body = json!({ "requestId": id, "otpCode": rig.handle.messages()[0].code });
    rig.handle.arm(Fault::once(FaultKind::ResetAfterSend));

    let request = rig
        .request(Method::POST, "/otp/verify")
        .header("X-API-Key", "k")
        .json(&body);
    let lost = request.send().await;
    let again = rig.post("/otp/verify", &body).await;

    assert!(lost.is_err());
    assert_eq!(again.json()["error"]["code"], "ALREADY_VERIFIED");
}

#[tokio::test]
async fn the_first_armed_fault_with_times_left_wins() {
    let rig = Rig::with(Mode::Service, |options| options.number_limit = false);
    rig.arm(json!({ "kind": "http_500", "times": 2 })).await;
    rig.arm(json!({ "kind": "verify_404" })).await;
    rig.arm(json!({ "kind": "send_failed", "times": 1 })).await;

    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(rig.send(PHONE).await.status);
    }

    assert_eq!(seen, [500, 500, 400, 201]);
}

#[tokio::test]
async fn a_fault_of_no_probability_never_strikes_and_one_of_half_strikes_sometimes() {
    let rig = Rig::with(Mode::Service, |options| {
        options.number_limit = false;
        options.throttle_limit = 1_000;
    });
    rig.arm(json!({ "kind": "http_502_html", "probability": 0 }))
        .await;
    rig.arm(json!({ "kind": "http_500", "probability": 0.5 }))
        .await;

    let mut struck = 0;
    for _ in 0..200 {
        match rig.send(PHONE).await.status {
            201 => {}
            500 => struck += 1,
            other => panic!("unexpected status {other}"),
        }
    }

    // Outside these bounds once in more than 10^12 runs.
    assert!((50..=150).contains(&struck), "{struck} of 200");
}

#[tokio::test]
async fn faults_are_listed_replaced_by_kind_and_disarmed() {
    let rig = Rig::service();
    rig.arm(json!({ "kind": "slow" })).await;
    rig.arm(json!({ "kind": "http_500", "probability": 0.25 }))
        .await;

    let armed = rig
        .arm(json!({ "kind": "slow", "times": 3, "delay_ms": 10 }))
        .await;
    rig.send(PHONE).await;
    let listed = rig.get("/sandbox/faults").await;
    let one = rig
        .answer(rig.request(Method::DELETE, "/sandbox/faults?kind=slow"))
        .await;
    let left = rig.handle.faults();
    let all = rig
        .answer(rig.request(Method::DELETE, "/sandbox/faults"))
        .await;

    assert_eq!(armed.status, 200);
    assert_eq!(
        armed.text,
        r#"[{"kind":"slow","probability":1.0,"times":3,"delay_ms":10,"fired":0},{"kind":"http_500","probability":0.25,"times":null,"delay_ms":2000,"fired":0}]"#
    );
    assert_eq!(listed.json()[0]["times"], 2);
    assert_eq!(listed.json()[0]["fired"], 1);
    assert_eq!(
        (one.status, left.len(), left[0].kind),
        (204, 1, FaultKind::Http500)
    );
    assert_eq!((all.status, rig.handle.faults()), (204, vec![]));
}

#[tokio::test]
async fn a_fault_that_makes_no_sense_is_refused_with_a_reason() {
    let cases = [
        (
            json!({ "kind": "explode" }),
            "unknown variant `explode`, expected one of `slow`, `hang`",
        ),
        (json!({}), "missing field `kind`"),
        (
            json!({ "kind": "slow", "probability": 1.01 }),
            "probability must be between 0 and 1",
        ),
        (
            json!({ "kind": "slow", "probability": -0.01 }),
            "probability must be between 0 and 1",
        ),
        (
            json!({ "kind": "slow", "times": 0 }),
            "times must be between 1 and 1000000",
        ),
        (
            json!({ "kind": "slow", "times": 1_000_001 }),
            "times must be between 1 and 1000000",
        ),
        (
            json!({ "kind": "slow", "times": -1 }),
            "invalid value: integer `-1`",
        ),
        (
            json!({ "kind": "slow", "delay_ms": 600_001 }),
            "delay_ms must be between 0 and 600000",
        ),
        (
            json!({ "kind": "slow", "delay": 5 }),
            "unknown field `delay`",
        ),
    ];
    let rig = Rig::service();

    for (body, reason) in cases {
        let answer = rig.arm(body.clone()).await;

        assert_eq!(answer.status, 400, "{body}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with(reason), "{body}: {error}");
    }
    assert_eq!(rig.handle.faults(), []);
    let bad_kind = rig
        .answer(rig.request(Method::DELETE, "/sandbox/faults?kind=explode"))
        .await;
    assert_eq!(bad_kind.status, 400);
    assert!(
        bad_kind.json()["error"]
            .as_str()
            .unwrap()
            .contains("unknown variant `explode`")
    );
}

#[tokio::test]
async fn a_poll_of_a_message_uses_up_no_fault() {
    let rig = Rig::service();
    rig.handle.arm(Fault::once(FaultKind::Http500));

    let poll = rig
        .get("/messages/0b0c6f6e-3f0e-4b52-9f63-3c0f0b7a5c11")
        .await;

    assert_eq!(poll.status, 200);
    assert_eq!(rig.handle.faults().len(), 1);
}
