//! What a user sees of his sessions, and ends.

use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, CLIENTS, OFTEN, OTHER_PHONE, PHONE, World};

/// security.md 38: list, and a new session with each login.
#[sqlx::test]
async fn a_user_sees_his_sessions_and_nobody_elses(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let mut settings = OFTEN.to_vec();
    settings.push(("SERVER__TRUSTED_PROXIES", "127.0.0.1"));
    let app = world.instance_with(&settings, "").await;
    let id = app.sent(PHONE).await;
    let request = app
        .request(Method::POST, "/v1/otp/verify")
        .header("user-agent", "Phone/1.0")
        .header("x-forwarded-for", "203.0.113.77");
    let body = json!({"request_id": id, "code": world.code(PHONE)});
    let first = Answer::of(request.json(&body)).await;
    let begun = otp_auth::clock::rfc3339(otp_auth::clock::Clock::now(&*world.clock));
    world.clock.advance(100);
    let second = world.log_in(&app, PHONE).await;
    let other = world.log_in(&app, OTHER_PHONE).await;
    world.clock.advance(100);
    let refreshed = app.refresh(&first.text("refresh_token")).await;
    let access = refreshed.text("access_token");

    let listed = app.bearer(Method::GET, "/v1/sessions", &access).await;

    assert_ne!(first.text("session_id"), second.text("session_id"));
    assert_ne!(other.text("subject"), first.text("subject"));
    assert_eq!(listed.status, 200, "{}", listed.body);
    let listed = listed.json();
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    assert_eq!(
        sessions[0],
        json!({
            "session_id": first.text("session_id"),
            "client_id": "web",
            "created_at": begun,
            "last_used_at": otp_auth::clock::rfc3339(otp_auth::clock::Clock::now(&*world.clock)),
            "expires_at": otp_auth::clock::rfc3339(
                otp_auth::clock::Clock::now(&*world.clock) + chrono::TimeDelta::days(30)
            ),
            "user_agent": "Phone/1.0",
            "address_prefix": "203.0.113.0/24",
            "current": true,
        })
    );
    assert_eq!(sessions[1]["session_id"], second.text("session_id"));
    assert_eq!(sessions[1]["current"], false);
    assert_eq!(sessions[1]["address_prefix"], "127.0.0.0/24");
    for personal in ["Phone/1.0", "203.0.113"] {
        assert_eq!(world.tables_with(personal).await, Vec::<String>::new());
    }
}

/// security.md 37 and 38.
#[sqlx::test]
async fn a_user_ends_one_session_or_all(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&OFTEN, "").await;
    let mut logins = Vec::new();
    for _ in 0..3 {
        logins.push(world.log_in(&app, PHONE).await);
        world.clock.advance(1);
    }
    let other = world.log_in(&app, OTHER_PHONE).await;
    let access = |at: usize| logins[at].text("access_token");
    let path = |login: &Answer| format!("/v1/sessions/{}", login.text("session_id"));

    for unknown in [
        path(&other),
        "/v1/sessions/00000000-0000-4000-8000-000000000000".to_owned(),
        "/v1/sessions/x".to_owned(),
    ] {
        let answer = app.bearer(Method::DELETE, &unknown, &access(0)).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()));
    }
    let one = app
        .bearer(Method::DELETE, &path(&logins[1]), &access(0))
        .await;
    assert_eq!((one.status, one.body.as_str()), (204, ""));
    let again = app
        .bearer(Method::DELETE, &path(&logins[1]), &access(0))
        .await;
    assert_eq!(again.problem(), (404, "not_found".to_owned()));
    assert!(!app.lets_in(&access(1)).await);
    let refreshed = app.refresh(&logins[1].text("refresh_token")).await;
    assert_eq!(refreshed.oauth_error(), (400, "invalid_grant".to_owned()));
    assert!(app.lets_in(&access(0)).await && app.lets_in(&access(2)).await);

    world.clock.advance(1);
    let all = app.bearer(Method::DELETE, "/v1/sessions", &access(0)).await;
    assert_eq!((all.status, all.body.as_str()), (204, ""));
    for login in &logins {
        assert!(!app.lets_in(&login.text("access_token")).await);
        assert_eq!(app.refresh(&login.text("refresh_token")).await.status, 400);
    }
    assert!(app.lets_in(&other.text("access_token")).await);
    let events = app.events("action=session.end").await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["session_id"], logins[1].text("session_id"));
    assert_eq!(events[0]["detail"]["sessions"].as_array().unwrap().len(), 2);
    for event in events {
        assert_eq!(event["reason"], "user");
        assert_eq!(event["user_id"], logins[0].text("subject"));
    }
}

