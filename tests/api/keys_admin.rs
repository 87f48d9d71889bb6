//! What operators do about signing keys by call.

use otp_auth::clock::Clock as _;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::keys::{accepts, kid_of};
use crate::support::{Instance, OTHER_PHONE, PHONE, World};

const DAY: i64 = 86_400;

async fn keys(app: &Instance) -> Vec<Value> {
    let answer = app.admin_get("/admin/v1/keys").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["keys"].as_array().unwrap().clone()
}

async fn revoke(app: &Instance, kid: &str, dry_run: bool) -> Value {
    let body = json!({"reason": "leaked", "dry_run": dry_run});
    let path = format!("/admin/v1/keys/{kid}/revoke");
    let answer = app.admin_post(&path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// A session of a user, with live tokens until so many seconds from now.
async fn session(world: &World, user: u32, id: u32, client: &str, kid: &str, seconds: i64) {
    let exp = world.clock.now().timestamp() + seconds;
    let insert = format!(
        "INSERT INTO users (id, phone_index, phone_sealed, created_at, last_login_at)
         VALUES ('00000000-0000-4000-8000-0000000000{user:02}', 'user {user}', '', now(), now())
         ON CONFLICT DO NOTHING;
         INSERT INTO sessions (id, user_id, client_id, created_at, token_kids)
         VALUES ('00000000-0000-7000-8000-0000000000{id:02}',
            '00000000-0000-4000-8000-0000000000{user:02}', '{client}', now(),
            '{{\"other\": 9999999999, \"{kid}\": {exp}}}')"
    );
    let insert = sqlx::raw_sql(sqlx::AssertSqlSafe(insert));
    insert.execute(&world.pool).await.unwrap();
}

#[sqlx::test]
async fn keys_are_listed_with_their_times_and_who_has_seen_them(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let verifiers = ("TOKENS__VERIFIERS", "gateway,orders");
    let app = world.instance_with(&[verifiers], "").await;
    let now = otp_auth::clock::rfc3339(world.clock.now());
    app.get("/.well-known/jwks.json?verifier=gateway").await;
    world.until("EXISTS (SELECT FROM verifier_sightings)").await;

    let listed = keys(&app).await;

    let expected = json!([{
        "kid": app.kids().await[0], "alg": "ES256", "state": "active",
        "created_at": now, "promote_at": null, "active_at": now, "retired_at": null, "gone_at": null,
        "seen_by": [{"verifier": "gateway", "first_seen_at": now, "last_seen_at": now}],
        "not_seen_by": ["orders"],
    }]);
    assert_eq!(json!(listed), expected);
}

#[sqlx::test]
async fn a_rotation_is_brought_forward_to_when_the_key_has_been_published_for_a_day(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let first = app.kids().await;
    let rotate = async || {
        let answer = app
            .admin_post("/admin/v1/keys/rotate", &json!({"reason": "yearly"}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let in_a_day = otp_auth::clock::rfc3339(world.clock.now() + chrono::TimeDelta::days(1));

    let rotation = rotate().await;
    world.clock.advance(60);
    let again = rotate().await;

    assert_eq!(rotation, again, "its time stays");
    assert_eq!(rotation["promote_at"], in_a_day);
    assert_eq!(rotation["warning"], Value::Null);
    let next = rotation["kid"].as_str().unwrap().to_owned();
    // The replica that was asked knows at once.
    assert_eq!(app.kids().await, [first[0].clone(), next]);
    let metrics = app.http.get(format!("{}/metrics", app.admin));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    for line in [
        "otp_auth_signing_keys{state=\"active\"} 1",
        "otp_auth_signing_keys{state=\"next\"} 1",
        "otp_auth_signing_keys{state=\"retiring\"} 0",
        "otp_auth_signing_key_promotion_seconds 86340",
        "otp_auth_signing_key_age_seconds{state=\"active\"} 60",
        "otp_auth_signing_key_age_seconds{state=\"retiring\"} NaN",
        "otp_auth_signing_key_overdue_seconds -86340",
    ] {
        assert!(
            metrics.lines().any(|told| told == line),
            "{line}\n{metrics}"
        );
    }
    let events = app.events("action=signing_key.rotate").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["actor"], "admin");
    assert_eq!(events[0]["detail"]["reason"], "yearly");
    assert_eq!(events[0]["detail"]["promote_at"], in_a_day);
}

#[sqlx::test]
async fn a_rotation_at_once_warns_unless_the_key_is_known_everywhere(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let verifiers = ("TOKENS__VERIFIERS", "gateway");
    let (app, other) = (
        world.instance_with(&[verifiers], "").await,
        world.instance_with(&[verifiers], "").await,
    );
    let old = app.token(&world, PHONE).await;
    let at_once = json!({"reason": "drill", "now": true});
    for (is_known, phone) in [(false, OTHER_PHONE), (true, "+919812345679")] {
        if is_known {
            let soon = json!({"reason": "drill", "now": false});
            app.admin_post("/admin/v1/keys/rotate", &soon).await;
            // The verifier has not seen it, so it still waits.
            world.clock.advance(DAY);
            world
                .until("NOT EXISTS (SELECT FROM signing_keys WHERE state = 'retiring')")
                .await;
        }
        let answer = app.admin_post("/admin/v1/keys/rotate", &at_once).await;

        assert_eq!(answer.status, 200, "{}", answer.body);
        let rotation = answer.json();
        assert_eq!(rotation["promote_at"], Value::Null);
        assert_eq!(rotation["warning"].is_null(), is_known, "{rotation}");
        other.publishes(&app.kids().await).await;
        assert_eq!(rotation["kid"], other.kids().await[0]);
        let new = other.token(&world, phone).await;
        assert_eq!(rotation["kid"], kid_of(&new));
        let jwks = other.jwks().await;
        assert!(accepts(&jwks, &new));
        assert_eq!(accepts(&jwks, &old), !is_known, "its day is over");
        world.clock.advance(60);
    }
}

#[sqlx::test]
async fn a_revocation_tells_exactly_whose_tokens_it_ends(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (app, other) = (world.instance().await, world.instance().await);
    let kid = app.kids().await[0].clone();
    for (user, id, client, signed_by, seconds) in [
        (1, 1, "web", kid.as_str(), -1),
        (1, 2, "web", &kid, 0),
        (1, 3, "web", &kid, 1),
        (1, 4, "web", &kid, 700),
        (2, 5, "web", &kid, 300),
        (2, 6, "shop", &kid, 900),
        (3, 7, "shop", "another", 900),
    ] {
        session(&world, user, id, client, signed_by, seconds).await;
    }
    let end = |seconds| {
        let at = chrono::DateTime::from_timestamp(world.clock.now().timestamp() + seconds, 0);
        otp_auth::clock::rfc3339(at.unwrap())
    };
    let losses = json!([
        {"client_id": "shop", "sessions": 1, "users": 1, "latest_expiry": end(900)},
        {"client_id": "web", "sessions": 3, "users": 2, "latest_expiry": end(700)},
    ]);

    let rehearsed = revoke(&app, &kid, true).await;
    assert_eq!(rehearsed["losses"], losses);
    assert_eq!(rehearsed["revoked"], false);
    assert_eq!(rehearsed["successor"], Value::Null);
    assert_eq!(app.kids().await[0], kid, "nothing happened");

    let revoked = revoke(&app, &kid, false).await;
    assert_eq!(revoked["losses"], losses);
    assert_eq!(revoked["revoked"], true);
    assert_eq!(revoked["state"], "active");
    let successor = revoked["successor"].as_str().unwrap().to_owned();
    assert!(revoked["warning"].is_string());
    let left = [successor.clone()];
    assert_eq!(app.kids().await, left);
    other.publishes(&left).await;
    assert_eq!(kid_of(&other.token(&world, PHONE).await), successor);

    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/admin/v1/keys/{kid}/sessions?limit=3{cursor}");
        let page = app.admin_get(&path).await.json();
        for session in page["sessions"].as_array().unwrap() {
            let id = session["sid"].as_str().unwrap();
            let (_, id) = id.split_at(id.len() - 2);
            listed.push((id.to_owned(), session["expires_at"].clone()));
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let expected = [("03", 1), ("04", 700), ("05", 300), ("06", 900)];
    let expected = expected.map(|(id, seconds)| (id.to_owned(), json!(end(seconds))));
    assert_eq!(listed, expected);

    let events = app.events("action=signing_key.revoke").await;
    assert_eq!(events.len(), 1, "the rehearsal is none");
    assert_eq!(events[0]["detail"]["kid"], kid);
    assert_eq!(events[0]["detail"]["reason"], "leaked");
}

#[sqlx::test]
async fn the_next_key_takes_over_from_a_revoked_one(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let first = app.kids().await[0].clone();
    app.admin_post("/admin/v1/keys/rotate", &json!({"reason": "drill"}))
        .await;
    let next = app.kids().await[1].clone();

    assert_eq!(revoke(&app, &first, true).await["successor"], next);
    assert_eq!(revoke(&app, &first, false).await["successor"], next);
    assert_eq!(app.kids().await, [next]);
}

#[sqlx::test]
async fn keys_that_are_not_there_and_bodies_that_say_nothing_are_refused(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let kid = app.kids().await[0].clone();
    let revoked = json!({"reason": "leaked"});
    revoke(&app, &kid, false).await;
    for (path, body, expected) in [
        (format!("{kid}/revoke"), revoked.clone(), (404, "not_found")),
        ("none/revoke".to_owned(), revoked, (404, "not_found")),
        (
            "none/revoke".to_owned(),
            json!({}),
            (400, "invalid_request"),
        ),
        ("rotate".to_owned(), json!({}), (400, "invalid_request")),
        (
            "rotate".to_owned(),
            json!({"reason": "x", "now": "yes"}),
            (400, "invalid_request"),
        ),
        (
            "none/revoke".to_owned(),
            json!({"reason": "x", "dry_run": 1}),
            (400, "invalid_request"),
        ),
    ] {
        let answer = app
            .admin_post(&format!("/admin/v1/keys/{path}"), &body)
            .await;
        let (status, code) = expected;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{path} {body}");
    }
    for (path, status) in [
        ("none/sessions", 404),
        ("none/sessions?limit=0", 400),
        ("none/sessions?limit=1001", 400),
    ] {
        let answer = app.admin_get(&format!("/admin/v1/keys/{path}")).await;
        assert_eq!(answer.status, status, "{path}");
    }
}
