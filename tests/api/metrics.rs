//! What `/metrics` tells, and what nobody can make it tell.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use otp_auth::clock::Clock as _;
use otp_auth::metrics::{Kind, TABLE};
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, OTHER_PHONE, PHONE, World, wrong};

impl Instance {
    /// All that `/metrics` says.
    async fn metrics(&self) -> String {
        let answer = Answer::of(self.http.get(format!("{}/metrics", self.admin))).await;
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// Fails unless each of these is a series with this value.
    async fn assert_told(&self, expected: &[(&str, &str)]) {
        let text = self.metrics().await;
        for (series, value) in expected {
            let line = format!("{series} {value}");
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
    }

    /// Returns once this series is told, with this value if it is given one; fails where it never is.
    async fn until_told(&self, wanted: &str) {
        let any = format!("{wanted} ");
        let is_wanted = |told: &str| told == wanted || told.starts_with(&any);
        let told = async { while !self.metrics().await.lines().any(is_wanted) {} };
        let told = tokio::time::timeout(Duration::from_mins(1), told).await;
        assert!(told.is_ok(), "{wanted}");
    }
}

/// The series, without their values.
fn series(text: &str) -> BTreeSet<&str> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').expect("a value").0)
        .collect()
}

/// The name and the labels of a series.
fn parts(series: &str) -> (&str, Vec<&str>) {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}');
    // No value holds a comma or an equals sign: routes, codes and constants.
    let labels = labels.split(',').filter_map(|pair| pair.split_once('='));
    (name, labels.map(|(name, _)| name).collect())
}

