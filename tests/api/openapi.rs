//! The OpenAPI document, held against the service: it tells every call there is, and no other.

use std::collections::BTreeSet;

use otp_auth::http;
use reqwest::Method;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, World};

const PATH: &str = "/openapi.json";

/// A path with something in place of its parameters.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        if part.starts_with('{') {
            "01a20737-4d79-745c-a01a-0c9020452ce3"
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The methods of a path, as its 405 tells.
async fn allowed(app: &Instance, path: &str) -> BTreeSet<String> {
    let odd = Method::from_bytes(b"ODD").unwrap();
    let answer = Answer::of(app.request(odd, &filled(path))).await;
    assert_eq!(
        answer.problem(),
        (405, "method_not_allowed".to_owned()),
        "{path}"
    );
    let allow = answer.header("allow");
    allow.split(", ").map(str::to_owned).collect()
}

/// The methods that a path of the document tells, and HEAD, which goes without saying.
fn told(item: &Value) -> BTreeSet<String> {
    let methods = item.as_object().unwrap().keys();
    let mut methods: BTreeSet<String> = methods.map(|name| name.to_uppercase()).collect();
    if methods.contains("GET") {
        methods.insert("HEAD".to_owned());
    }
    methods
}

#[sqlx::test]
async fn the_document_tells_every_call_and_no_other(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let document = app.get(PATH).await.json();
    let paths = document["paths"].as_object().unwrap();

    let told_paths: BTreeSet<String> = paths.keys().cloned().collect();
    let served: BTreeSet<String> = http::public_paths().into_iter().collect();
    assert_eq!(told_paths, served);

    for (path, item) in paths {
        assert_eq!(told(item), allowed(&app, path).await, "{path}");
        for method in told(item) {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = Answer::of(app.request(method.clone(), &filled(path))).await;
            let status = answer.status.to_string();
            let of_get = &item[if method == Method::HEAD {
                "get"
            } else {
                method.as_str()
            }
            .to_lowercase()];
            assert!(
                of_get["responses"].get(&status).is_some(),
                "{method} {path} answers {status}, which is not told"
            );
        }
    }
}

#[sqlx::test]
async fn the_document_is_of_this_service_and_may_be_kept(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let issuer = "https://login.example";
    let app = world.instance_with(&[("SERVER__ISSUER", issuer)], "").await;

    let first = app.get(PATH).await;

    assert_eq!(first.status, 200);
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("cache-control"), "public, max-age=300");
    let document = first.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["servers"][0]["url"], issuer);
    let tag = first.header("etag");
    let again = app.request(Method::GET, PATH).header("if-none-match", &tag);
    let again = Answer::of(again).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("etag"), tag);
    let other = app
        .request(Method::GET, PATH)
        .header("if-none-match", "\"x\"");
    assert_eq!(Answer::of(other).await.status, 200);
}
