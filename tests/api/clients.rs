//! Public and confidential clients, and the pages they are called from.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, CLIENTS, Instance, PHONE, SECRET, World};

async fn as_shop(app: &Instance, secret: &str, path: &str, body: &Value) -> Answer {
    let request = app
        .request(Method::POST, path)
        .basic_auth("shop", Some(secret));
    Answer::of(request.json(body)).await
}

#[sqlx::test]
async fn where_several_clients_are_registered_a_caller_says_which_it_is(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let send = |client: Value| json!({"phone_number": PHONE, "client_id": client});

    let unnamed = app.send(PHONE).await;
    assert_eq!(unnamed.problem(), (400, "invalid_request".to_owned()));
    assert_eq!(unnamed.json()["errors"][0]["pointer"], "/client_id");

    for (client, why) in [("nobody", "unknown"), ("shop", "named without its secret")] {
        let answer = app.post("/v1/otp/send", &send(json!(client))).await;
        assert_eq!(
            answer.problem(),
            (401, "invalid_client".to_owned()),
            "{why}"
        );
        assert!(
            answer.header("www-authenticate").starts_with("Basic "),
            "{why}"
        );
    }
    for (secret, why) in [("wrong", "wrong secret"), ("", "no secret")] {
        let answer = as_shop(
            &app,
            secret,
            "/v1/otp/send",
            &json!({"phone_number": PHONE}),
        )
        .await;
        assert_eq!(
            answer.problem(),
            (401, "invalid_client".to_owned()),
            "{why}"
        );
    }
    let other_name = as_shop(&app, SECRET, "/v1/otp/send", &send(json!("web"))).await;
    assert_eq!(other_name.problem(), (400, "invalid_request".to_owned()));
    assert_eq!(world.sandbox.requests().send, 0);

    assert_eq!(
        app.post("/v1/otp/send", &send(json!("web"))).await.status,
        201
    );
    world.clock.advance(60);
    let shop = as_shop(
        &app,
        SECRET,
        "/v1/otp/send",
        &json!({"phone_number": PHONE}),
    )
    .await;
    assert_eq!(shop.status, 201, "{}", shop.body);
}

/// security.md 8: a code of one client is nothing to another.
#[sqlx::test]
async fn a_confidential_clients_request_is_its_own(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let sent = as_shop(
        &app,
        SECRET,
        "/v1/otp/send",
        &json!({"phone_number": PHONE}),
    )
    .await;
    let id = sent.text("request_id");
    let code = world.code(PHONE);
    let verify = json!({"request_id": id, "code": code});
    let gone = (400, "otp_request_expired".to_owned());

    assert_eq!(
        app.post("/v1/otp/verify", &verify).await.problem(),
        gone,
        "without its secret"
    );
    let as_web = json!({"request_id": id, "code": code, "client_id": "web"});
    assert_eq!(
        app.post("/v1/otp/verify", &as_web).await.problem(),
        gone,
        "as another client"
    );
    world.clock.advance(30);
    assert_eq!(
        app.resend(&id).await.problem(),
        gone,
        "resend without its secret"
    );
    assert_eq!(
        app.report(&id).await.json()["attempts_remaining"],
        5,
        "no try was counted"
    );

    let answer = as_shop(&app, SECRET, "/v1/otp/verify", &verify).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        answer.json()["expires_in"],
        120,
        "the client's own lifetime"
    );
}

/// The tutorial's calls too: a code that was paid for can be used.
#[sqlx::test]
async fn a_confidential_client_may_make_the_tutorials_calls(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let phone = json!({"phone_number": PHONE});
    let wrong_secret = as_shop(&app, "wrong", "/auth/send-otp/", &phone).await;
    assert_eq!(wrong_secret.status, 401);
    assert!(
        wrong_secret
            .header("www-authenticate")
            .starts_with("Basic ")
    );
    let sent = as_shop(&app, SECRET, "/auth/send-otp/", &phone).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    let cookie = sent.header("set-cookie");
    let cookie = cookie.split(';').next().unwrap();
    let verify = || {
        app.request(Method::POST, "/auth/verify-otp/")
            .header("cookie", cookie)
            .json(&json!({"code": world.code(PHONE)}))
    };

    assert_eq!(Answer::of(verify()).await.status, 400, "without its secret");
    let answer = Answer::of(verify().basic_auth("shop", Some(SECRET))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// security.md 18: an authenticated backend tells whom it acts for.
#[sqlx::test]
async fn a_backends_users_are_limited_by_their_own_addresses(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let limit = [("LIMITS__IP__SENDS_PER_MINUTE", "1")];
    let app = world.instance_with(&limit, CLIENTS).await;
    let mut statuses = Vec::new();
    for (number, address, path) in [
        (0, "192.0.2.1", "/v1/otp/send"),
        (1, "192.0.2.1", "/v1/otp/send"),
        (2, "192.0.2.2", "/v1/otp/send"),
        (3, "192.0.2.2", "/auth/send-otp/"),
        (4, "192.0.2.3", "/auth/send-otp/"),
    ] {
        let request = app
            .request(Method::POST, path)
            .basic_auth("shop", Some(SECRET))
            .header("x-forwarded-for", address)
            .json(&json!({"phone_number": format!("+91987654321{number}")}));
        statuses.push(Answer::of(request).await.status);
    }
    assert_eq!(statuses, [201, 429, 201, 429, 200]);
}

#[sqlx::test]
async fn only_registered_pages_may_read_answers(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], CLIENTS).await;
    let preflight = async |origin: &str| {
        let request = app
            .request(Method::OPTIONS, "/v1/otp/send")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "content-type,idempotency-key",
            );
        Answer::of(request).await
    };

    let allowed = preflight("https://web.example").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        "https://web.example"
    );
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    for origin in [
        "https://evil.example",
        "null",
        "https://web.example.evil.example",
    ] {
        let refused = preflight(origin).await;
        assert_eq!(
            refused.header("access-control-allow-origin"),
            "",
            "{origin}"
        );
    }
    let simple = app.request(Method::GET, "/.well-known/jwks.json");
    let simple = Answer::of(simple.header("origin", "https://web.example")).await;
    assert_eq!(
        simple.header("access-control-allow-origin"),
        "https://web.example"
    );
    assert!(
        simple
            .header("access-control-expose-headers")
            .contains("retry-after")
    );
}
