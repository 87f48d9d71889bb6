//! What a client's registration puts into its tokens.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{PHONE, World};

#[sqlx::test]
async fn a_client_has_its_own_lifetimes_and_claims(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let client = r#"
        [[clients]]
        id = "web"
        audience = "api"
        access_token_ttl = 60
        refresh_idle_ttl = 120
        refresh_absolute_ttl = 180

        [clients.claims]
        tenant = "acme"
        Level = 3
        is_internal = true
        ratio = 0.5
        "https://acme.example/roles" = ["a", { name = "b" }]
    "#;
    let app = world.instance_with(&[], client).await;
    let login = world.log_in(&app, PHONE).await;
    assert_eq!(login.json()["expires_in"], 60);
    assert_eq!(login.json()["refresh_expires_in"], 120);
    world.clock.advance(119);

    let refreshed = app.refresh(&login.text("refresh_token")).await;

    assert_eq!(refreshed.json()["refresh_expires_in"], 61);
    for answer in [&login, &refreshed] {
        let claims = app.checked(&answer.text("access_token"), "api").await;
        assert_eq!(claims["tenant"], "acme");
        assert_eq!(claims["Level"], 3);
        assert_eq!(claims["is_internal"], true);
        assert_eq!(claims["ratio"], 0.5);
        let roles = &claims["https://acme.example/roles"];
        assert_eq!(roles, &json!(["a", {"name": "b"}]));
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            60
        );
    }
    world.clock.advance(61);
    let over = app.refresh(&refreshed.text("refresh_token")).await;
    assert_eq!(over.status, 400);
}
