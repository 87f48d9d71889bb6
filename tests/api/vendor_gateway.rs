//! What the answers of a company's own gateway come to, and bytes that are none.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::GATEWAY_SECRET;
use crate::support::bench::End::{Account, Failed, Open, Refused, Sent};
use crate::support::bench::{Bench, ERROR, Row, TIMEOUT, UNAVAILABLE, each_row_holds};
use crate::support::raw::{RawVendor, Script};
use crate::support::{Line, PHONE};

fn reply(status: &str) -> Vec<Script> {
    vec![Script::reply(status, "<html>nginx</html>")]
}

const ROWS: [Row; 19] = [
    (
        "taken",
        || vec![Script::reply("200 OK", r#"{"message_id":"m1"}"#)],
        Sent,
        1,
    ),
    ("taken, whatever it says", || reply("202 Accepted"), Sent, 1),
    ("taken before", || reply("409 Conflict"), Sent, 1),
    (
        "not this number",
        || reply("422 X"),
        Refused(429, "rate_limited", 300),
        1,
    ),
    (
        "not this number yet",
        || reply("422 X\r\nretry-after: 42"),
        Refused(429, "rate_limited", 42),
        1,
    ),
    (
        "too many calls",
        || reply("429 X\r\nretry-after: 10"),
        Failed(503, UNAVAILABLE, 10),
        1,
    ),
    (
        "too many, no wait told",
        || reply("429 X"),
        Failed(503, UNAVAILABLE, 10),
        1,
    ),
    ("the signature", || reply("401 X"), Account, 1),
    ("the account", || reply("403 X"), Account, 1),
    ("a bad call", || reply("400 X"), Refused(502, ERROR, 0), 1),
    ("no such path", || reply("404 X"), Refused(502, ERROR, 0), 1),
    ("a teapot", || reply("418 X"), Refused(502, ERROR, 0), 1),
    ("a defect", || reply("500 X"), Open(502, ERROR), 1),
    (
        "away",
        || reply("503 X\r\nretry-after: 1"),
        Open(502, ERROR),
        1,
    ),
    (
        "elsewhere",
        || reply("308 X\r\nlocation: http://127.0.0.1:9/"),
        Open(502, ERROR),
        1,
    ),
    (
        "no HTTP",
        || vec![Script::Bytes(b"220 smtp.example\r\n".into())],
        Open(504, TIMEOUT),
        1,
    ),
    (
        "broken off",
        || {
            vec![Script::Bytes(
                b"HTTP/1.1 202 X\r\ncontent-length: 9\r\n\r\n{".into(),
            )]
        },
        Open(504, TIMEOUT),
        1,
    ),
    (
        "no byte",
        || vec![Script::Bytes(Vec::new())],
        Open(504, TIMEOUT),
        1,
    ),
    ("a reset", || vec![Script::Reset], Open(504, TIMEOUT), 1),
];

#[sqlx::test]
async fn each_answer_of_a_gateway_has_one_end(_: PgPoolOptions, connect: PgConnectOptions) {
    let raw = RawVendor::start();
    let url = raw.url();
    let settings = [
        ("PROVIDER__KIND", "webhook"),
        ("WEBHOOK__URL", url.as_str()),
        ("WEBHOOK__SECRET", GATEWAY_SECRET),
        ("WEBHOOK__TIMEOUT_MS", "9000"),
    ];
    let mut bench = Bench::new(connect, &settings).await;

    each_row_holds(&mut bench, &raw, &ROWS).await;
}

/// Its id of an SMS is kept for whoever looks into a complaint, but it cannot be asked by it.
#[sqlx::test]
async fn a_gateway_is_not_asked_about_deliveries(_: PgPoolOptions, connect: PgConnectOptions) {
    let line = Line::webhook(connect).await;
    let app = line.instance().await;
    app.sent(PHONE).await;
    line.world.all_recorded().await;

    let row = sqlx::query!(
        r#"SELECT delivery, provider_message_id AS "message_id!", due_at FROM otp_requests"#
    );
    let row = row.fetch_one(&line.world.pool).await.unwrap();

    assert_eq!(
        (row.delivery.as_str(), row.message_id.as_str()),
        ("sent", "1")
    );
    assert_eq!(row.due_at, None);
}
