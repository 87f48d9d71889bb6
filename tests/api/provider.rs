//! A provider that the test answers for by hand, in the order it likes: what the sandbox cannot be
//! made to do.

use futures_util::future::join;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Instance, PHONE, World};

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn instance(world: &World, provider: &TcpListener) -> Instance {
    let address = format!("http://{}", provider.local_addr().unwrap());
    let settings = [
        ("STARTMESSAGING__BASE_URL", address.as_str()),
        // Less than the 10 s that a 429 asks for: it is not waited for.
        ("STARTMESSAGING__TIMEOUT_MS", "9000"),
    ];
    world.instance_with(&settings, "").await
}

/// Takes the next call, whose caller waits until it is answered.
async fn next(provider: &TcpListener) -> TcpStream {
    let (mut call, _) = provider.accept().await.unwrap();
    let mut read = Vec::new();
    // The body of a send is an object that ends with an object.
    while !read.ends_with(b"}}") {
        assert_ne!(call.read_buf(&mut read).await.unwrap(), 0, "a whole call");
    }
    call
}

async fn answer(mut call: TcpStream, status_and_headers: &str, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status_and_headers}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    call.write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
}

/// security.md 42: a redirect would carry the API key to wherever it points.
#[sqlx::test]
async fn a_redirect_of_the_provider_is_not_followed(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let (provider, elsewhere) = (listen().await, listen().await);
    let app = instance(&world, &provider).await;
    let target = elsewhere.local_addr().unwrap();

    let redirect = async {
        let head = format!("307 Temporary Redirect\r\nlocation: http://{target}/otp/send");
        answer(next(&provider).await, &head, "").await;
    };
    let (sent, ()) = join(app.send(PHONE), redirect).await;

    assert_eq!(sent.problem(), (502, "provider_error".to_owned()));
}

/// What a late refusal gives back is its own, not what a newer send took.
#[sqlx::test]
async fn a_refused_send_gives_back_nothing_of_a_newer_one(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let provider = listen().await;
    let app = instance(&world, &provider).await;

    let while_the_first_waits = async {
        let first = next(&provider).await;
        world.clock.advance(30);
        let accept = async {
            let body = r#"{"success":true,"data":{"messageId":"m2"}}"#;
            answer(next(&provider).await, "201 Created", body).await;
        };
        let (second, ()) = join(app.send(PHONE), accept).await;
        answer(first, "429 Too Many Requests\r\nretry-after: 10", "{}").await;
        second
    };
    let (first, second) = join(app.send(PHONE), while_the_first_waits).await;

    assert_eq!(first.problem(), (503, "provider_unavailable".to_owned()));
    assert_eq!(second.status, 201, "{}", second.body);
    let report = app.report(&second.text("request_id")).await;
    assert_eq!(report.text("status"), "pending");
    assert_eq!(report.json()["sends_remaining"], 2);
    let third = app.send(PHONE).await;
    assert_eq!(third.text("limit"), "cooldown");
    assert_eq!(third.retry_after(), 60);
    assert!(
        third.header("ratelimit").contains("\"phone-300s\";r=2;"),
        "the first one's place is free again: {}",
        third.header("ratelimit")
    );
}
