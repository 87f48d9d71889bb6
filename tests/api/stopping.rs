//! A service that is told to stop: what callers and proxies see of it, and when it ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use otp_auth::app::{App, Deps};
use otp_auth::random::SystemRandom;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::raw::{RawVendor, Script};
use crate::support::{Answer, CLIENTS, Instance, OFTEN, PHONE, SECRET, World, http_client};

/// A hang is a failure, and so is waiting for the 55 s of a call that waits for news.
const PATIENCE: Duration = Duration::from_secs(40);
/// Nobody waits for proxies, and calls have longer than any of these.
const AT_LEISURE: [(&str, &str); 2] = [
    ("SERVER__DRAIN_SECONDS", "0"),
    ("SERVER__SHUTDOWN_GRACE_SECONDS", "300"),
];
/// It takes calls until it is told again.
const FOR_EVER: [(&str, &str); 1] = [("SERVER__DRAIN_SECONDS", "300")];

/// An instance that the test stops.
struct Stoppable {
    app: Instance,
    stop: Option<oneshot::Sender<()>>,
    at_once: Option<oneshot::Sender<()>>,
    running: JoinHandle<io::Result<()>>,
}

impl Stoppable {
    async fn start(world: &World, settings: &[(&str, &str)]) -> Self {
        let deps = Deps {
            clock: world.clock.clone(),
            random: Arc::new(SystemRandom),
        };
        let settings = world.settings(settings, CLIENTS);
        let app = App::build(&settings, deps).await.unwrap();
        let instance = Instance {
            base: format!("http://{}", app.public_addr),
            admin: format!("http://{}", app.admin_addr),
            http: http_client(),
        };
        let (stop, told) = oneshot::channel();
        let (at_once, told_again) = oneshot::channel();
        let told = async move { told.await.unwrap_or(()) };
        let told_again = async move { told_again.await.unwrap_or(()) };
        Self {
            app: instance,
            stop: Some(stop),
            at_once: Some(at_once),
            running: tokio::spawn(app.run_or_end(told, told_again)),
        }
    }

    /// A call that takes as long as the vendor does.
    fn send(&self) -> RequestBuilder {
        let body = json!({"phone_number": PHONE, "client_id": "web"});
        self.app.request(Method::POST, "/v1/otp/send").json(&body)
    }

    /// Tells it once, as a supervisor does.
    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    fn stop_at_once(&mut self) {
        self.at_once.take().unwrap().send(()).unwrap();
    }

    async fn is_draining(&self) {
        let draining = async { while self.app.admin_get("/readyz").await.status != 503 {} };
        timeout(PATIENCE, draining).await.expect("a drain");
    }

    /// Waits until nobody can connect any more.
    async fn takes_no_connection(&self) {
        let address = self.app.base.trim_start_matches("http://");
        let refused = async { while TcpStream::connect(address).await.is_ok() {} };
        timeout(PATIENCE, refused).await.expect("no connection");
    }

    /// Waits for its end, which must be a good one.
    async fn ended(self) {
        let ended = timeout(PATIENCE, self.running).await.expect("an end");
        ended.unwrap().unwrap();
    }
}

/// No connection of the service is left: nothing runs in the background.
async fn let_go_of_the_database(world: &World) {
    world
        .until(
            "NOT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'otp-auth')",
        )
        .await;
}

/// Its connection ended, or it was told of its work's end just before.
async fn was_cut_off(call: JoinHandle<reqwest::Result<Response>>) {
    if let Ok(answer) = timeout(PATIENCE, call).await.unwrap().unwrap() {
        assert_eq!(answer.status(), 500);
    }
}

/// A vendor whose next answer comes when it is time.
fn held() -> (RawVendor, Arc<Notify>) {
    let (raw, time) = (RawVendor::start(), Arc::new(Notify::new()));
    raw.script([Script::When(Arc::clone(&time), Box::new(Script::sent()))]);
    (raw, time)
}

#[sqlx::test]
async fn while_it_drains_it_is_not_ready_and_still_answers(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let mut service = Stoppable::start(&world, &FOR_EVER).await;
    let before = service.app.get("/.well-known/jwks.json").await;
    assert_eq!(before.headers.get("connection"), None);
    let ready = service.app.admin_get("/readyz").await;
    assert_eq!((ready.status, ready.text("status")), (200, "pass".into()));
    let server = &ready.json()["checks"]["server"];
    assert_eq!(
        server,
        &json!([{"status": "pass", "observedValue": "serving"}])
    );

    service.stop();
    service.is_draining().await;

    let ready = service.app.admin_get("/readyz").await;
    assert_eq!(ready.header("content-type"), "application/health+json");
    assert_eq!((ready.status, ready.text("status")), (503, "fail".into()));
    let expected = json!([{"status": "fail", "observedValue": "stopping", "output": "stopping"}]);
    assert_eq!(ready.json()["checks"]["server"], expected);
    assert_eq!(service.app.admin_get("/livez").await.status, 200);
    for _ in 0..2 {
        // Each over a connection of its own, which the listener must still take.
        let login = world.log_in_as(&service.app, "web", PHONE).await;
        assert_eq!(login.header("connection"), "close");
        world.clock.advance(300);
    }
    for path in ["/.well-known/jwks.json", "/nowhere"] {
        assert_eq!(service.app.get(path).await.header("connection"), "close");
    }

    service.stop_at_once();
    service.ended().await;
    let_go_of_the_database(&world).await;
}

