//! What follows from the rules of the operators.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use otp_auth::app::{App, Deps, StartError};
use otp_auth::clock::Clock as _;
use otp_auth::random::SystemRandom;
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, OTHER_PHONE, PHONE, World};

/// A number of another country.
const FOREIGN: &str = "+447911123456";
/// Within which a change must hold everywhere.
const SOON: Duration = Duration::from_secs(1);
/// Whom the callers of these tests forward for.
const PROXIES: (&str, &str) = ("SERVER__TRUSTED_PROXIES", "127.0.0.0/8");

/// Makes a rule.
pub(crate) async fn rule(app: &Instance, kind: &str, value: &str, verdict: &str) -> Answer {
    let body = json!({"kind": kind, "value": value, "verdict": verdict, "reason": "a test"});
    let answer = Answer::of(app.admin(Method::POST, "/admin/v1/rules").json(&body)).await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
    answer
}

/// Takes a rule away.
pub(crate) async fn unrule(app: &Instance, rule: &Answer) {
    let path = format!("/admin/v1/rules/{}", rule.text("id"));
    let answer = Answer::of(app.admin(Method::DELETE, &path)).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
}

/// All that a caller can tell one answer from another by, but the id that each answer has.
fn bytes(answer: &Answer) -> (u16, BTreeMap<String, String>, String) {
    let id = answer.header("x-request-id");
    let headers = answer.headers.iter().map(|(name, value)| {
        let value = value.to_str().unwrap().replace(&id, "ID");
        (name.to_string(), value)
    });
    // The latter is a set, whose order each process makes up.
    let varies = ["date", "access-control-expose-headers"];
    let headers = headers.filter(|(name, _)| !varies.contains(&name.as_str()));
    let headers = headers.collect();
    (answer.status, headers, answer.body.replace(&id, "ID"))
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == 403 && answer.text("code") == "phone_number_not_allowed"
}

fn is_over(answer: &Answer) -> bool {
    answer.problem() == (400, "otp_request_expired".to_owned())
}

#[sqlx::test]
async fn a_rule_holds_at_every_replica_within_a_second(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);

    let made = rule(&one, "phone", PHONE, "block").await;
    let began = Instant::now();
    assert!(
        is_refused(&one.send(PHONE).await),
        "at once where it was made"
    );
    while !is_refused(&two.send(PHONE).await) {
        assert!(began.elapsed() < SOON, "not blocked at the other one");
    }

    world.clock.advance(3600);
    unrule(&one, &made).await;
    let began = Instant::now();
    assert_eq!(one.send(OTHER_PHONE).await.status, 201);
    while is_refused(&two.send(PHONE).await) {
        assert!(began.elapsed() < SOON, "still blocked at the other one");
    }
}

#[sqlx::test]
async fn a_replica_that_starts_knows_the_rules(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    rule(&world.instance().await, "prefix", "+9198765", "block").await;

    let app = world.instance().await;

    assert!(is_refused(&app.send(PHONE).await));
    assert_eq!(app.send(OTHER_PHONE).await.status, 201);
}

/// security.md 19: a blocked phone costs no SMS, and nobody can tell that it is blocked.
#[sqlx::test]
async fn what_is_blocked_is_answered_as_a_foreign_number(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    rule(&world.instance().await, "phone", PHONE, "block").await;
    rule(
        &world.instance().await,
        "network",
        "198.51.100.0/24",
        "block",
    )
    .await;
    let limit = ("LIMITS__IP__SENDS_PER_MINUTE", "5");

    for path in ["/v1/otp/send", "/auth/send-otp/"] {
        let mut answers = Vec::new();
        for (address, phone) in [
            ("192.0.2.1", FOREIGN),
            ("192.0.2.1", PHONE),
            ("198.51.100.7", OTHER_PHONE),
            ("::ffff:198.51.100.7", OTHER_PHONE),
        ] {
            // The tutorial's calls take Indian numbers only: a landline is as foreign to us.
            let phone = if phone == FOREIGN && path.starts_with("/auth") {
                "+911123456789"
            } else {
                phone
            };
            // One each, so that all of them are the first call of their address.
            let app = world.instance_with(&[limit, PROXIES], "").await;
            let body = json!({"phone_number": phone});
            answers.push(app.post_from(address, path, &body).await);
        }
        assert!(answers[0].header("ratelimit").contains("r=4"), "{path}");
        for answer in &answers {
            assert_eq!(bytes(answer), bytes(&answers[0]), "{path}");
        }
    }

    assert_eq!(world.sandbox.requests().send, 0, "the provider was called");
    world
        .until("NOT EXISTS (SELECT FROM phone_throttles)")
        .await;
    let told = world.instance().await.events("outcome=refused").await;
    let told: Vec<_> = told.iter().map(|event| &event["reason"]).collect();
    assert_eq!(
        told, ["blocked"; 2],
        "one for each path, by other processes"
    );
}

