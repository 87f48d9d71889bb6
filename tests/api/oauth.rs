//! Form calls, and what is wrong with them.

use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, CLIENTS, PHONE, SECRET, World};

#[sqlx::test]
async fn each_mistake_has_its_error(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let good = world.log_in_as(&app, "web", PHONE).await;
    let token = good.text("refresh_token");
    let grant = ("grant_type", "refresh_token");
    let shown = ("refresh_token", token.as_str());
    let web = ("client_id", "web");
    let expected = |status, error: &str| (status, error.to_owned());

    for (fields, status, error) in [
        (&[][..], 400, "invalid_request"),
        (&[shown, web], 400, "invalid_request"),
        (&[("grant_type", ""), shown, web], 400, "invalid_request"),
        (
            &[("grant_type", "password"), shown, web],
            400,
            "unsupported_grant_type",
        ),
        (&[grant, web], 400, "invalid_request"),
        (&[grant, ("refresh_token", ""), web], 400, "invalid_request"),
        (&[grant, shown], 401, "invalid_client"),
        (&[grant, shown, ("client_id", "no")], 401, "invalid_client"),
        (
            &[grant, shown, ("client_id", "shop")],
            401,
            "invalid_client",
        ),
        (
            &[grant, shown, ("client_id", "shop"), ("client_secret", "no")],
            401,
            "invalid_client",
        ),
        (
            &[grant, shown, web, ("client_secret", "x")],
            401,
            "invalid_client",
        ),
        (
            &[grant, shown, ("client_secret", SECRET)],
            401,
            "invalid_client",
        ),
        (&[grant, shown, shown, web], 400, "invalid_request"),
        (&[grant, grant, shown, web], 400, "invalid_request"),
        (
            &[grant, ("refresh_token", "rt_no"), web],
            400,
            "invalid_grant",
        ),
        (
            &[grant, ("refresh_token", &good.text("access_token")), web],
            400,
            "invalid_grant",
        ),
        (
            &[grant, ("refresh_token", &good.text("device_receipt")), web],
            400,
            "invalid_grant",
        ),
        (
            &[grant, shown, web, ("scope", "phone")],
            400,
            "invalid_scope",
        ),
        (
            &[grant, shown, web, ("scope", "a  b")],
            400,
            "invalid_scope",
        ),
        (
            &[grant, shown, web, ("audience", "orders")],
            400,
            "invalid_target",
        ),
        (
            &[grant, shown, web, ("audience", "api"), ("audience", "x")],
            400,
            "invalid_target",
        ),
    ] {
        let answer = app.post_form("/v1/token", fields).await;
        assert_eq!(answer.oauth_error(), expected(status, error), "{fields:?}");
        let asks = answer.header("www-authenticate");
        assert_eq!(asks.starts_with("Basic "), status == 401, "{fields:?}");
    }
    let two_ways = [
        grant,
        shown,
        ("client_id", "shop"),
        ("client_secret", SECRET),
    ];
    let answer = app.post_form_as("shop", "/v1/token", &two_ways).await;
    assert_eq!(answer.oauth_error(), expected(400, "invalid_request"));
    let other_name = app
        .post_form_as("shop", "/v1/token", &[grant, shown, web])
        .await;
    assert_eq!(other_name.oauth_error(), expected(400, "invalid_request"));

    // None of it cost the token.
    let answer = app.post_form("/v1/token", &[grant, shown, web]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// RFC 6749 section 3.2: what the server does not know it ignores, however often it comes.
#[sqlx::test]
async fn what_a_form_says_beside_is_ignored(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let login = world.log_in_as(&app, "web", PHONE).await;
    let token = login.text("refresh_token");
    let beside = [("resource", "a"), ("resource", "b"), ("", ""), ("", "x")];

    let mut fields = vec![("grant_type", "refresh_token"), ("client_id", "web")];
    fields.push(("refresh_token", &token));
    fields.extend(beside);
    let refreshed = app.post_form("/v1/token", &fields).await;
    let next = refreshed.text("refresh_token");
    let mut fields = vec![("client_id", "web"), ("token", &next)];
    fields.extend(beside);
    let revoked = app.post_form("/v1/token/revoke", &fields).await;
    fields.push(("token", &next));
    let twice = app.post_form("/v1/token/revoke", &fields).await;

    assert_eq!((refreshed.status, revoked.status), (200, 200));
    let expected = (400, "invalid_request".to_owned());
    assert_eq!(twice.oauth_error(), expected);
}

#[sqlx::test]
async fn a_client_proves_itself_by_header_or_by_form(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let login = world.log_in_as(&app, "shop", PHONE).await;
    let first = login.text("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", &first)];

    let by_header = app.post_form_as("shop", "/v1/token", &fields).await;
    let second = by_header.text("refresh_token");
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &second),
        ("client_id", "shop"),
        ("client_secret", SECRET),
    ];
    let by_form = app.post_form("/v1/token", &fields).await;

    assert_eq!(by_form.status, 200, "{}", by_form.body);
    assert_eq!(by_form.json()["scope"], "phone orders:read");
}

