//! RFC 8414: every line of the metadata is tried out.

use reqwest::Method;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, CLIENTS, PHONE, SECRET, World};

const PATH: &str = "/.well-known/oauth-authorization-server";

/// security.md 28.
#[sqlx::test]
async fn the_metadata_agrees_with_reality(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let clients = CLIENTS.replace("access_token_ttl = 120", "may_introspect = true");
    let app = world.instance_with(&[], &clients).await;
    let told = app.get(PATH).await;
    assert_eq!(told.header("content-type"), "application/json");
    assert_eq!(told.header("cache-control"), "public, max-age=3600");
    let metadata = told.json();
    let issuer = metadata["issuer"].as_str().unwrap();
    let at = |name: &str| {
        let url = metadata[name].as_str().unwrap();
        url.strip_prefix(issuer).unwrap().to_owned()
    };
    let texts = |name: &str| -> Vec<String> {
        let list = metadata[name].as_array().unwrap().iter();
        list.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let login = world.log_in_as(&app, "shop", PHONE).await;
    let access = login.text("access_token");

    // The key of the token is where the metadata says.
    let header = jsonwebtoken::decode_header(&access).unwrap();
    let jwks = app.get(&at("jwks_uri")).await.json();
    assert_eq!(jwks["keys"][0]["kid"], header.kid.unwrap());
    assert_eq!(app.checked(&access, "orders").await["iss"], issuer);
    let userinfo = app
        .bearer(Method::GET, &at("userinfo_endpoint"), &access)
        .await;
    assert_eq!(userinfo.text("sub"), login.text("subject"));
    assert_eq!(texts("response_types_supported"), Vec::<String>::new());
    assert_eq!(texts("grant_types_supported"), ["refresh_token"]);

    let documentation = app.get(&at("service_documentation")).await;
    assert_eq!(documentation.status, 200);

    // Every way to authenticate that is told works, and no other.
    for (endpoint, methods) in [
        ("token_endpoint", "token_endpoint_auth_methods_supported"),
        (
            "revocation_endpoint",
            "revocation_endpoint_auth_methods_supported",
        ),
        (
            "introspection_endpoint",
            "introspection_endpoint_auth_methods_supported",
        ),
    ] {
        for method in ["client_secret_basic", "client_secret_post", "none"] {
            let mut fields = vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", "rt_x"),
                ("token", "x"),
            ];
            let path = at(endpoint);
            let answer = match method {
                "client_secret_basic" => app.post_form_as("shop", &path, &fields).await,
                "client_secret_post" => {
                    fields.extend([("client_id", "shop"), ("client_secret", SECRET)]);
                    app.post_form(&path, &fields).await
                }
                _ => {
                    fields.push(("client_id", "web"));
                    app.post_form(&path, &fields).await
                }
            };
            let works = answer.status != 401;
            assert_eq!(
                works,
                texts(methods).iter().any(|told| told == method),
                "{endpoint} {method}"
            );
        }
    }
    let names: Vec<&String> = metadata.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 12, "a new line needs a check above: {names:?}");
}

/// Strangers may read it, from any page.
#[sqlx::test]
async fn the_metadata_is_for_everybody(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let head = Answer::of(app.request(Method::HEAD, PATH)).await;
    let post = app.post(PATH, &Value::Null).await;

    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(post.problem(), (405, "method_not_allowed".to_owned()));
}
