//! More calls than the database has room for: who is told to come back, and who is served all the same.

use std::sync::Arc;
use std::time::Duration;

use otp_auth::http;
use otp_auth::seats::Class;
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor as _, Postgres, Transaction, raw_sql};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::raw::{RawVendor, Script};
use crate::support::{Answer, Instance, OTHER_PHONE, PHONE, World};

const THIRD_PHONE: &str = "+919811111111";
/// Whoever waits for a seat is told to come back after a second, and statements wait for locks much longer.
const SETTINGS: [(&str, &str); 2] = [
    ("DATABASE__MAX_CONNECTIONS", "8"),
    ("DATABASE__ACQUIRE_TIMEOUT_MS", "1000"),
];

/// Keeps everybody from a phone that was sent to.
async fn hold(world: &World, request_id: &str) -> Transaction<'static, Postgres> {
    let mut lock = world.pool.begin().await.unwrap();
    let row = format!(
        "SELECT 1 FROM phone_throttles JOIN otp_requests USING (phone_index)
         WHERE id = '{request_id}' FOR UPDATE OF phone_throttles"
    );
    let row = raw_sql(AssertSqlSafe(row));
    lock.fetch_one(row).await.unwrap();
    lock
}

/// Calls that wait for [`hold`], each with a seat.
async fn stuck(
    world: &World,
    app: &Instance,
    calls: usize,
    path: &str,
    body: &serde_json::Value,
) -> JoinSet<Answer> {
    let mut stuck = JoinSet::new();
    for _ in 0..calls {
        let request = app.request(Method::POST, path).json(body);
        stuck.spawn(Answer::of(request));
    }
    let waiting = format!(
        "(SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock') = {calls}"
    );
    world.until(&waiting).await;
    stuck
}

async fn authorize(app: &Instance, token: &str) -> u16 {
    let request = app.request(Method::GET, "/v1/authorize");
    Answer::of(request.bearer_auth(token)).await.status
}

async fn refresh(app: &Instance, token: &str) -> Answer {
    app.post("/v1/token/refresh", &json!({"refresh_token": token}))
        .await
}

/// How many of a class were told to come back, for a reason.
async fn shed(app: &Instance, class: &str, reason: &str) -> String {
    let metrics = app.admin_get("/metrics").await.body;
    let series = format!("otp_auth_calls_shed_total{{class=\"{class}\",reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap().to_owned()
}

#[sqlx::test]
async fn sends_are_told_to_come_back_while_logins_go_on(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&SETTINGS, "").await;
    let request = app.sent(PHONE).await;
    let held = hold(&world, &app.sent(OTHER_PHONE).await).await;
    let send = json!({"phone_number": OTHER_PHONE});
    let mut stuck = stuck(&world, &app, 5, "/v1/otp/send", &send).await;

    let turned_away = [
        app.send(THIRD_PHONE).await,
        app.resend(&request).await,
        app.report(&request).await,
    ];
    for answer in turned_away {
        assert_eq!(answer.problem(), (503, "service_unavailable".to_owned()));
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.json()["retry_after"], 1);
    }
    let login = app.verify(&request, &world.code(PHONE)).await;
    assert_eq!(login.status, 200, "{}", login.body);
    let next = refresh(&app, &login.text("refresh_token")).await;
    assert_eq!(next.status, 200, "{}", next.body);
    let token = next.text("access_token");
    assert_eq!(authorize(&app, &token).await, 200);
    assert_eq!(app.get("/.well-known/jwks.json").await.status, 200);
    let sessions = app.request(Method::GET, "/v1/sessions");
    assert_eq!(Answer::of(sessions.bearer_auth(&token)).await.status, 200);
    assert_eq!(shed(&app, "send", "late").await, "3");
    assert_eq!(shed(&app, "login", "late").await, "0");

    drop(held);
    while let Some(answer) = stuck.join_next().await {
        assert_eq!(answer.unwrap().problem(), (429, "rate_limited".to_owned()));
    }
    app.sent(THIRD_PHONE).await;
    assert_eq!(world.sms_count(THIRD_PHONE), 1);
}

