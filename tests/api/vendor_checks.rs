//! Every answer to the question whether a code is right: what the caller sees, whether the try counts,
//! and what the same code comes to when it is tried again.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::bench::{ERROR, PATIENT, TIMEOUT, UNAVAILABLE};
use crate::support::raw::{RawVendor, Script};
use crate::support::{Answer, Instance, PHONE, World};

/// What a check comes to.
#[derive(Clone, Copy)]
enum End {
    /// It is right.
    Right,
    /// It is wrong: the try counts.
    Wrong,
    /// The code is of no use any more, for this reason: the try counts.
    Over(u16, &'static str),
    /// Nobody knows: the try counts, and is not counted again.
    Open(u16, &'static str),
    /// Nobody looked: the try does not count.
    NotAsked(u16, &'static str),
}

use End::{NotAsked, Open, Over, Right, Wrong};

type Row = (&'static str, fn() -> Script, End);

fn error(status: &str, code: &str) -> Script {
    Script::refusal(status, code)
}

fn reply(status: &str, body: &str) -> Script {
    Script::reply(status, body)
}

const GONE: End = Over(400, "otp_request_expired");
const SPENT: End = Over(429, "too_many_attempts");

/// startmessaging.md section 3, both forms of the tutorials, and what goes wrong on the way.
const ROWS: [Row; 38] = [
    (
        "right",
        || reply("200 OK", r#"{"success":true,"data":{"verified":true}}"#),
        Right,
    ),
    (
        "right, flat",
        || reply("200 OK", r#"{"success":true,"verified":true}"#),
        Right,
    ),
    (
        "right, bare",
        || reply("201 Created", r#"{"data":{"verified":true}}"#),
        Right,
    ),
    ("wrong", || error("400 X", "OTP_INVALID"), Wrong),
    (
        "wrong, no code of its own",
        || error("400 X", "INVALID_INPUT"),
        Wrong,
    ),
    (
        "wrong, flat",
        || reply("400 X", r#"{"message":"Invalid OTP"}"#),
        Wrong,
    ),
    (
        "wrong, 200",
        || reply("200 OK", r#"{"success":true,"data":{"verified":false}}"#),
        Wrong,
    ),
    (
        "wrong, 200 flat",
        || reply("200 OK", r#"{"verified":false,"attempts_remaining":1}"#),
        Wrong,
    ),
    (
        "expired",
        || reply("410 Gone", r#"{"message":"OTP has expired"}"#),
        GONE,
    ),
    ("expired, HTML", || reply("410 Gone", "<html>"), GONE),
    ("expired, 400", || error("400 X", "OTP_EXPIRED"), GONE),
    ("unknown", || error("400 X", "INVALID_REQUEST_ID"), GONE),
    ("used", || error("400 X", "ALREADY_VERIFIED"), GONE),
    (
        "exhausted",
        || error("400 X", "MAX_ATTEMPTS_EXCEEDED"),
        SPENT,
    ),
    (
        "the key",
        || error("401 X", "UNAUTHORIZED"),
        NotAsked(503, UNAVAILABLE),
    ),
    (
        "no balance",
        || reply("402 X", "{}"),
        NotAsked(503, UNAVAILABLE),
    ),
    (
        "onboarding",
        || error("403 X", "FORBIDDEN"),
        NotAsked(503, UNAVAILABLE),
    ),
    (
        "no such route",
        || error("404 X", "NOT_FOUND"),
        NotAsked(502, ERROR),
    ),
    (
        "a conflict",
        || error("409 X", "CONFLICT"),
        NotAsked(502, ERROR),
    ),
    (
        "a broken rule",
        || error("400 X", "VALIDATION_ERROR"),
        NotAsked(502, ERROR),
    ),
    (
        "throttled",
        || error("429 X\r\nretry-after: 10", "INTERNAL_ERROR"),
        NotAsked(503, UNAVAILABLE),
    ),
    (
        "a defect",
        || error("500 X", "INTERNAL_ERROR"),
        Open(502, ERROR),
    ),
    (
        "502 HTML",
        || reply("502 Bad Gateway", "<html>"),
        Open(502, ERROR),
    ),
    (
        "400 HTML",
        || reply("400 Bad Request", "<html>"),
        Open(502, ERROR),
    ),
    ("200 HTML", || reply("200 OK", "<html>"), Open(502, ERROR)),
    (
        "a redirect",
        || reply("307 X\r\nlocation: http://127.0.0.1:9/", ""),
        Open(502, ERROR),
    ),
    (
        "verified is text",
        || reply("200 OK", r#"{"data":{"verified":"true"}}"#),
        Open(502, ERROR),
    ),
    (
        "verified is one",
        || reply("200 OK", r#"{"data":{"verified":1}}"#),
        Open(502, ERROR),
    ),
    (
        "verified is null",
        || reply("200 OK", r#"{"data":{"verified":null}}"#),
        Open(502, ERROR),
    ),
    (
        "no verified",
        || reply("200 OK", r#"{"success":true,"data":{}}"#),
        Open(502, ERROR),
    ),
    (
        "no data",
        || reply("200 OK", r#"{"success":true,"data":null}"#),
        Open(502, ERROR),
    ),
    (
        "verified elsewhere",
        || reply("200 OK", r#"{"data":{"x":{"verified":true}}}"#),
        Open(502, ERROR),
    ),
    (
        "verified, no success",
        || reply("200 OK", r#"{"success":false,"data":{"verified":true}}"#),
        Open(502, ERROR),
    ),
    (
        "verified, an error",
        || reply("500 X", r#"{"success":true,"data":{"verified":true}}"#),
        Open(502, ERROR),
    ),
    (
        "broken off",
        || {
            Script::Bytes(
                b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"data\":{\"verified\":true}}"
                    .into(),
            )
        },
        Open(504, TIMEOUT),
    ),
    (
        "no HTTP",
        || Script::Bytes(b"SSH-2.0-x\r\n\r\n".into()),
        Open(504, TIMEOUT),
    ),
    ("no byte", || Script::Bytes(Vec::new()), Open(504, TIMEOUT)),
    ("a reset", || Script::Reset, Open(504, TIMEOUT)),
];

async fn vendor_mode(world: &World, raw: &RawVendor) -> Instance {
    let url = raw.url();
    let settings = [
        ("STARTMESSAGING__CODE_OWNER", "vendor"),
        ("STARTMESSAGING__BASE_URL", url.as_str()),
        PATIENT,
    ];
    world.instance_with(&settings, "").await
}

#[sqlx::test]
async fn each_answer_to_a_check_has_one_end(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let raw = RawVendor::start();
    let app = vendor_mode(&world, &raw).await;
    for (number, (why, script, end)) in ROWS.into_iter().enumerate() {
        let id = app.sent(&format!("+9198765432{number:02}")).await;
        let before = raw.calls().len();
        raw.script([script()]);

        let answer = app.verify(&id, "123456").await;

        let why = format!("{why}: {}", answer.body);
        let calls = &raw.calls()[before..];
        assert_eq!(calls.len(), 1, "{why}");
        assert_eq!(calls[0].body, r#"{"requestId":"r1","otpCode":"123456"}"#);
        let left = app.report(&id).await.json()["attempts_remaining"].clone();
        // An account fault opens the breaker.
        world.clock.advance(60);
        match end {
            Right => assert_eq!((answer.status, left), (200, 0.into()), "{why}"),
            Wrong => {
                assert_eq!(answer.problem(), (401, "otp_incorrect".to_owned()), "{why}");
                assert_eq!(left, 4, "{why}");
            }
            Over(status, code) | Open(status, code) | NotAsked(status, code) => {
                assert_eq!(answer.problem(), (status, code.to_owned()), "{why}");
                let expected = if matches!(end, NotAsked(..)) { 5 } else { 4 };
                assert_eq!(left, expected, "{why}");
            }
        }
        let is_open = matches!(end, Open(..));
        assert_eq!(answer.json()["request_id"] == id.as_str(), is_open, "{why}");

        // "Used before" is a yes only for a code whose answer is missing.
        raw.script([error("400 X", "ALREADY_VERIFIED")]);
        let again = app.verify(&id, "123456").await;
        assert_eq!(again.status == 200, is_open, "{why}: {}", again.body);
        raw.script([error("400 X", "ALREADY_VERIFIED")]);
        assert_ne!(app.verify(&id, "123456").await.status, 200, "{why}");
        raw.script([]);
    }
}

/// The SMS is out, but without the vendor's handle its code cannot be checked; the same name brings it.
#[sqlx::test]
async fn a_yes_without_a_handle_is_asked_for_again(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let raw = RawVendor::start();
    let app = vendor_mode(&world, &raw).await;
    let right = || reply("200 OK", r#"{"data":{"verified":true}}"#);
    for (number, body) in [
        r#"{"success":true,"data":null}"#,
        r#"{"success":true,"requestId":"req_1","data":{"status":"sent"}}"#,
        r#"{"success":true,"data":{"requestId":""}}"#,
        r#"{"success":true,"data":{"requestId":["r1"]}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let before = raw.calls().len();
        raw.script([reply("201 Created", body)]);
        let sent = app.send(&format!("+9198765432{number:02}")).await;
        assert_eq!(sent.problem(), (502, ERROR.to_owned()), "{body}");
        raw.script([Script::sent(), right()]);

        let answer = app.verify(&sent.text("request_id"), "123456").await;

        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
        let calls = &raw.calls()[before..];
        assert_eq!(calls.len(), 3, "{body}");
        assert_eq!(calls[0].body, calls[1].body, "{body}: the same name");
    }
}

/// The real server makes no codes: whoever takes the tutorials at their word is told at the first send,
/// and nobody pays for it.
#[sqlx::test]
async fn a_vendor_that_makes_no_codes_refuses_to_be_asked_for_one(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let wrong_mode = [("STARTMESSAGING__CODE_OWNER", "vendor")];
    let app = world.instance_with(&wrong_mode, "").await;

    let refused = app.send(PHONE).await;

    assert_eq!(refused.problem(), (502, "provider_error".to_owned()));
    assert_eq!(refused.json().get("request_id"), None);
    assert_eq!(app.breaker().await, "closed");
    let metrics = Answer::of(app.http.get(format!("{}/metrics", app.admin))).await;
    let line = r#"call="send",outcome="wrong_mode"} 1"#;
    assert!(metrics.body.contains(line), "{}", metrics.body);
    let right_mode = world.instance().await;
    assert_eq!(right_mode.send(PHONE).await.status, 201, "at no cost");
}
