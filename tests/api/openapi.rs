//! The OpenAPI document, held against the service: it tells every call there is, and no other.

use std::collections::BTreeSet;

use otp_auth::http;
use otp_auth::http::reader::Reader;
use reqwest::Method;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, World};

const PATH: &str = "/openapi.json";

#[sqlx::test]
async fn the_reader_is_served_below_the_path_of_the_issuer(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    for (issuer, base) in [
        ("https://login.example", ""),
        ("https://example.com/login", "/login"),
    ] {
        let app = world.instance_with(&[("SERVER__ISSUER", issuer)], "").await;
        for path in ["/docs", "/docs/"] {
            let page = app.get(path).await;
            assert_eq!(page.status, 200, "{path}");
            assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
            assert_eq!(page.header("x-content-type-options"), "nosniff");
            assert_eq!(page.header("cache-control"), "public, max-age=300");
            let policy = page.header("content-security-policy");
            assert!(policy.contains("default-src 'none'"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            let link = format!(r#"href="{base}/openapi.json""#);
            assert!(page.body.contains(&link), "{link}");
            for file in Reader::files() {
                let name = format!("\"{base}/docs/{file}\"");
                assert!(page.body.contains(&name), "{name}");
            }
        }
        for file in Reader::files() {
            let answer = app.get(&format!("/docs/{file}")).await;
            assert_eq!(answer.status, 200, "{file}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
    }
}

#[sqlx::test]
async fn what_the_reader_does_not_have_is_a_problem(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    for path in [
        "/docs/index.html",
        "/docs/start.js/",
        "/docs/a/b",
        "/docs/..%2fconfig",
        "/docsx",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{path}");
    }
    for path in ["/docs", "/docs/", "/docs/start.js"] {
        let answer = Answer::of(app.request(Method::POST, path)).await;
        let expected = (405, "method_not_allowed".to_owned());
        assert_eq!(answer.problem(), expected, "{path}");
        assert_eq!(answer.header("allow"), "GET, HEAD", "{path}");
    }
}

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

/// What gateways call has no method that is not allowed.
fn takes_any_method(path: &str) -> bool {
    path.starts_with("/v1/authorize")
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
    let served: BTreeSet<String> = http::public_paths()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(told_paths, served);

    for (path, item) in paths {
        let mut methods = told(item);
        if takes_any_method(path) {
            let others = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ODD"];
            methods.extend(others.map(str::to_owned));
        } else {
            assert_eq!(methods, allowed(&app, path).await, "{path}");
        }
        for method in methods {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = Answer::of(app.request(method.clone(), &filled(path))).await;
            let status = answer.status.to_string();
            let name = method.as_str().to_lowercase();
            let call = item.get(&name).unwrap_or_else(|| &item["get"]);
            assert!(
                call["responses"].get(&status).is_some(),
                "{method} {path} answers {status}, which is not told"
            );
        }
    }
}

#[sqlx::test]
async fn the_document_of_the_admin_listener_tells_every_call_and_no_other(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let document = app.admin_get(PATH).await.json();
    for (path, item) in document["paths"].as_object().unwrap() {
        let odd = Method::from_bytes(b"ODD").unwrap();
        let answer = Answer::of(app.admin(odd, &filled(path))).await;
        assert_eq!(answer.status, 405, "{path}");
        let allow = answer.header("allow");
        let mut told = told(item);
        // An export is not asked about.
        if path == "/admin/v1/audit/export" {
            told.remove("HEAD");
        }
        let allowed: BTreeSet<String> = allow.split(", ").map(str::to_owned).collect();
        assert_eq!(told, allowed, "{path}");
        for method in told {
            let name = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = Answer::of(app.admin(name, &filled(path))).await;
            let status = answer.status.to_string();
            let call = item
                .get(method.to_lowercase())
                .unwrap_or_else(|| &item["get"]);
            let is_told = call["responses"].get(&status).is_some();
            assert!(
                is_told,
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
