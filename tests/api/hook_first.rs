//! The hook is answered before the router where that makes no difference: to whoever calls, it makes none.

use std::collections::BTreeMap;

use reqwest::{Method, header::HeaderMap};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, PHONE, World};

/// Everything that an answer says but its time and its id.
fn all(answer: &Answer) -> (u16, BTreeMap<String, String>, String) {
    let headers: &HeaderMap = &answer.headers;
    let told = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let told = told.filter(|(name, _)| name != "date" && name != "x-request-id");
    (answer.status, told.collect(), answer.body.clone())
}

async fn hook(app: &Instance, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = app.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request).await
}

#[sqlx::test]
async fn it_is_answered_as_the_router_answers_it(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let login = world.log_in(&app, PHONE).await;
    let good = format!("Bearer {}", login.text("access_token"));
    let bad = format!("{good}x");
    let (good, bad) = (good.as_str(), bad.as_str());
    let bearer = |token| vec![("Authorization", token)];
    let calls: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("/v1/authorize", bearer(good)),
        ("/v1/authorize", vec![]),
        ("/v1/authorize", bearer(bad)),
        ("/v1/authorize", bearer("Basic eDp5")),
        (
            "/v1/authorize",
            vec![("Authorization", good), ("Authorization", good)],
        ),
        ("/v1/authorize", vec![("Cookie", "access_token=x")]),
        ("/v1/authorize?audience=api", bearer(good)),
        ("/v1/authorize?audience=other", bearer(good)),
        ("/v1/authorize?scope=none", bearer(good)),
        ("/v1/authorize?max_age=0", bearer(good)),
        (
            "/v1/authorize",
            vec![("Authorization", good), ("X-Auth-Require-Scope", "none")],
        ),
        (
            "/v1/authorize",
            vec![("Authorization", good), ("X-Auth-Subject", "forged")],
        ),
    ];
    for (path, headers) in calls {
        let first = hook(&app, Method::GET, path, &headers).await;
        // Any other method goes to the router.
        let routed = hook(&app, Method::POST, path, &headers).await;

        assert_eq!(all(&first), all(&routed), "{path} {headers:?}");
        assert_eq!(first.header("x-request-id").len(), 32);
    }
    let id = hook(
        &app,
        Method::GET,
        "/v1/authorize",
        &[("X-Request-Id", "a.b-c_1")],
    )
    .await;
    assert_eq!(id.header("x-request-id"), "a.b-c_1");
    let id = hook(
        &app,
        Method::GET,
        "/v1/authorize",
        &[("X-Request-Id", "a b")],
    )
    .await;
    assert_eq!(id.header("x-request-id").len(), 32);
    let counted =
        r#"otp_auth_http_requests_total{route="/v1/authorize",method="GET",status="200"} "#;
    let metrics = app.admin_get("/metrics").await.body;
    assert!(
        metrics.lines().any(|line| line.starts_with(counted)),
        "{metrics}"
    );
}
