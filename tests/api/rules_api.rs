//! `/admin/v1/rules`: making, replacing, listing and removing rules.

use otp_auth::clock::Clock as _;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::rules::{rule, unrule};
use crate::support::{Answer, Instance, PHONE, World};

const RULES: &str = "/admin/v1/rules";

async fn post(app: &Instance, body: &Value) -> Answer {
    Answer::of(app.admin(Method::POST, RULES).json(body)).await
}

async fn get(app: &Instance, path: &str) -> Answer {
    Answer::of(app.admin(Method::GET, path)).await
}

/// The values that a list shows, and where the next page begins.
async fn listed(app: &Instance, query: &str) -> (Vec<String>, Option<String>) {
    let list = get(app, &format!("{RULES}?{query}")).await;
    assert_eq!(list.status, 200, "{}", list.body);
    let list = list.json();
    let value = |rule: &Value| rule["value"].as_str().unwrap().to_owned();
    let values = list["rules"].as_array().unwrap().iter().map(value);
    (values.collect(), list["next"].as_str().map(str::to_owned))
}

#[sqlx::test]
async fn a_rule_can_be_made_read_replaced_and_removed(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let now = world.clock.now();
    let time = |seconds: i64| {
        let time = now + chrono::TimeDelta::seconds(seconds);
        time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    };

    let made = post(
        &app,
        &json!({
            "kind": "phone", "value": PHONE, "verdict": "block", "reason": " pumping ",
            "expires_at": time(60),
        }),
    )
    .await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.text("id");
    let path = format!("{RULES}/{id}");
    assert_eq!(made.header("location"), path);
    let mut expected = json!({
        "id": id, "kind": "phone", "value": "+91******3210", "verdict": "block",
        "reason": "pumping", "created_at": time(0), "expires_at": time(60),
    });
    assert_eq!(made.json(), expected);
    assert_eq!(get(&app, &path).await.json(), expected);

    world.clock.advance(5);
    let replaced = post(
        &app,
        &json!({"kind": "phone", "value": "09876543210", "verdict": "allow", "reason": "a VIP"}),
    )
    .await;
    assert_eq!(replaced.status, 200, "{}", replaced.body);
    assert_eq!(replaced.header("location"), path);
    expected["verdict"] = json!("allow");
    expected["reason"] = json!("a VIP");
    expected["expires_at"] = Value::Null;
    assert_eq!(replaced.json(), expected);
    assert_eq!(
        get(&app, RULES).await.json(),
        json!({"rules": [expected], "next": null})
    );

    unrule(&app, &made).await;
    for method in [Method::GET, Method::DELETE] {
        let gone = Answer::of(app.admin(method, &path)).await;
        assert_eq!(gone.problem(), (404, "not_found".to_owned()));
    }
    assert_eq!(
        get(&app, RULES).await.json(),
        json!({"rules": [], "next": null})
    );
    let other = Answer::of(app.admin(Method::PUT, &path)).await;
    assert_eq!(other.problem(), (405, "method_not_allowed".to_owned()));
}

#[sqlx::test]
async fn rules_are_listed_by_kind_verdict_and_page(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    for (kind, value, verdict) in [
        ("prefix", "+91987", "block"),
        ("prefix", "+91988", "allow"),
        ("network", "198.51.100.7", "block"),
        ("network", "2001:DB8::/32", "block"),
        ("phone", PHONE, "block"),
    ] {
        rule(&app, kind, value, verdict).await;
        world.clock.advance(1);
    }
    let all = [
        "+91******3210",
        "2001:db8::/32",
        "198.51.100.7/32",
        "+91988",
        "+91987",
    ];

    assert_eq!(listed(&app, "").await.0, all, "the newest first");
    assert_eq!(listed(&app, "kind=network").await.0, all[1..3]);
    assert_eq!(listed(&app, "verdict=allow").await.0, all[3..4]);
    assert_eq!(listed(&app, "verdict=allow&kind=phone").await.0, [""; 0]);

    let (first, next) = listed(&app, "limit=2").await;
    let (second, next) = listed(&app, &format!("limit=2&cursor={}", next.unwrap())).await;
    let (third, next) = listed(&app, &format!("limit=2&cursor={}", next.unwrap())).await;
    assert_eq!([first, second, third].concat(), all);
    assert_eq!(next, None);
    assert_eq!(
        listed(&app, "limit=5").await.1,
        None,
        "a page that is just full"
    );

    let bad = get(
        &app,
        &format!("{RULES}?kind=x&verdict=x&limit=201&cursor=x"),
    )
    .await;
    assert_eq!(bad.problem(), (400, "invalid_request".to_owned()));
    assert_eq!(bad.pointers(), ["/kind", "/verdict", "/limit", "/cursor"]);
    let misspelt = get(&app, &format!("{RULES}?verdikt=allow")).await;
    assert_eq!(misspelt.problem(), (400, "invalid_request".to_owned()));
}