#[sqlx::test]
async fn only_forms_are_read_and_only_from_the_body(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let token = world.log_in(&app, PHONE).await.text("refresh_token");
    for path in ["/v1/token", "/v1/token/revoke", "/v1/token/introspect"] {
        let by_json = app.post(path, &json!({"refresh_token": token})).await;
        assert_eq!(
            by_json.problem(),
            (415, "unsupported_media_type".to_owned())
        );
        let by_get = app.get(path).await;
        assert_eq!(by_get.problem(), (405, "method_not_allowed".to_owned()));
        assert_eq!(by_get.header("allow"), "POST");
        let request = app.request(Method::POST, &format!("{path}?token={token}"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = Answer::of(request).await;
        let error = answer.oauth_error();
        assert!(
            ["invalid_request", "invalid_client"].contains(&error.1.as_str()),
            "{path}: {error:?}"
        );
        let long = "x".repeat(16 * 1024 + 1);
        let answer = app.post_form(path, &[("token", &long)]).await;
        assert_eq!(answer.problem(), (413, "payload_too_large".to_owned()));
    }
}

/// security.md 27: nobody gets an audience or a scope that his client was not given.
#[sqlx::test]
async fn a_login_asks_for_less_than_its_client_has_and_never_for_more(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let post = async |path: &str, body: serde_json::Value| {
        let request = app.request(Method::POST, path);
        let request = request.basic_auth("shop", Some(SECRET));
        Answer::of(request.json(&body)).await
    };
    let sent = post("/v1/otp/send", json!({"phone_number": PHONE})).await;
    let id = sent.text("request_id");
    let code = world.code(PHONE);
    let verify = async |more: serde_json::Value| {
        let mut body = json!({"request_id": id, "code": code});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        post("/v1/otp/verify", body).await
    };

    for (more, pointer) in [
        (json!({"scope": "admin"}), "/scope"),
        (json!({"scope": "phone  x"}), "/scope"),
        (json!({"scope": ["phone"]}), "/scope"),
        (json!({"audience": "api"}), "/audience"),
        (json!({"audience": ["orders", "api"]}), "/audience"),
        (json!({"audience": []}), "/audience"),
        (json!({"audience": 5}), "/audience"),
    ] {
        let answer = verify(more.clone()).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_request".to_owned()),
            "{more}"
        );
        assert_eq!(answer.pointers(), [pointer], "{more}");
    }
    let login = verify(json!({"audience": "orders", "scope": "orders:read"})).await;
    assert_eq!(login.status, 200, "{}", login.body);
    let claims = app.checked(&login.text("access_token"), "orders").await;
    assert_eq!(claims["aud"], "orders");
    assert_eq!(claims["scope"], "orders:read");
    assert!(claims.get("phone_number").is_none());

    let first = login.text("refresh_token");
    let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", &first)];
    for (more, error) in [
        (("audience", "billing"), "invalid_target"),
        (("scope", "phone"), "invalid_scope"),
    ] {
        fields.push(more);
        let answer = app.post_form_as("shop", "/v1/token", &fields).await;
        assert_eq!(answer.oauth_error(), (400, error.to_owned()));
        fields.pop();
    }
    let same = app.post_form_as("shop", "/v1/token", &fields).await;
    let claims = app.checked(&same.text("access_token"), "orders").await;
    assert_eq!(claims["aud"], "orders");
    assert_eq!(claims["scope"], "orders:read");
    let second = same.text("refresh_token");
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &second),
        ("audience", "orders"),
        ("scope", "orders:read"),
    ];
    let same = app.post_form_as("shop", "/v1/token", &fields).await;
    assert_eq!(same.json()["scope"], "orders:read", "{}", same.body);
}

/// A token may be for less than its session, and the session keeps what it has.
#[sqlx::test]
async fn a_refresh_narrows_the_access_token_and_not_the_session(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let login = world.log_in_as(&app, "shop", PHONE).await;
    let first = login.text("refresh_token");
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &first),
        ("audience", "billing"),
        ("scope", "phone"),
    ];

    let narrow = app.post_form_as("shop", "/v1/token", &fields).await;
    let second = narrow.text("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", &second)];
    let wide = app.post_form_as("shop", "/v1/token", &fields).await;

    let claims = app.checked(&narrow.text("access_token"), "billing").await;
    assert_eq!(claims["aud"], "billing");
    assert_eq!(claims["scope"], "phone");
    let claims = app.checked(&wide.text("access_token"), "orders").await;
    assert_eq!(claims["aud"], json!(["orders", "billing"]));
    assert_eq!(claims["scope"], "phone orders:read");
}

/// What an operator takes from a client is gone from its next token, and an audience that a session was
/// begun for and that is gone altogether ends nothing: given back, it works again.
#[sqlx::test]
async fn what_a_client_loses_its_sessions_lose(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let with = |audience: &str, scopes: &str| {
        format!("[[clients]]\nid = \"web\"\naudience = {audience}\nscopes = {scopes}\n")
    };
    let all = with(r#"["a", "b"]"#, r#"["x", "y"]"#);
    let app = world.instance_with(&[], &all).await;
    let login = world
        .log_in_with(&app, PHONE, json!({"audience": "a"}))
        .await;
    let first = login.text("refresh_token");

    let less = world
        .instance_with(&[], &with(r#"["a"]"#, r#"["y"]"#))
        .await;
    let less = less.refresh(&first).await;
    let second = less.text("refresh_token");
    let gone = world.instance_with(&[], &with(r#"["b"]"#, "[]")).await;
    let gone = gone.refresh(&second).await;
    let back = app.refresh(&second).await;

    let claims = app.checked(&less.text("access_token"), "a").await;
    assert_eq!(claims["scope"], "y");
    assert_eq!(gone.oauth_error(), (400, "invalid_grant".to_owned()));
    assert_eq!(back.status, 200, "{}", back.body);
}
