//! What holds for every answer, whoever made it: the framework's own answers are ours too.

use reqwest::Method;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, PHONE, World};

#[sqlx::test]
async fn what_the_framework_refuses_is_a_problem_too(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let nowhere = app.get("/v1/nowhere").await;
    assert_eq!(nowhere.problem(), (404, "not_found".to_owned()));

    for path in [
        "/v1/otp/send",
        "/v1/otp/resend",
        "/v1/otp/verify",
        "/.well-known/jwks.json",
    ] {
        let answer = Answer::of(app.request(Method::DELETE, path)).await;
        assert_eq!(
            answer.problem(),
            (405, "method_not_allowed".to_owned()),
            "{path}"
        );
        let allow = if path.ends_with("json") {
            "GET, HEAD"
        } else {
            "POST"
        };
        assert_eq!(answer.header("allow"), allow, "{path}");
    }

    let long = format!(
        r#"{{"phone_number":"{PHONE}","pad":"{}"}}"#,
        "x".repeat(16 * 1024)
    );
    let request = app.request(Method::POST, "/v1/otp/send").body(long);
    let answer = Answer::of(request.header("content-type", "application/json")).await;
    assert_eq!(answer.problem(), (413, "payload_too_large".to_owned()));

    let request = app
        .request(Method::POST, "/v1/otp/send")
        .body("phone_number=1");
    let form = request.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(
        Answer::of(form).await.problem(),
        (415, "unsupported_media_type".to_owned())
    );

    let request = app
        .request(Method::POST, "/v1/otp/send")
        .body("{\"phone_number\":");
    let broken = Answer::of(request.header("content-type", "application/json")).await;
    assert_eq!(broken.problem(), (400, "invalid_request".to_owned()));
}

#[sqlx::test]
async fn a_sound_inbound_request_id_is_kept_and_any_other_replaced(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let longest = "a".repeat(64);
    let too_long = "a".repeat(65);

    for (inbound, kept) in [
        ("abc-1.2_Z", true),
        (longest.as_str(), true),
        (too_long.as_str(), false),
        ("", false),
        ("a b", false),
        ("a;b", false),
    ] {
        let request = app
            .request(Method::GET, "/v1/nowhere")
            .header("x-request-id", inbound);
        let answer = Answer::of(request).await;
        let id = answer.header("x-request-id");
        assert_eq!(id == inbound, kept, "{inbound:?} became {id:?}");
        assert!((1..=64).contains(&id.len()));
    }
}

/// security.md 44: only public documents may be cached.
#[sqlx::test]
async fn only_public_documents_may_be_cached(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;

    assert_eq!(app.send(PHONE).await.header("cache-control"), "no-store");
    assert_eq!(app.report(&id).await.header("cache-control"), "no-store");
    let verified = app.verify(&id, &world.code(PHONE)).await;
    assert_eq!(
        (verified.status, verified.header("cache-control").as_str()),
        (200, "no-store")
    );
    let keys = app.get("/.well-known/jwks.json").await;
    assert_eq!(
        keys.header("cache-control"),
        "public, max-age=300, stale-while-revalidate=60"
    );
}

#[sqlx::test]
async fn every_problem_type_is_a_page(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    for code in otp_auth::http::codes::Code::ALL {
        let page = app.get(&format!("/problems/{}", code.name())).await;
        assert_eq!(page.status, 200, "{}", code.name());
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.body.contains(code.title()));
    }
    let none = app.get("/problems/no_such_code").await;
    assert_eq!(none.problem(), (404, "not_found".to_owned()));
}

#[sqlx::test]
async fn what_can_be_read_can_be_asked_about(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;

    for url in [
        format!("{}/.well-known/jwks.json", app.base),
        format!("{}/problems/not_found", app.base),
        format!("{}/v1/otp/{id}", app.base),
        format!("{}/livez", app.admin),
        format!("{}/readyz", app.admin),
    ] {
        let get = Answer::of(app.http.get(&url)).await;
        let head = Answer::of(app.http.head(&url)).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{url}");
        for name in ["content-type", "content-length", "cache-control", "etag"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {url}");
        }
    }
}

/// The limit is what the contract says, to the byte.
#[sqlx::test]
async fn a_body_of_16_kib_is_read_and_one_byte_more_is_not(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    for (length, status) in [(16_383, 201), (16_384, 201), (16_385, 413)] {
        let empty = format!(r#"{{"phone_number":"{PHONE}","pad":""}}"#);
        let pad = "x".repeat(length - empty.len());
        let body = empty.replace(r#""pad":"""#, &format!(r#""pad":"{pad}""#));
        let request = app.request(Method::POST, "/v1/otp/send").body(body);
        let answer = Answer::of(request.header("content-type", "application/json")).await;
        assert_eq!(answer.status, status, "{length} bytes: {}", answer.body);
        world.clock.advance(60);
    }
}

#[sqlx::test]
async fn the_admin_listener_and_the_public_one_serve_nothing_of_each_other(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    for path in ["/livez", "/readyz", "/metrics", "/admin/v1/audit"] {
        assert_eq!(
            app.get(path).await.status,
            404,
            "{path} on the public listener"
        );
    }
    let send = app.http.post(format!("{}/v1/otp/send", app.admin));
    assert_eq!(Answer::of(send).await.status, 404);
}