#[sqlx::test]
async fn a_blocked_network_can_do_nothing(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[PROXIES], "").await;
    let id = app.sent(PHONE).await;
    let made = rule(&app, "network", "2001:db8:1::/48", "block").await;
    rule(&app, "network", "2001:db8:1:2::/64", "allow").await;
    let send = json!({"phone_number": OTHER_PHONE});
    let verify = json!({"request_id": id, "code": world.code(PHONE)});
    world.clock.advance(60);

    let bad = "2001:db8:1:1::1";
    for (path, body) in [
        ("/v1/otp/send", &send),
        ("/v1/otp/resend", &json!({"request_id": id})),
        ("/v1/otp/verify", &verify),
    ] {
        let answer = app.post_from(bad, path, body).await;
        assert!(is_refused(&answer), "{path}: {}", answer.body);
    }
    let tutorial = app
        .post_from(bad, "/auth/verify-otp/", &json!({"code": "123456"}))
        .await;
    let words = r#"{"phone_number":["Enter a valid mobile number."]}"#;
    assert_eq!((tutorial.status, tutorial.body.as_str()), (400, words));
    let request = app.request(Method::POST, "/v1/otp/send");
    let request = request.header("x-forwarded-for", bad);
    let hidden = Answer::of(request.header("forwarded", "for=192.0.2.1").json(&send)).await;
    assert!(is_refused(&hidden), "by a second header: {}", hidden.body);
    assert_eq!(world.sandbox.requests().send, 1);

    for good in ["2001:db8:1:2::1", "2001:db8:2::1", "192.0.2.1"] {
        let answer = app.post_from(good, "/v1/otp/send", &send).await;
        assert!(!is_refused(&answer), "{good}: {}", answer.body);
    }
    unrule(&app, &made).await;
    let answer = app.post_from(bad, "/v1/otp/verify", &verify).await;
    assert_eq!(answer.status, 200, "it cost no try: {}", answer.body);
}

/// security.md 18: the proxy's own network may be let through, and those who make it answer for them by
/// a second header are not.
#[sqlx::test]
async fn a_network_that_is_let_through_does_not_lend_that_to_a_caller_in_doubt(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[PROXIES], "").await;
    rule(&app, "network", "127.0.0.0/8", "allow").await;
    let emergency = app.admin(Method::PUT, "/admin/v1/switches/emergency");
    let on = json!({"on": true, "reason": "a test"});
    assert_eq!(Answer::of(emergency.json(&on)).await.status, 200);
    let send = async |headers: &[(&'static str, &str)]| {
        let request = app.request(Method::POST, "/v1/otp/send");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let answer = Answer::of(request.json(&json!({"phone_number": OTHER_PHONE}))).await;
        answer.status
    };

    let (plain, forged) = (("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=_"));

    assert_eq!(send(&[plain]).await, 429, "a stranger");
    assert_eq!(send(&[plain, forged]).await, 429, "in doubt");
    assert_eq!(send(&[]).await, 201, "from the network itself");
}

