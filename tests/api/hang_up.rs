//! A caller who hangs up in the middle of a call: what was begun is carried through.

use std::time::Duration;

use otp_auth::sandbox::{Fault, FaultKind};
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{Answer, PHONE, World};

#[sqlx::test]
async fn a_send_whose_caller_hung_up_is_recorded_and_its_reply_kept(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let delay = Duration::from_millis(300);
    world.sandbox.arm(Fault {
        delay,
        ..Fault::always(FaultKind::Slow)
    });
    let body = json!({"phone_number": PHONE}).to_string();
    let mut caller = TcpStream::connect(app.base.trim_start_matches("http://"))
        .await
        .unwrap();
    let request = format!(
        "POST /v1/otp/send HTTP/1.1\r\nhost: test\r\nidempotency-key: k1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    caller.write_all(request.as_bytes()).await.unwrap();
    world.until("EXISTS (SELECT FROM otp_requests)").await;
    caller.set_zero_linger().unwrap();
    drop(caller);

    world
        .until("(SELECT reply IS NOT NULL FROM idempotency_keys)")
        .await;

    let delivery = sqlx::query_scalar!("SELECT delivery FROM otp_requests");
    assert_eq!(delivery.fetch_one(&world.pool).await.unwrap(), "sent");
    let again = app
        .request(Method::POST, "/v1/otp/send")
        .header("idempotency-key", "k1");
    let again = Answer::of(again.header("content-type", "application/json").body(body)).await;
    assert_eq!(again.status, 201, "{}", again.body);
    assert_eq!(world.sms_count(PHONE), 1);
}
