//! RFC 7662: what a client that may ask is told of a token.

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, OTHER_PHONE, PHONE, World};

/// `web` logs in for two services; `orders` and `stranger` are services, of which only the former takes
/// its tokens; `mute` may not ask. All have the same secret.
const SERVICES: &str = r#"
[[clients]]
id = "web"
audience = ["orders", "billing"]
scopes = ["phone"]
claims = { tenant = "acme" }

[[clients]]
id = "orders"
secret_hash = "sha256:3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9"
audience = "orders"
may_introspect = true

[[clients]]
id = "stranger"
secret_hash = "sha256:3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9"
audience = "elsewhere"
may_introspect = true

[[clients]]
id = "mute"
secret_hash = "sha256:3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9"
audience = "orders"
"#;

async fn asked(app: &Instance, client: &str, token: &str) -> Value {
    let answer = app
        .post_form_as(client, "/v1/token/introspect", &[("token", token)])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

/// security.md 39.
#[sqlx::test]
async fn whom_a_token_is_for_is_told_all_of_it(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], SERVICES).await;
    let login = world.log_in_as(&app, "web", PHONE).await;
    let token = login.text("access_token");
    let claims = app.checked(&token, "orders").await;

    let told = asked(&app, "orders", &token).await;

    let mut expected = claims.clone();
    expected["active"] = json!(true);
    expected["token_type"] = json!("Bearer");
    assert_eq!(told, expected);
    assert_eq!(told["tenant"], "acme");
    assert_eq!(told["phone_number"], PHONE);
}

/// security.md 25, 37 and 39: for everything else the answer is one and the same.
#[sqlx::test]
async fn whatever_is_not_live_or_not_theirs_is_not_active(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], SERVICES).await;
    let login = world.log_in_as(&app, "web", PHONE).await;
    let ended = world.log_in_as(&app, "web", OTHER_PHONE).await;
    let token = login.text("access_token");
    let mut bent = token.clone().into_bytes();
    let middle = bent.len() / 2;
    bent[middle] = if bent[middle] == b'A' { b'B' } else { b'A' };
    let bent = String::from_utf8(bent).unwrap();
    let revoked = ended.text("refresh_token");
    let revoked = [("token", revoked.as_str()), ("client_id", "web")];
    app.post_form("/v1/token/revoke", &revoked).await;
    let inactive = json!({"active": false});

    assert_eq!(asked(&app, "orders", &token).await["active"], true);
    assert_eq!(asked(&app, "stranger", &token).await, inactive);
    for token in [
        "x",
        &bent,
        &login.text("refresh_token"),
        &login.text("device_receipt"),
        &ended.text("access_token"),
        &ended.text("refresh_token"),
    ] {
        assert_eq!(asked(&app, "orders", token).await, inactive);
    }
    world.clock.advance(899);
    assert_eq!(asked(&app, "orders", &token).await["active"], true);
    world.clock.advance(1);
    assert_eq!(asked(&app, "orders", &token).await, inactive);
}

/// security.md 39: nobody asks without proving who he is.
#[sqlx::test]
async fn only_clients_that_may_ask_are_answered(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], SERVICES).await;
    let token = world
        .log_in_as(&app, "web", PHONE)
        .await
        .text("access_token");
    let token = ("token", token.as_str());
    let path = "/v1/token/introspect";
    let error = |answer: Answer| answer.oauth_error();

    for fields in [
        &[token][..],
        &[token, ("client_id", "web")],
        &[token, ("client_id", "orders")],
        &[token, ("client_id", "orders"), ("client_secret", "no")],
    ] {
        let answer = app.post_form(path, fields).await;
        assert_eq!(
            error(answer),
            (401, "invalid_client".to_owned()),
            "{fields:?}"
        );
    }
    let mute = app.post_form_as("mute", path, &[token]).await;
    assert_eq!(error(mute), (400, "unauthorized_client".to_owned()));
    let nothing = app.post_form_as("orders", path, &[]).await;
    assert_eq!(error(nothing), (400, "invalid_request".to_owned()));
    let fields = [
        token,
        ("client_id", "orders"),
        ("client_secret", crate::support::SECRET),
    ];
    let by_post = app.post_form(path, &fields).await;
    assert_eq!(by_post.json()["active"], true);
}