#[sqlx::test]
async fn every_fault_of_a_rule_is_told_at_its_pointer(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let good = json!({
        "kind": "phone", "value": PHONE, "verdict": "block", "reason": "a test",
        "expires_at": null,
    });
    let now = world.clock.now().to_rfc3339();
    let long = "x".repeat(201);

    for (name, value) in [
        ("kind", json!("country")),
        ("kind", json!(null)),
        ("value", json!("+447911123456")),
        ("value", json!("98765")),
        ("value", json!(919_876_543_210_u64)),
        ("verdict", json!("maybe")),
        ("verdict", json!(true)),
        ("reason", json!("")),
        ("reason", json!(long)),
        ("reason", json!("it was +919876543210")),
        ("reason", json!("a\u{0}b")),
        ("expires_at", json!(now)),
        ("expires_at", json!("2999-01-01")),
        ("expires_at", json!(4_102_444_800_u64)),
    ] {
        let mut body = good.clone();
        body[name] = value.clone();
        let answer = post(&app, &body).await;
        let code = "invalid_request".to_owned();
        assert_eq!(answer.problem(), (400, code), "{name} {value}");
        assert_eq!(answer.pointers(), [format!("/{name}")], "{name} {value}");
        assert!(!answer.body.contains("987654"), "{}", answer.body);
    }
    for (kind, value) in [
        ("prefix", "+919876543210123"),
        ("prefix", "91"),
        ("network", "198.51.100.7/24"),
        ("network", "0.0.0.0/0"),
        ("network", "example.com"),
    ] {
        let mut body = good.clone();
        body["kind"] = json!(kind);
        body["value"] = json!(value);
        assert_eq!(post(&app, &body).await.pointers(), ["/value"], "{value}");
    }
    let nothing = post(&app, &json!({})).await;
    assert_eq!(
        nothing.pointers(),
        ["/kind", "/value", "/verdict", "/reason"]
    );
    world.until("NOT EXISTS (SELECT FROM access_rules)").await;
    world
        .until("(SELECT version FROM operator_changes) = 0")
        .await;
}

#[sqlx::test]
async fn every_change_of_a_rule_is_in_the_audit_trail(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let made = rule(&app, "phone", PHONE, "block").await;
    world.clock.advance(1);
    rule(&app, "phone", PHONE, "allow").await;
    world.clock.advance(1);
    unrule(&app, &made).await;

    let events = sqlx::query!(
        r#"SELECT action, outcome, actor, detail::text AS "detail!", trace_id FROM audit_events
        WHERE actor = 'admin' ORDER BY at"#,
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let id = made.text("id");
    let told: Vec<(&str, &str, &str, Value)> = events
        .iter()
        .filter(|event| event.action != "admin.call")
        .map(|event| {
            let detail = serde_json::from_str(&event.detail).unwrap();
            let (action, outcome) = (event.action.as_str(), event.outcome.as_str());
            (action, outcome, event.actor.as_str(), detail)
        })
        .collect();
    let detail = |verdict| json!({"rule_id": id, "kind": "phone", "verdict": verdict});
    let expected = [
        ("rule.set", "success", "admin", detail("block")),
        ("rule.set", "success", "admin", detail("allow")),
        ("rule.remove", "success", "admin", detail("allow")),
    ];
    assert_eq!(told, expected);
    assert_eq!(events[0].trace_id, Some(made.header("x-request-id")));
}

/// Of changes made at the same time none is lost, and each counts.
#[sqlx::test]
async fn changes_made_at_the_same_time_queue_up(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);
    let prefixes: Vec<String> = (0..20)
        .map(|number| format!("+9198765{}", number % 10))
        .collect();

    let changes = prefixes.iter().enumerate().map(|(number, prefix)| {
        let app = if number % 2 == 0 { &one } else { &two };
        rule(app, "prefix", prefix, "block")
    });
    futures_util::future::join_all(changes).await;

    world
        .until("(SELECT count(*) FROM access_rules) = 10")
        .await;
    world
        .until("(SELECT version FROM operator_changes) = 20")
        .await;
    let answer = one.send(PHONE).await;
    assert_eq!(answer.problem().1, "phone_number_not_allowed");
}