#[sqlx::test]
async fn a_phone_blocked_since_the_send_has_no_live_request(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let service = world.instance().await;
    for (kind, value) in [("phone", PHONE), ("prefix", "+9198765")] {
        let id = service.sent(PHONE).await;
        let code = world.code(PHONE);
        world.clock.advance(60);
        let made = rule(&service, kind, value, "block").await;
        let before = world.sms_count(PHONE);

        assert!(is_over(&service.resend(&id).await), "{kind}");
        assert!(is_over(&service.verify(&id, &code).await), "{kind}");

        assert_eq!(world.sms_count(PHONE), before, "{kind}");
        unrule(&service, &made).await;
        if kind == "phone" {
            // Who is blocked himself is logged out, also from a login that was half done.
            assert!(is_over(&service.verify(&id, &code).await), "{kind}");
            continue;
        }
        let report = service.report(&id).await.json();
        assert_eq!(report["attempts_remaining"], 5, "{kind}: no try is taken");
        assert_eq!(service.resend(&id).await.status, 200, "{kind}: nor a send");
        assert_eq!(service.verify(&id, &code).await.status, 200, "{kind}");
        world.clock.advance(3600);
    }
}

#[sqlx::test]
async fn the_most_exact_rule_decides_until_it_expires(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    rule(&app, "prefix", "+9198", "block").await;
    rule(&app, "prefix", "+919876", "allow").await;
    let soon = world.clock.now() + chrono::TimeDelta::seconds(60);
    let body = json!({
        "kind": "phone", "value": "098765 43210", "verdict": "block", "reason": "a test",
        "expires_at": soon.to_rfc3339(),
    });
    let made = Answer::of(app.admin(Method::POST, "/admin/v1/rules").json(&body)).await;
    assert_eq!(made.status, 201, "{}", made.body);

    assert!(is_refused(&app.send(OTHER_PHONE).await), "the short prefix");
    assert_eq!(app.send("+919876000000").await.status, 201, "the long one");
    assert!(is_refused(&app.send(PHONE).await), "the phone");
    world.clock.advance(59);
    assert!(is_refused(&app.send(PHONE).await), "until it expires");
    world.clock.advance(1);
    assert_eq!(app.send(PHONE).await.status, 201, "and not longer");

    rule(&app, "phone", PHONE, "block").await;
    assert!(
        is_refused(&app.send(PHONE).await),
        "made again, without an end"
    );
}

/// What the database holds of rules, as a dump would show it.
#[sqlx::test]
async fn a_dump_tells_nobody_whom_a_rule_is_about(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    rule(&app, "phone", PHONE, "block").await;
    rule(&app, "prefix", "+9198123", "block").await;
    let made = rule(&app, "network", "198.51.100.0/24", "block").await;
    unrule(&app, &made).await;
    rule(&app, "network", "198.51.100.0/24", "block").await;

    // Bytes are shown as hex, and as the characters that they may be.
    let dump = sqlx::query_scalar!(
        r#"SELECT string_agg(line, ' ') AS "dump!" FROM (
            SELECT r::text || encode(value_key, 'escape') || encode(value_sealed, 'escape')
            FROM access_rules AS r
            UNION ALL SELECT e::text FROM audit_events AS e) AS lines (line)"#,
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();

    assert_eq!(dump.matches("rule.set").count(), 4);
    for secret in ["987654", "98123", "198.51"] {
        let hex = secret.bytes().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        assert!(!dump.contains(secret), "{secret}");
        assert!(!dump.contains(&hex), "{secret} in hex");
    }
}

/// A service that let everybody through because it cannot read whom it must not would be worse than
/// none.
#[sqlx::test]
async fn a_service_that_cannot_read_the_rules_does_not_start(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    rule(&world.instance().await, "phone", PHONE, "block").await;
    let swap = "UPDATE access_rules SET value_key = '\\x00'";
    sqlx::raw_sql(swap).execute(&world.pool).await.unwrap();
    let deps = Deps {
        clock: world.clock.clone(),
        random: Arc::new(SystemRandom),
    };

    let built = App::build(&world.settings(&[], ""), deps).await;

    assert!(matches!(built.err(), Some(StartError::Rules(_))));
}
