//! Answers to a send that are hardly answers: bytes that no vendor means to send, and bytes that never
//! end. Whatever they are, an SMS that may be out is not given up.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::bench::End::{Open, Sent};
use crate::support::bench::{ERROR, IMPATIENT, PATIENT, Row, TIMEOUT, each_row_holds, raw_bench};
use crate::support::raw::Script;

fn html(status: &str) -> Vec<Script> {
    let status = format!("{status}\r\ncontent-type: text/html");
    vec![Script::reply(&status, "<html>nginx</html>")]
}

fn ok(body: &str) -> Vec<Script> {
    vec![Script::reply("200 OK", body)]
}

fn bytes(text: &str) -> Vec<Script> {
    vec![Script::Bytes(text.into())]
}

#[sqlx::test]
async fn bytes_that_are_no_answer_leave_the_send_open(_: PgPoolOptions, connect: PgConnectOptions) {
    let (mut bench, raw) = raw_bench(connect, PATIENT).await;
    let rows: [Row; 22] = [
        ("200 HTML", || html("200 OK"), Open(502, ERROR), 1),
        ("400 HTML", || html("400 Bad Request"), Open(502, ERROR), 1),
        ("502 HTML", || html("502 Bad Gateway"), Open(502, ERROR), 1),
        (
            "half an object",
            || ok(r#"{"success":true,"data":{"otpReq"#),
            Open(502, ERROR),
            1,
        ),
        (
            "broken off",
            || bytes("HTTP/1.1 201 Created\r\ncontent-length: 99\r\n\r\n{\"success\":true"),
            Open(504, TIMEOUT),
            1,
        ),
        (
            "a broken chunk",
            || bytes("HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n"),
            Open(504, TIMEOUT),
            1,
        ),
        (
            "no success",
            || ok(r#"{"success":false,"data":{"otpRequestId":"r1"}}"#),
            Open(502, ERROR),
            1,
        ),
        ("an array", || ok("[]"), Open(502, ERROR), 1),
        (
            "nothing",
            || {
                vec![Script::Bytes(
                    b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".into(),
                )]
            },
            Open(502, ERROR),
            1,
        ),
        (
            "no HTTP",
            || bytes("\0\u{1}SSH-2.0-x\r\n\r\n"),
            Open(504, TIMEOUT),
            1,
        ),
        (
            "half a head",
            || bytes("HTTP/1.1 201 Cre"),
            Open(504, TIMEOUT),
            1,
        ),
        ("no byte", || bytes(""), Open(504, TIMEOUT), 1),
        ("a reset", || vec![Script::Reset], Open(504, TIMEOUT), 1),
        (
            "5 MB",
            || vec![Script::Flood(5_000_000)],
            Open(502, ERROR),
            1,
        ),
        // What follows is taken for a yes: the SMS is out.
        ("no data", || ok(r#"{"success":true,"data":null}"#), Sent, 1),
        (
            "no id",
            || ok(r#"{"success":true,"data":{"status":"sent"}}"#),
            Sent,
            1,
        ),
        (
            "no success member",
            || ok(r#"{"data":{"otpRequestId":"r1"}}"#),
            Sent,
            1,
        ),
        (
            "an absurd id",
            || ok(r#"{"success":true,"data":{"otpRequestId":{},"messageId":[1]}}"#),
            Sent,
            1,
        ),
        (
            "more than we know",
            || ok(r#"{"success":true,"x":{"y":[1]},"data":{"z":null,"requestId":7}}"#),
            Sent,
            1,
        ),
        (
            "another type",
            || {
                vec![Script::reply(
                    "201 Created\r\ncontent-type: text/html",
                    r#"{"success":true}"#,
                )]
            },
            Sent,
            1,
        ),
        (
            "go on",
            || {
                bytes(
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 16\r\n\r\n{\"success\":true}",
                )
            },
            Sent,
            1,
        ),
        (
            "no length",
            || bytes("HTTP/1.0 201 Created\r\n\r\n{\"success\":true}"),
            Sent,
            1,
        ),
    ];

    each_row_holds(&mut bench, &raw, &rows).await;
    let taken = raw.taken().await;
    assert!(taken < 2_500_000, "{taken} bytes of a flood were taken");
}

#[sqlx::test]
async fn an_answer_that_does_not_end_in_time_leaves_the_send_open(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let (mut bench, raw) = raw_bench(connect, IMPATIENT).await;
    let rows: [Row; 4] = [
        ("nothing", || vec![Script::Stall("")], Open(504, TIMEOUT), 1),
        (
            "half a head",
            || vec![Script::Stall("HTTP/1.1 201 Cre")],
            Open(504, TIMEOUT),
            1,
        ),
        (
            "half a body",
            || {
                vec![Script::Stall(
                    "HTTP/1.1 201 Created\r\ncontent-length: 99\r\n\r\n{",
                )]
            },
            Open(504, TIMEOUT),
            1,
        ),
        (
            "a drip",
            || {
                vec![Script::Drip(
                    "HTTP/1.1 201 Created\r\ncontent-length: 99999\r\n\r\n",
                )]
            },
            Open(504, TIMEOUT),
            1,
        ),
    ];

    each_row_holds(&mut bench, &raw, &rows).await;
}
