//! What becomes of an SMS after the provider took it: asked about in the background.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use otp_auth::clock::Clock as _;
use otp_auth::sandbox::{Fault, FaultKind};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Answer, Instance, OTHER_PHONE, PHONE, World};

/// How many deliveries ended in this way, as these instances count them.
async fn counted(instances: &[&Instance], status: &str) -> usize {
    let name = format!(r#"otp_auth_sms_deliveries_total{{country="IN",status="{status}"}} "#);
    let mut sum = 0;
    for instance in instances {
        let metrics = instance.http.get(format!("{}/metrics", instance.admin));
        let metrics = Answer::of(metrics).await.body;
        let mut lines = metrics.lines();
        let count = lines.find_map(|line| line.strip_prefix(&name));
        sum += count.expect("a counter").parse::<usize>().unwrap();
    }
    sum
}

/// Returns when so many deliveries have ended in this way; fails where it is never so many.
async fn until_counted(instances: &[&Instance], status: &str, expected: usize) {
    let counted = async { while counted(instances, status).await != expected {} };
    let counted = tokio::time::timeout(Duration::from_mins(1), counted).await;
    assert!(counted.is_ok(), "{expected} {status}");
}

#[sqlx::test]
async fn of_two_instances_one_asks_once_about_each_sms(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);
    let mut ids = Vec::new();
    for row in 0..10 {
        ids.push(one.sent(&format!("+9198765432{row:02}")).await);
    }
    assert_eq!(one.report(&ids[0]).await.text("delivery"), "sent");

    // At the latest now, and the sandbox delivers after 2 s.
    world.clock.advance(5);

    until_counted(&[&one, &two], "delivered", 10).await;
    assert_eq!(world.sandbox.requests().message, 10);
    for id in &ids {
        assert_eq!(two.report(id).await.text("delivery"), "delivered");
    }
    world
        .until("NOT EXISTS (SELECT FROM otp_requests WHERE due_at IS NOT NULL)")
        .await;
}

/// A caller is answered before it is recorded that his SMS was taken, which this replica knows all the same.
#[sqlx::test]
async fn whoever_asks_right_after_the_answer_is_told_that_it_was_sent(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let id = app.sent(PHONE).await;
    let report = app.report(&id).await;

    assert_eq!(report.text("delivery"), "sent");
}

#[sqlx::test]
async fn an_sms_that_the_provider_does_not_know_stays_sent_and_is_given_up_in_the_end(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;
    world.sandbox.clear_messages();

    for question in 1..=8 {
        // Longer than any pause between two questions.
        world.clock.advance_by(TimeDelta::hours(1));
        let asking_until = world.clock.now() + TimeDelta::seconds(30);
        world
            .until(&format!(
                "(SELECT polls = {question} AND due_at IS DISTINCT FROM '{asking_until}'
                  FROM otp_requests)"
            ))
            .await;
        assert_eq!(app.report(&id).await.text("delivery"), "sent");
        assert_eq!(world.sandbox.requests().message, question);
    }

    until_counted(&[&app], "expired", 1).await;
    world
        .until("(SELECT due_at IS NULL FROM otp_requests)")
        .await;
}

#[sqlx::test]
async fn an_sms_whose_sender_is_gone_is_unknown_when_the_lease_has_ended(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    // A lease of 100 s.
    let lease = [
        ("STARTMESSAGING__TIMEOUT_MS", "60000"),
        ("DATABASE__ACQUIRE_TIMEOUT_MS", "2500"),
        ("DATABASE__STATEMENT_TIMEOUT_MS", "2500"),
    ];
    let app = world.instance_with(&lease, "").await;
    world.sandbox.arm(Fault::always(FaultKind::Hang));
    let sends = async {
        let second = async {
            world.until("(SELECT count(*) = 1 FROM otp_requests)").await;
            world.clock.advance_by(TimeDelta::milliseconds(1));
            app.send(OTHER_PHONE).await
        };
        let looks = async {
            world.until("(SELECT count(*) = 2 FROM otp_requests)").await;
            world.clock.advance_by(TimeDelta::milliseconds(99_999));
            until_counted(&[&app], "unknown", 1).await;
            let found = sqlx::query!("SELECT id, delivery FROM otp_requests ORDER BY created_at");
            let found = found.fetch_all(&world.pool).await.unwrap();
            let [first, second] = &found[..] else {
                panic!("two requests")
            };
            assert_eq!(first.delivery, "unknown", "the lease has ended");
            assert_eq!(second.delivery, "queued", "it ends in a millisecond");
            let id = first.id.to_string();
            assert_eq!(app.report(&id).await.text("delivery"), "unknown");
            let verified = app.verify(&id, &world.code(PHONE)).await;
            assert_eq!(
                verified.status, 200,
                "its code is as good: {}",
                verified.body
            );
            world.sandbox.stop();
        };
        futures_util::future::join3(app.send(PHONE), second, looks).await
    };
    let (first, second, ()) = sends.await;
    for answer in [first, second] {
        assert_eq!(answer.problem(), (504, "provider_timeout".to_owned()));
    }
}

/// A provider that takes every SMS, and says the same of every delivery. Keeps the bodies it got.
async fn provider(delivery: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&bodies);
    tokio::spawn(async move {
        while let Ok((mut call, _)) = listener.accept().await {
            let request = read(&mut call).await;
            let body = if request.starts_with("GET /messages/m1 ") {
                delivery
            } else {
                r#"{"success":true,"data":{"messageId":"m1","status":"sent"}}"#
            };
            let head = format!("connection: close\r\ncontent-length: {}", body.len());
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
            kept.lock().unwrap().push(request);
            call.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, bodies)
}

/// A whole request: a GET, or one whose body is an object that ends with an object.
async fn read(call: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        assert_ne!(call.read_buf(&mut read).await.unwrap(), 0, "a whole call");
        let is_whole = if read.starts_with(b"GET") {
            read.ends_with(b"\r\n\r\n")
        } else {
            read.ends_with(b"}}")
        };
        if is_whole {
            return String::from_utf8(read).unwrap();
        }
    }
}

#[sqlx::test]
async fn a_failed_delivery_is_told_in_either_spelling_and_its_code_is_as_good(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let mut instances = Vec::new();
    for (row, delivery) in [
        // The real server's, and that of its documentation.
        r#"{"success":true,"data":{"id":"m1","status":"failed","failureReason":"off"}}"#,
        r#"{"success":true,"data":{"messageId":"m1","status":"failed","error":"off"}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let (url, requests) = provider(delivery).await;
        let own = [("STARTMESSAGING__BASE_URL", url.as_str())];
        let app = world.instance_with(&own, "").await;
        let id = app.sent(&format!("+9198765432{row:02}")).await;
        let sent = requests.lock().unwrap()[0].clone();
        let (_, body) = sent.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let code = body["variables"]["otp"].as_str().unwrap();

        world.clock.advance(5);

        // Any instance may be the one that asks.
        instances.push(app);
        let all: Vec<&Instance> = instances.iter().collect();
        until_counted(&all, "failed", row + 1).await;
        let app = &instances[row];
        let report = app.report(&id).await;
        assert_eq!(report.text("delivery"), "failed");
        assert_eq!(report.text("status"), "pending", "{delivery}");
        let verified = app.verify(&id, code).await;
        assert_eq!(verified.status, 200, "a late SMS: {}", verified.body);
        assert_eq!(app.report(&id).await.text("delivery"), "failed");
    }
}
