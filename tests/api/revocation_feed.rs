//! `GET /v1/revocations`, and a verifier elsewhere that follows it.

use std::time::Duration;

use otp_auth::verifier::{CheckError, Refused, Verifier};
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, CLIENTS, Instance, OFTEN, OTHER_PHONE, PHONE, SECRET, World};

/// The feed as the confidential client sees it.
pub(crate) async fn feed(app: &Instance, query: &str) -> Answer {
    let path = format!("/v1/revocations{query}");
    let request = app.request(Method::GET, &path);
    Answer::of(request.basic_auth("shop", Some(SECRET))).await
}

#[sqlx::test]
async fn the_feed_is_told_to_confidential_clients(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&OFTEN, CLIENTS).await;
    let public = app
        .request(Method::GET, "/v1/revocations")
        .basic_auth("web", Some(""));
    let wrong = app
        .request(Method::GET, "/v1/revocations")
        .basic_auth("shop", Some("x"));
    for refused in [
        app.get("/v1/revocations").await,
        Answer::of(public).await,
        Answer::of(wrong).await,
    ] {
        assert_eq!(refused.problem(), (401, "invalid_client".to_owned()));
        assert!(refused.header("www-authenticate").starts_with("Basic"));
    }
    for (query, pointer) in [
        ("?since=x", "/since"),
        ("?since=-1", "/since"),
        ("?wait=56", "/wait"),
        ("?wait=x", "/wait"),
        ("?after=1", ""),
        ("?since=1&since=2", ""),
    ] {
        let refused = feed(&app, query).await;
        assert_eq!(
            refused.problem(),
            (400, "invalid_request".to_owned()),
            "{query}"
        );
        assert_eq!(refused.pointers(), [pointer], "{query}");
    }

    let nothing = feed(&app, "").await;
    assert_eq!(nothing.json(), json!({"cursor": "0", "revocations": []}));
    assert_eq!(nothing.header("cache-control"), "no-store");
    assert_eq!(nothing.header("etag"), "\"0\"");
    let login = world.log_in_as(&app, "web", PHONE).await;
    let other = world.log_in_as(&app, "web", OTHER_PHONE).await;
    let now = otp_auth::clock::Clock::now(world.clock.as_ref());
    app.bearer(Method::DELETE, "/v1/sessions", &login.text("access_token"))
        .await;
    let one = feed(&app, "?since=0").await;
    let end = chrono::DateTime::from_timestamp(now.timestamp() + 960, 0).unwrap();
    let sub = login.text("subject");
    let told = json!({
        "sid": login.text("session_id"), "sub": sub,
        "revoked_at": otp_auth::clock::rfc3339(now),
        "expires_at": otp_auth::clock::rfc3339(end),
    });
    assert_eq!(one.json(), json!({"cursor": "1", "revocations": [told]}));
    assert_eq!(one.header("etag"), "\"1\"");
    assert_eq!(
        feed(&app, "?since=1").await.json()["revocations"],
        json!([])
    );
    assert_eq!(
        feed(&app, "?since=99").await.json(),
        one.json(),
        "ahead, as after a restored backup"
    );

    // Whoever was erased is named without a session too.
    let path = format!("/admin/v1/users/{}", other.text("subject"));
    assert_eq!(
        Answer::of(app.admin(Method::DELETE, &path)).await.status,
        204
    );
    let erased = feed(&app, "?since=1").await.json();
    let told: Vec<_> = erased["revocations"].as_array().unwrap().iter().collect();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|one| one["sub"] == other.text("subject")));
    let named: Vec<_> = told.iter().filter_map(|one| one.get("sid")).collect();
    assert_eq!(named, [&other.text("session_id")]);
}

#[sqlx::test]
async fn a_call_waits_for_news(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&OFTEN, CLIENTS).await;
    let login = world.log_in_as(&app, "web", PHONE).await;
    let tagged = async |tag: &str, query: &str| {
        let path = format!("/v1/revocations{query}");
        let request = app.request(Method::GET, &path).header("if-none-match", tag);
        Answer::of(request.basic_auth("shop", Some(SECRET))).await
    };

    let same = tagged("\"0\"", "").await;
    assert_eq!(
        (same.status, &*same.body, &*same.header("etag")),
        (304, "", "\"0\"")
    );
    assert_eq!(tagged("\"7\"", "").await.status, 200);
    assert_eq!(tagged("rubbish", "").await.status, 200);
    let token = login.text("access_token");
    let (by_cursor, by_tag, ended) = tokio::join!(
        feed(&app, "?since=0&wait=55"),
        tagged("\"0\"", "?wait=55"),
        app.bearer(Method::DELETE, "/v1/sessions", &token),
    );
    assert_eq!(ended.status, 204);
    for waited in [by_cursor, by_tag] {
        assert_eq!(waited.status, 200, "{}", waited.body);
        assert_eq!(waited.json()["cursor"], "1");
    }
}

/// A service in Rust that checks tokens by itself.
#[sqlx::test]
async fn an_offline_verifier_hears_of_ended_sessions(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&OFTEN, CLIENTS).await;
    let verifier = Verifier::builder("http://127.0.0.1:8080")
        .audience("api")
        .jwks_url(format!("{}/.well-known/jwks.json", app.base))
        .revocations_at(format!("{}/v1/revocations", app.base), "shop", SECRET)
        .clock(world.clock.clone())
        .build()
        .unwrap();
    let refuses = async |token: &str| {
        // A check waits for nothing, so it would leave the feed no time.
        let poll = async {
            while verifier.check(token).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_mins(1), poll).await;
        assert!(in_time.is_ok(), "the token still passes");
        let refused = verifier.check(token).await.unwrap_err();
        assert_eq!(refused, CheckError::Refused(Refused::Ended));
    };

    // What ended before it asked first, and what ends while it listens.
    let before = world
        .log_in_as(&app, "web", PHONE)
        .await
        .text("access_token");
    app.bearer(Method::DELETE, "/v1/sessions", &before).await;
    refuses(&before).await;
    assert_eq!(verifier.revocations_age(), Some(Duration::ZERO));
    for _ in 0..2 {
        let login = world.log_in_as(&app, "web", PHONE).await;
        let token = login.text("access_token");
        assert!(verifier.check(&token).await.is_ok());
        app.bearer(Method::DELETE, "/v1/sessions", &token).await;
        refuses(&token).await;
    }
    let login = world.log_in_as(&app, "web", OTHER_PHONE).await;
    let erase = format!("/admin/v1/users/{}", login.text("subject"));
    Answer::of(app.admin(Method::DELETE, &erase)).await;
    refuses(&login.text("access_token")).await;
}