#[sqlx::test]
async fn a_draining_replica_still_hears_which_sessions_ended(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let settings = [&FOR_EVER[..], &OFTEN[..]].concat();
    let mut service = Stoppable::start(&world, &settings).await;
    let other = world.instance_with(&OFTEN, CLIENTS).await;
    let login = world.log_in_as(&other, "web", PHONE).await;
    let token = login.text("access_token");
    let hook = async || {
        let answer = service.app.bearer(Method::GET, "/v1/authorize", &token);
        answer.await.status
    };
    assert_eq!(hook().await, 200);
    service.stop.take().unwrap().send(()).unwrap();
    service.is_draining().await;

    let ended = other.bearer(Method::DELETE, "/v1/sessions", &token).await;
    assert_eq!(ended.status, 204);

    let refused = async { while hook().await != 401 {} };
    timeout(PATIENCE, refused).await.expect("a refusal");
}

#[sqlx::test]
async fn a_call_in_flight_is_finished_with_the_vendors_answer(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (raw, time) = held();
    let url = raw.url();
    let settings = [&AT_LEISURE[..], &[("STARTMESSAGING__BASE_URL", &url)]].concat();
    let mut service = Stoppable::start(&world, &settings).await;
    let call = tokio::spawn(Answer::of(service.send()));
    raw.called(1).await;

    service.stop();
    service.takes_no_connection().await;
    assert!(!service.running.is_finished());
    time.notify_one();

    let answer = timeout(PATIENCE, call).await.unwrap().unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.header("connection"), "close");
    service.ended().await;
    let delivery = sqlx::query_scalar!("SELECT delivery FROM otp_requests");
    assert_eq!(delivery.fetch_one(&world.pool).await.unwrap(), "sent");
    let_go_of_the_database(&world).await;
}

#[sqlx::test]
async fn who_waits_for_news_is_answered_before_the_end(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let settings = [&AT_LEISURE[..], &[("SERVER__WORKERS", "1")]].concat();
    let mut service = Stoppable::start(&world, &settings).await;
    let address = service.app.base.trim_start_matches("http://");
    let mut waiting = TcpStream::connect(address).await.unwrap();
    let credentials = STANDARD.encode(format!("shop:{SECRET}"));
    let request = format!(
        "GET /v1/revocations?wait=55 HTTP/1.1\r\nhost: test\r\nauthorization: Basic {credentials}\r\n\r\n"
    );
    waiting.write_all(request.as_bytes()).await.unwrap();
    // The only worker has begun with the first call when it answers the second.
    assert_eq!(service.app.get("/openapi.json").await.status, 200);

    service.stop();

    service.ended().await;
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[sqlx::test]
async fn what_hangs_is_cut_off_at_the_deadline(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let (raw, _never) = held();
    let url = raw.url();
    let settings = [
        ("STARTMESSAGING__BASE_URL", url.as_str()),
        ("SERVER__DRAIN_SECONDS", "0"),
        ("SERVER__SHUTDOWN_GRACE_SECONDS", "0"),
    ];
    let mut service = Stoppable::start(&world, &settings).await;
    let call = tokio::spawn(service.send().send());
    raw.called(1).await;

    service.stop();

    service.ended().await;
    let_go_of_the_database(&world).await;
    was_cut_off(call).await;
}

#[sqlx::test]
async fn who_is_told_twice_ends_at_once(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    for settings in [&FOR_EVER[..], &AT_LEISURE[..]] {
        let (raw, _never) = held();
        let url = raw.url();
        let settings = [settings, &[("STARTMESSAGING__BASE_URL", url.as_str())]].concat();
        let mut service = Stoppable::start(&world, &settings).await;
        let call = tokio::spawn(service.send().send());
        raw.called(1).await;
        service.stop();

        service.stop_at_once();

        service.ended().await;
        let_go_of_the_database(&world).await;
        was_cut_off(call).await;
        world.clock.advance(300);
    }
}