#[sqlx::test]
async fn a_login_is_told_with_its_country_and_its_price(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let limits = [
        ("LIMITS__SPEND__MESSAGES_PER_HOUR", "10"),
        ("LIMITS__SPEND__AMOUNT_PER_DAY", "2"),
        ("TOKENS__VERIFIERS", "gateway"),
    ];
    let app = world.instance_with(&limits, "").await;
    let id = app.sent(PHONE).await;
    let code = world.code(PHONE);
    app.verify(&id, &wrong(&code)).await;
    assert_eq!(app.verify(&id, &code).await.status, 200);
    world.clock.advance(30);
    let again = app.sent(PHONE).await;
    world.clock.advance(60);
    assert_eq!(app.resend(&again).await.status, 200);
    assert_eq!(app.resend(&again).await.status, 429);
    app.get("/.well-known/jwks.json?verifier=gateway").await;
    app.get("/.well-known/jwks.json?verifier=forged").await;
    app.get("/.well-known/jwks.json").await;

    app.assert_told(&[
        (
            r#"otp_auth_sms_sends_total{country="IN",kind="first",outcome="accepted"}"#,
            "2",
        ),
        (
            r#"otp_auth_sms_sends_total{country="IN",kind="again",outcome="accepted"}"#,
            "1",
        ),
        (
            r#"otp_auth_sms_cost_total{country="IN",currency="INR"}"#,
            "0.75",
        ),
        (
            r#"otp_auth_verifies_total{country="IN",result="right"}"#,
            "1",
        ),
        (
            r#"otp_auth_verifies_total{country="IN",result="wrong"}"#,
            "1",
        ),
        (r#"otp_auth_sends_turned_away_total{reason="phone"}"#, "1"),
        (
            r#"otp_auth_http_requests_total{route="/v1/otp/send",method="POST",status="201"}"#,
            "2",
        ),
        (
            r#"otp_auth_http_requests_total{route="/v1/otp/send",method="POST",status="503"}"#,
            "0",
        ),
        (
            r#"otp_auth_http_requests_total{route="/v1/otp/verify",method="POST",status="401"}"#,
            "1",
        ),
        (
            r#"otp_auth_http_request_duration_seconds_count{route="/v1/otp/verify",method="POST"}"#,
            "2",
        ),
        (r#"otp_auth_jwks_fetches_total{verifier="gateway"}"#, "1"),
        (r#"otp_auth_jwks_fetches_total{verifier="other"}"#, "1"),
        (r#"otp_auth_jwks_fetches_total{verifier="none"}"#, "1"),
        ("otp_auth_database_up", "1"),
        ("otp_auth_database_connections_max", "8"),
    ])
    .await;
    // Told a moment later: nobody waits for it.
    for line in [
        // The clock jumped, so that the feed is old for a moment.
        "otp_auth_ready 1",
        r#"otp_auth_spend_used_ratio{scope="service",ceiling="messages_per_hour"} 0.3"#,
        r#"otp_auth_spend_used_ratio{scope="service",ceiling="amount_per_day"} 0.375"#,
        r#"otp_auth_database_acquire_duration_seconds_count{outcome="ok"}"#,
    ] {
        app.until_told(line).await;
    }
    // In the next hour nothing of it is used.
    world.clock.advance(3600);
    app.until_told(r#"otp_auth_spend_used_ratio{scope="service",ceiling="messages_per_hour"} 0"#)
        .await;
}

#[sqlx::test]
async fn what_is_due_and_was_not_looked_at_is_told(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    app.sent(PHONE).await;
    world.all_recorded().await;
    // Somebody else holds the row, so that it cannot be taken.
    let mut held = world.pool.begin().await.unwrap();
    let all = sqlx::raw_sql("SELECT FROM otp_requests FOR UPDATE");
    sqlx::Executor::execute(&mut *held, all).await.unwrap();
    world.clock.advance(3600);

    app.until_told(r#"otp_auth_queue_items{queue="deliveries"} 1"#)
        .await;

    let text = app.metrics().await;
    let oldest = r#"otp_auth_queue_oldest_seconds{queue="deliveries"} "#;
    let oldest = text.lines().find_map(|line| line.strip_prefix(oldest));
    assert!(oldest.unwrap().parse::<f64>().unwrap() > 3500.0);
}

#[sqlx::test]
async fn a_test_number_costs_nothing_and_converts_nobody(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let until = (world.clock.now() + chrono::TimeDelta::hours(1)).to_rfc3339();
    let toml = format!(
        "[[test_numbers]]\nphone_number = '{OTHER_PHONE}'\ncode = '708213'\nvalid_until = '{until}'\n"
    );
    let app = world.instance_with(&[], &toml).await;
    let id = app.sent(OTHER_PHONE).await;
    assert_eq!(app.verify(&id, "708213").await.status, 200);

    app.assert_told(&[
        (
            r#"otp_auth_sms_sends_total{country="IN",kind="first",outcome="accepted"}"#,
            "0",
        ),
        (
            r#"otp_auth_sms_cost_total{country="IN",currency="INR"}"#,
            "0",
        ),
        (
            r#"otp_auth_verifies_total{country="IN",result="right"}"#,
            "0",
        ),
    ])
    .await;
}

#[sqlx::test]
async fn metrics_are_told_while_the_database_is_away(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let impatient = ("DATABASE__ACQUIRE_TIMEOUT_MS", "500");
    let app = world.instance_with(&[impatient], "").await;
    app.assert_told(&[("otp_auth_database_up", "1"), ("otp_auth_ready", "1")])
        .await;

    world.cut_off().await;

    app.until_told("otp_auth_database_up 0").await;
    app.assert_told(&[("otp_auth_ready", "0")]).await;
    app.until_told(r#"otp_auth_database_acquire_duration_seconds_count{outcome="failed"}"#)
        .await;
}

/// Whoever calls can name paths, methods, verifiers, countries and clients as he likes, and none of it becomes
/// a series.
#[sqlx::test]
async fn no_caller_can_make_series(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("TOKENS__VERIFIERS", "gateway")], "")
        .await;
    let marker = "zq7marker";
    // Of each kind one, so that its series are there.
    let once = async |n: usize| {
        let odd = format!("{marker}{n}");
        for path in [
            format!("/{odd}"),
            format!("/v1/otp/{odd}"),
            format!("/v1/authorize/{odd}/x"),
            format!("/problems/{odd}"),
            format!("/docs/{odd}"),
            format!("/v1/sessions/{odd}"),
            format!("/.well-known/jwks.json?verifier={odd}"),
        ] {
            app.get(&path).await;
        }
        let admin = format!("{}/admin/v1/{odd}", app.admin);
        app.http.get(admin).send().await.unwrap();
        let method = Method::from_bytes(format!("M{n}").as_bytes()).unwrap();
        Answer::of(app.request(method, "/v1/otp/send")).await;
        let body = json!({"phone_number": format!("+{}5550{n:05}", n % 998 + 1), "client_id": odd});
        app.post("/v1/otp/send", &body).await;
        let body = json!({"phone_number": format!("+{}5550{n:05}", n % 998 + 1)});
        app.post("/v1/otp/send", &body).await;
    };
    app.sent(PHONE).await;
    for n in 0..20 {
        once(n).await;
    }
    app.until_told(r#"otp_auth_database_acquire_duration_seconds_count{outcome="ok"}"#)
        .await;
    let before = app.metrics().await;

    futures_util::stream::iter(20..=930)
        .for_each_concurrent(8, once)
        .await;

    let after = app.metrics().await;
    assert!(!after.contains(marker), "{after}");
    let (before, after) = (series(&before), series(&after));
    // The background does not care about callers.
    let by_callers = |name: &&&str| !name.starts_with("otp_auth_retention_");
    let new: Vec<_> = after.difference(&before).filter(by_callers).collect();
    assert!(new.is_empty(), "{new:#?}");
    assert!(after.len() < 2000, "{} series", after.len());
}

#[sqlx::test]
async fn every_series_is_in_the_table(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let token = app.token(&world, PHONE).await;
    app.get("/v1/userinfo").await;
    Answer::of(app.request(Method::GET, "/v1/authorize").bearer_auth(token)).await;
    app.until_told(r#"otp_auth_database_acquire_duration_seconds_count{outcome="ok"}"#)
        .await;

    let text = app.metrics().await;
    for series in series(&text) {
        let (name, labels) = parts(series);
        let histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix));
        let metric = TABLE.iter().find(|metric| match metric.kind {
            Kind::Histogram => Some(metric.name) == histogram,
            Kind::Counter | Kind::Gauge => metric.name == name,
        });
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
        let labels: Vec<&str> = labels.into_iter().filter(|label| *label != "le").collect();
        assert_eq!(labels, metric.labels, "{name}");
    }
}

#[test]
fn objectives_are_set_for_routes_that_exist() {
    let paths = otp_auth::http::public_paths();
    for (route, _) in otp_auth::http::OBJECTIVES {
        assert!(paths.iter().any(|(path, _)| path == route), "{route}");
    }
}
