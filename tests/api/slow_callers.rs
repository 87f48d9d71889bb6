//! Callers who begin and never end, or send what nobody asked for: they keep no connection for it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Answer, Instance, PHONE, World};

#[sqlx::test]
async fn a_body_that_does_not_come_is_not_waited_for(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("SERVER__READ_TIMEOUT_MS", "1000")], "")
        .await;
    let address = app.base.trim_start_matches("http://");
    for path in ["/v1/otp/send", "/v1/token", "/auth/send-otp/"] {
        let mut call = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{{"
        );
        call.write_all(head.as_bytes()).await.unwrap();

        let mut answer = String::new();
        let read = call.read_to_string(&mut answer);
        let read = timeout(Duration::from_secs(30), read).await;
        read.expect("the end of the connection").unwrap();

        assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
        assert!(
            answer.contains(r#""code":"request_timeout""#),
            "{path}: {answer}"
        );
    }
}

/// Sends, and goes on with a little more now and then, until the connection ends; what was answered.
async fn drip(app: &Instance, begin: &str, more: &str) -> String {
    let address = app.base.trim_start_matches("http://");
    let call = TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = call.into_split();
    write.write_all(begin.as_bytes()).await.unwrap();
    let more = more.to_owned();
    let dripping = tokio::spawn(async move {
        let mut time = tokio::time::interval(Duration::from_millis(50));
        while write.write_all(more.as_bytes()).await.is_ok() {
            time.tick().await;
        }
    });
    let mut answer = Vec::new();
    let end = timeout(Duration::from_secs(30), read.read_to_end(&mut answer)).await;
    dripping.abort();
    // A reset is an end, too.
    let _ = end.unwrap_or_else(|_| panic!("after {begin:?} the connection is kept"));
    String::from_utf8(answer).unwrap()
}

#[sqlx::test]
async fn neither_a_head_nor_a_body_that_never_ends_keeps_a_connection(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let settings = [("SERVER__READ_TIMEOUT_MS", "1000")];
    let app = world.instance_with(&settings, "").await;
    let post = |path: &str, length: &str| {
        let kind = "content-type: application/json";
        format!("POST {path} HTTP/1.1\r\nhost: a\r\n{kind}\r\n{length}\r\n\r\n")
    };
    let chunked = "transfer-encoding: chunked";
    let long = format!("4e20\r\n{}\r\n", "a".repeat(20_000));
    for (begin, more, statuses) in [
        ("GET / HTTP/1.1\r\nx: ".to_owned(), "a", vec!["408"]),
        (
            post("/v1/otp/send", "content-length: 9000"),
            "a",
            vec!["408"],
        ),
        (post("/v1/otp/send", chunked), "1\r\na\r\n", vec!["408"]),
        (
            post("/v1/otp/send", chunked) + &long,
            "1\r\na\r\n",
            vec!["413"],
        ),
        (
            post("/v1/otp/send", "content-length: 20000"),
            "a",
            vec!["413"],
        ),
        (post("/v1/nowhere", chunked), "1\r\na\r\n", vec!["404"]),
        (
            post("/v1/nowhere", "content-length: 9000"),
            "a",
            vec!["404"],
        ),
        (post("/v1/authorize", chunked), "1\r\na\r\n", vec!["401"]),
    ] {
        let answer = drip(&app, &begin, more).await;
        let answers: Vec<&str> = answer
            .lines()
            .filter_map(|line| line.strip_prefix("HTTP/1.1 "))
            .filter_map(|status| status.get(..3))
            .collect();
        assert_eq!(answers, statuses, "{begin:?}: {answer}");
    }
}

/// The head of the answer to a call over a connection.
async fn called(connection: &mut TcpStream) -> String {
    let call = "GET /v1/authorize HTTP/1.1\r\nhost: a\r\n\r\n";
    connection.write_all(call.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = timeout(Duration::from_secs(30), connection.read_buf(&mut head));
        assert!(read.await.expect("an answer").unwrap() > 0, "no answer");
    }
    String::from_utf8(head).unwrap()
}

#[sqlx::test]
async fn no_more_than_half_of_the_connections_are_kept(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("SERVER__MAX_CONNECTIONS", "4")], "")
        .await;
    let address = app.base.trim_start_matches("http://");
    let mut open = Vec::new();
    for number in 1..=4 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let head = called(&mut connection).await;
        assert_eq!(head.contains("connection: close"), number > 2, "{head}");
        open.push(connection);
    }
    // Those that were answered with a close are closed, and there is room again.
    for mut closed in open.split_off(2) {
        assert_eq!(closed.read(&mut [0]).await.unwrap(), 0);
    }
    drop(open.pop());
    let kept = open.first_mut().unwrap();
    // Whom it tells to close before it has seen the other go is lost to further calls, so that another one asks.
    let again = async {
        loop {
            let mut other = TcpStream::connect(address).await.unwrap();
            if !called(&mut other).await.contains("connection: close") {
                return other;
            }
        }
    };
    let _other = timeout(Duration::from_secs(30), again)
        .await
        .expect("room for one more");
    let head = called(kept).await;
    assert!(!head.contains("connection: close"), "a kept one: {head}");
}

#[sqlx::test]
async fn a_coded_body_is_not_decoded(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    for (coding, status) in [
        ("gzip", 415),
        ("br", 415),
        ("identity, gzip", 415),
        ("Identity", 201),
    ] {
        let request = app.request(Method::POST, "/v1/otp/send");
        let request = request.header("content-encoding", coding);
        let answer = Answer::of(request.json(&json!({"phone_number": PHONE}))).await;
        assert_eq!(answer.status, status, "{coding}: {}", answer.body);
    }
}