#[sqlx::test]
async fn who_is_logged_in_tells_the_number_only_with_its_scope(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let web = world.log_in_as(&app, "web", PHONE).await;
    let shop = world.log_in_as(&app, "shop", OTHER_PHONE).await;
    let userinfo = async |login: &Answer| {
        let token = login.text("access_token");
        app.bearer(Method::GET, "/v1/userinfo", &token).await.json()
    };

    assert_eq!(userinfo(&web).await, json!({"sub": web.text("subject")}));
    assert_eq!(
        userinfo(&shop).await,
        json!({
            "sub": shop.text("subject"),
            "phone_number": OTHER_PHONE,
            "phone_number_verified": true,
        })
    );
}

/// security.md 23 and 25: nothing but a good access token of ours is a bearer token, here or anywhere.
#[sqlx::test]
async fn nobody_is_let_in_without_a_good_access_token(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let login = world.log_in(&app, PHONE).await;
    let good = login.text("access_token");
    let parts: Vec<&str> = good.split('.').collect();
    let header = |json: serde_json::Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string())
    };
    let none = header(json!({"alg": "none", "typ": "at+jwt"}));
    let jwt = header(json!({"alg": "ES256", "typ": "JWT"}));

    for (method, path) in [
        (Method::GET, "/v1/userinfo"),
        (Method::GET, "/v1/sessions"),
        (Method::DELETE, "/v1/sessions"),
        (
            Method::DELETE,
            "/v1/sessions/00000000-0000-4000-8000-000000000000",
        ),
    ] {
        for token in [
            login.text("refresh_token"),
            login.text("device_receipt"),
            format!("{none}.{}.", parts[1]),
            format!("{jwt}.{}.{}", parts[1], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            "x".to_owned(),
        ] {
            let answer = app.bearer(method.clone(), path, &token).await;
            assert_eq!(
                answer.problem(),
                (401, "invalid_token".to_owned()),
                "{path}"
            );
        }
        for scheme in ["", "Basic d2ViOng="] {
            let mut request = app.request(method.clone(), path);
            if !scheme.is_empty() {
                request = request.header("authorization", scheme);
            }
            let answer = Answer::of(request).await;
            assert_eq!(answer.problem(), (401, "invalid_token".to_owned()));
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, r#"Bearer realm="otp-auth""#);
        }
        let twice = app.request(method.clone(), path).bearer_auth(&good);
        let twice = Answer::of(twice.bearer_auth(&good)).await;
        assert_eq!(twice.problem(), (401, "invalid_token".to_owned()));
        let in_url = app.request(method, &format!("{path}?access_token={good}"));
        assert_eq!(Answer::of(in_url).await.status, 401);
    }
    assert!(app.lets_in(&good).await);
}

/// security.md 29: not a second longer.
#[sqlx::test]
async fn an_access_token_ends_on_the_second(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::at_midnight(connect).await;
    let app = world.instance().await;
    let token = world.log_in(&app, PHONE).await.text("access_token");

    world.clock.advance(899);
    assert!(app.lets_in(&token).await);
    world.clock.advance(1);
    assert!(!app.lets_in(&token).await);
    world.clock.advance(1);
    assert!(!app.lets_in(&token).await);
}

/// A page may do all of this from its own origin.
#[sqlx::test]
async fn a_page_of_a_client_may_refresh_and_end_sessions(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    for (method, path, headers) in [
        ("POST", "/v1/token", "content-type"),
        ("POST", "/v1/token/refresh", "content-type"),
        ("DELETE", "/v1/sessions", "authorization"),
        ("GET", "/v1/sessions", "authorization"),
    ] {
        let request = app
            .request(Method::OPTIONS, path)
            .header("origin", "https://web.example")
            .header("access-control-request-method", method)
            .header("access-control-request-headers", headers);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 200, "{method} {path}");
        let methods = answer.header("access-control-allow-methods");
        assert!(methods.contains(method), "{methods}");
    }
}
