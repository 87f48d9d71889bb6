//! The JWT and the published keys, checked as a stranger would.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use otp_auth::clock::Clock as _;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, CLIENTS, PHONE, SECRET, World};

/// security.md 14 (`amr` tells a single factor), 25, 26 and 30.
#[sqlx::test]
async fn a_token_has_the_header_and_claims_of_the_contract(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;
    let answer = app.verify(&id, &world.code(PHONE)).await;
    let token = answer.text("access_token");

    let header = URL_SAFE_NO_PAD
        .decode(token.split('.').next().unwrap())
        .unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let claims = app.checked(&token, "api").await;

    let kid = app.get("/.well-known/jwks.json").await.json()["keys"][0]["kid"].clone();
    assert_eq!(header, json!({"typ": "at+jwt", "alg": "ES256", "kid": kid}));
    let now = world.clock.now().timestamp();
    assert_eq!(claims["iss"], "http://127.0.0.1:8080");
    assert_eq!(claims["aud"], "api");
    assert_eq!(claims["client_id"], "web");
    assert_eq!(claims["sub"], answer.text("subject"));
    assert_eq!(claims["sid"], answer.text("session_id"));
    assert_eq!(claims["iat"], now);
    assert_eq!(claims["auth_time"], now);
    assert_eq!(claims["exp"], now + 900);
    assert_eq!(claims["amr"], json!(["otp", "sms"]));
    let names: BTreeSet<&str> = claims
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = BTreeSet::from([
        "iss",
        "sub",
        "aud",
        "client_id",
        "iat",
        "exp",
        "jti",
        "sid",
        "auth_time",
        "amr",
    ]);
    assert_eq!(names, expected, "no nbf, and no phone without its scope");
}

#[sqlx::test]
async fn a_clients_audiences_scopes_and_lifetime_are_in_its_tokens(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let post = async |path: &str, body: Value| {
        let request = app
            .request(Method::POST, path)
            .basic_auth("shop", Some(SECRET));
        Answer::of(request.json(&body)).await
    };
    let sent = post("/v1/otp/send", json!({"phone_number": PHONE})).await;
    let body = json!({"request_id": sent.text("request_id"), "code": world.code(PHONE)});
    let answer = post("/v1/otp/verify", body).await;

    let claims = app.checked(&answer.text("access_token"), "billing").await;

    assert_eq!(claims["aud"], json!(["orders", "billing"]));
    assert_eq!(claims["scope"], "phone orders:read");
    assert_eq!(claims["phone_number"], PHONE);
    assert_eq!(claims["phone_number_verified"], true);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        120
    );
}

#[sqlx::test]
async fn the_key_set_answers_conditional_requests(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let first = app.get("/.well-known/jwks.json").await;
    let tag = first.header("etag");
    assert_eq!(first.header("content-type"), "application/json");

    for (condition, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"other\", {tag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
    ] {
        let request = app.request(Method::GET, "/.well-known/jwks.json");
        let answer = Answer::of(request.header("if-none-match", &condition)).await;
        assert_eq!(answer.status, status, "{condition}");
        assert_eq!(answer.header("etag"), tag);
        assert_eq!(answer.body.is_empty(), status == 304);
    }
}

#[sqlx::test]
async fn a_restart_keeps_the_key_and_another_master_key_is_refused(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let keys = world
        .instance()
        .await
        .get("/.well-known/jwks.json")
        .await
        .body;
    assert_eq!(
        world
            .instance()
            .await
            .get("/.well-known/jwks.json")
            .await
            .body,
        keys
    );

    let other = [(
        "SECRETS__MASTER_KEY",
        "b3RoZXIga2V5IG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXM=",
    )];
    let settings = world.settings(&other, "");
    let deps = otp_auth::app::Deps {
        clock: world.clock.clone(),
        random: std::sync::Arc::new(otp_auth::random::SystemRandom),
    };
    let error = otp_auth::app::App::build(&settings, deps)
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("secrets.master_key"), "{error}");
}
