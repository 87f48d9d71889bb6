//! Who may call the admin API.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use otp_auth::limit::per_address::AddressKey;
use otp_auth::limit::per_ip::Network;
use otp_auth::secrets::Keyring;
use reqwest::Method;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{ADMIN_TOKEN, Answer, Instance, World};

const CALLS: [(Method, &str); 7] = [
    (Method::GET, "/admin/v1/audit"),
    (Method::GET, "/admin/v1/audit/export"),
    (Method::GET, "/admin/v1/decisions/abc"),
    (Method::DELETE, "/admin/v1/users/abc"),
    (Method::POST, "/admin/v1/phones/lookup"),
    (Method::POST, "/admin/v1/phones/unlock"),
    (Method::GET, "/admin/v1/no-such-path"),
];

async fn call(app: &Instance, method: &Method, path: &str, credentials: Option<&str>) -> Answer {
    let url = format!("{}{path}", app.admin);
    let request = app.http.request(method.clone(), url);
    // No proxy is trusted, so it says nothing.
    let mut request = request.header("x-forwarded-for", "203.0.113.9");
    if let Some(credentials) = credentials {
        request = request.header("authorization", credentials);
    }
    Answer::of(request).await
}

/// security.md 41
#[sqlx::test]
async fn every_call_wants_the_admin_token(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let closed = [("SECRETS__ADMIN_TOKEN", "")];
    let closed = world.instance_with(&closed, "").await;
    let right = format!("Bearer {ADMIN_TOKEN}");
    let longer = format!("Bearer {ADMIN_TOKEN}0");
    let basic = format!("Basic {ADMIN_TOKEN}");
    for (method, path) in &CALLS {
        for (app, credentials) in [
            (&app, None),
            (&app, Some("Bearer")),
            (&app, Some("Bearer ")),
            (&app, Some(longer.as_str())),
            (&app, Some(basic.as_str())),
            (&closed, None),
            (&closed, Some("Bearer ")),
            (&closed, Some(right.as_str())),
        ] {
            let answer = call(app, method, path, credentials).await;

            assert_eq!(
                answer.problem(),
                (401, "invalid_token".to_owned()),
                "{path}"
            );
            assert!(answer.header("www-authenticate").starts_with("Bearer "));
        }
        let let_in = call(&app, method, path, Some(&right)).await;
        assert_ne!(let_in.status, 401, "{path}");
    }
}

/// security.md 41
#[sqlx::test]
async fn the_public_listener_knows_no_admin_call(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    for (method, path) in CALLS {
        let request = app.request(method, path).bearer_auth(ADMIN_TOKEN);
        let answer = Answer::of(request).await;

        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{path}");
    }
}

#[sqlx::test]
async fn a_path_takes_its_own_method_only(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    for (path, allowed) in [
        ("/admin/v1/audit", "GET, HEAD"),
        ("/admin/v1/audit/export", "GET"),
        ("/admin/v1/users/abc", "DELETE"),
        ("/admin/v1/phones/unlock", "POST"),
    ] {
        let answer = Answer::of(app.admin(Method::PUT, path)).await;

        assert_eq!(answer.problem().0, 405, "{path}");
        let mut allow: Vec<String> = answer
            .header("allow")
            .split(", ")
            .map(str::to_owned)
            .collect();
        allow.sort_unstable();
        assert_eq!(allow.join(", "), allowed, "{path}");
    }
}

#[sqlx::test]
async fn of_a_flood_of_wrong_tokens_one_call_a_minute_is_told(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let closed = [("SECRETS__ADMIN_TOKEN", "")];
    let closed = world.instance_with(&closed, "").await;
    let secrets = world.settings(&[], "").secrets;
    let keyring = Keyring::derive(&secrets.master_key).unwrap();
    let network = Network::from(IpAddr::from([127, 0, 0, 1]));
    let address = URL_SAFE_NO_PAD.encode(AddressKey::of(network, &keyring).as_bytes());
    let mut told = 0;
    for (app, credentials, reason) in [
        (&app, None, "token_missing"),
        (&app, Some("Bearer not-the-token"), "token_wrong"),
        (
            &closed,
            Some("Bearer not-the-token"),
            "token_not_configured",
        ),
    ] {
        let first = call(app, &Method::GET, "/admin/v1/audit", credentials).await;
        for _ in 0..5 {
            call(app, &Method::GET, "/admin/v1/audit", credentials).await;
        }
        world.clock.advance(60);
        told += 1;

        // The clock stands in the next minute, of which nothing is told yet.
        let token = format!("Bearer {ADMIN_TOKEN}");
        let path = "/admin/v1/audit?action=admin.denied";
        let found = call(&world.instance().await, &Method::GET, path, Some(&token)).await;
        let events = found.json()["events"].as_array().unwrap().clone();
        assert_eq!(events.len(), told, "{reason}");
        let event = &events[0];
        assert_eq!(event["outcome"], "refused");
        assert_eq!(event["actor"], "service");
        assert_eq!(event["reason"], reason);
        assert_eq!(event["trace_id"], first.header("x-request-id").as_str());
        assert_eq!(event["address_key"], address.as_str());
        assert_eq!(event["detail"], serde_json::json!({}));
    }
}
