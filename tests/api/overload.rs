//! More calls than the database has room for: who is told to come back, and who is served all the same.

use std::sync::Arc;
use std::time::Duration;

use otp_auth::http;
use otp_auth::seats::Class;
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor as _, Postgres, Transaction, raw_sql};
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
    let hook = app.bearer(Method::GET, "/v1/authorize", &token).await;
    assert_eq!(hook.status, 200);
    assert_eq!(app.get("/.well-known/jwks.json").await.status, 200);
    let sessions = app.bearer(Method::GET, "/v1/sessions", &token).await;
    assert_eq!(sessions.status, 200);
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
    let login = world.log_in(&app, PHONE).await;
    let (token, next) = (login.text("access_token"), login.text("refresh_token"));
    let request = app.sent(OTHER_PHONE).await;
    let held = hold(&world, &request).await;
    let verify = json!({"request_id": request, "code": world.code(OTHER_PHONE)});
    let mut stuck = stuck(&world, &app, 7, "/v1/otp/verify", &verify).await;

    let refused = refresh(&app, &next).await;
    assert_eq!(refused.problem(), (503, "service_unavailable".to_owned()));
    let form = app.refresh(&next).await;
    assert_eq!(form.status, 503);
    assert_eq!(form.json()["error"], "temporarily_unavailable");
    assert_eq!(form.header("retry-after"), "1");
    let sessions = app.bearer(Method::GET, "/v1/sessions", &token).await;
    assert_eq!(sessions.problem(), (503, "service_unavailable".to_owned()));

    let hook = app.bearer(Method::GET, "/v1/authorize", &token).await;
    assert_eq!(hook.status, 200);
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

    // Before anybody who waits has waited for as long as he may.
    let fifth = timeout(Duration::from_secs(9), sends.join_next()).await;
    let fifth = fifth.expect("an answer at once").unwrap().unwrap();
    assert_eq!(fifth.problem(), (503, "provider_unavailable".to_owned()));
    assert_eq!(fifth.header("retry-after"), "1");
    for time in times {
        time.notify_one();
    }
    while let Some(answer) = sends.join_next().await {
        assert_eq!(answer.unwrap().status, 201);
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