#[sqlx::test]
async fn the_hook_the_keys_and_operators_are_served_when_no_login_is(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&SETTINGS, "").await;
    let first = app.sent(PHONE).await;
    let login = app.verify(&first, &world.code(PHONE)).await;
    let (token, next) = (login.text("access_token"), login.text("refresh_token"));
    let request = app.sent(OTHER_PHONE).await;
    let held = hold(&world, &request).await;
    let verify = json!({"request_id": request, "code": world.code(OTHER_PHONE)});
    let mut stuck = stuck(&world, &app, 7, "/v1/otp/verify", &verify).await;

    let refused = refresh(&app, &next).await;
    assert_eq!(refused.problem(), (503, "service_unavailable".to_owned()));
    let form = app
        .request(Method::POST, "/v1/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!(
            "grant_type=refresh_token&refresh_token={next}&client_id=web"
        ));
    let form = Answer::of(form).await;
    assert_eq!(form.status, 503);
    assert_eq!(form.json()["error"], "temporarily_unavailable");
    assert_eq!(form.header("retry-after"), "1");
    let sessions = app.request(Method::GET, "/v1/sessions");
    let sessions = Answer::of(sessions.bearer_auth(&token)).await;
    assert_eq!(sessions.problem(), (503, "service_unavailable".to_owned()));

    assert_eq!(authorize(&app, &token).await, 200);
    assert_eq!(app.get("/.well-known/jwks.json").await.status, 200);
    assert_eq!(app.admin_get("/readyz").await.status, 200);
    let sessions = format!("/admin/v1/users/{}/sessions", login.text("subject"));
    assert_eq!(app.admin_get(&sessions).await.status, 200);

    drop(held);
    let mut statuses = Vec::new();
    while let Some(answer) = stuck.join_next().await {
        statuses.push(answer.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400, 400, 400, 400, 400]);
    assert_eq!(refresh(&app, &next).await.status, 200);
}

#[sqlx::test]
async fn who_waits_for_the_provider_keeps_nobody_from_the_database(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let vendor = RawVendor::start();
    let url = vendor.url();
    let mut settings = SETTINGS.to_vec();
    settings.push(("STARTMESSAGING__BASE_URL", &url));
    let app = world.instance_with(&settings, "").await;
    vendor.script((0..30).map(|_| Script::Stall("")));
    let mut sends = JoinSet::new();
    for number in 0..30 {
        let body = json!({"phone_number": format!("+9198765432{number:02}")});
        let request = app.request(Method::POST, "/v1/otp/send").json(&body);
        sends.spawn(Answer::of(request));
    }
    vendor.called(30).await;

    app.sent(THIRD_PHONE).await;
    assert_eq!(shed(&app, "send", "late").await, "0");
}

#[sqlx::test]
async fn no_more_wait_for_the_provider_than_it_has_places(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let vendor = RawVendor::start();
    let url = vendor.url();
    let settings = [
        ("STARTMESSAGING__BASE_URL", url.as_str()),
        ("PROVIDER__MAX_IN_FLIGHT", "2"),
        ("PROVIDER__MAX_WAIT_MS", "10000"),
    ];
    let app = world.instance_with(&settings, "").await;
    let times = [Arc::new(Notify::new()), Arc::new(Notify::new())];
    let answers = times
        .each_ref()
        .map(|time| Script::When(Arc::clone(time), Box::new(Script::sent())));
    vendor.script(answers);
    let mut sends = JoinSet::new();
    for number in 0..5 {
        let body = json!({"phone_number": format!("+9198765432{number:02}")});
        let request = app.request(Method::POST, "/v1/otp/send").json(&body);
        sends.spawn(Answer::of(request));
    }

    let fifth = sends.join_next().await.unwrap().unwrap();
    assert_eq!(fifth.problem(), (503, "provider_unavailable".to_owned()));
    assert_eq!(fifth.header("retry-after"), "1");
    for time in times {
        time.notify_one();
    }
    while let Some(answer) = sends.join_next().await {
        assert_eq!(answer.unwrap().status, 201);
    }
}

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
    let again = async { while called(kept).await.contains("connection: close") {} };
    timeout(Duration::from_secs(30), again)
        .await
        .expect("a kept connection");
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

#[test]
fn what_needs_no_database_is_never_told_to_come_back() {
    let of = |class: Option<Class>| {
        let paths = http::public_paths().into_iter();
        let paths = paths.filter(move |(_, its)| *its == class);
        paths.map(|(path, _)| path).collect::<Vec<_>>()
    };

    assert_eq!(
        of(None),
        [
            "/v1/authorize",
            "/v1/authorize/{tail}",
            "/v1/revocations",
            "/.well-known/jwks.json",
            "/.well-known/oauth-authorization-server",
            "/problems/{code}",
            "/openapi.json",
            "/docs",
            "/docs/",
            "/docs/{file}",
        ]
    );
    assert_eq!(
        of(Some(Class::Login)),
        [
            "/v1/otp/verify",
            "/auth/verify-otp/",
            "/auth/verify-otp",
            "/v1/token",
            "/v1/token/refresh",
        ]
    );
}
