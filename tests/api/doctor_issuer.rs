//! What `otp-auth doctor` says of keys and metadata as others see them.

use std::time::Duration;

use otp_auth::doctor::Level::{Fail, Ok as Good, Skip, Warn};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::net::TcpListener;

use crate::support::World;
use crate::support::raw::{RawVendor, Script};

const CHECKS: [&str; 6] = [
    "issuer.metadata",
    "issuer.jwks",
    "issuer.caching",
    "issuer.clock",
    "issuer.admin_paths",
    "keys.next",
];

#[sqlx::test]
async fn what_a_service_shows_is_good(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let found = world.patient(&[]).served_by(&app).examine().await;

    for name in CHECKS {
        found.says(name, Good, "");
    }
    let kid = app.kids().await[0].clone();
    found.says(
        "issuer.jwks",
        Good,
        &format!("the one that signs is there: {kid}"),
    );
    found.says("service.ready", Good, "/readyz answers 200");
    let ahead = world.patient(&[]).served_by(&app).ahead(60).examine().await;
    ahead.says("issuer.clock", Fail, "the issuer's clock is ");
}

#[sqlx::test]
async fn another_issuer_or_another_deployments_keys_fail(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    // One letter's difference is one for every verifier.
    let patient = world.patient(&[("SERVER__ISSUER", "http://127.0.0.1:8080/a")]);
    let found = patient.served_by(&app).examine().await;
    let both = "issuer is \"http://127.0.0.1:8080\", and server.issuer \"http://127.0.0.1:8080/a\"";
    found.says("issuer.metadata", Fail, both);

    let keeper = world.keeper(&[]).await;
    let by = crate::support::keys::SOMEBODY;
    // The service has not looked again when the doctor does, or it has: a key that signs must be there.
    let old = app.jwks().await;
    let signs = keeper.rotate(true, by).await.unwrap().kid;
    let cached = RawVendor::start();
    let cache = "200 OK\r\ncache-control: max-age=31536000";
    cached.script(std::iter::repeat_with(|| Script::reply(cache, &old)).take(20));

    let found = world.patient(&[]).seen_at(&cached.url()).examine().await;

    let missing = format!("the key that signs is not there: {signs}");
    found.says("issuer.jwks", Fail, &missing);
    found.says("issuer.caching", Fail, "max-age=31536000");
    found.says("issuer.metadata", Fail, "issuer is \"\"");
}

#[sqlx::test]
async fn a_private_key_that_is_published_fails(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let leaking =
        app.jwks()
            .await
            .replacen('{', r#"{"d":"AA","#, 2)
            .replacen(r#""d":"AA","#, "", 1);
    let stand_in = RawVendor::start();
    stand_in.script(std::iter::repeat_with(|| Script::reply("200 OK", &leaking)).take(20));

    let found = world.patient(&[]).seen_at(&stand_in.url()).examine().await;

    found.says("issuer.jwks", Fail, "a private or symmetric key is in it");
}

#[sqlx::test]
async fn the_admin_listener_is_known_by_its_paths(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let found = world.patient(&[]).seen_at(&app.admin).examine().await;

    let all = "/admin/v1/switches 401, /admin/v1/audit 401, /metrics 200, /readyz 200, /livez 200";
    found.says("issuer.admin_paths", Fail, all);
    found.says("issuer.metadata", Fail, "it answers 404");
    found.says("issuer.jwks", Fail, "it answers 404");
    found.says("issuer.caching", Skip, "needs the keys");
}

/// A gateway in front may answer all paths that it does not know alike.
#[sqlx::test]
async fn a_gateway_that_refuses_every_path_serves_none(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let walled = RawVendor::start();
    walled.script(std::iter::repeat_with(|| Script::reply("403 X", "")).take(20));

    let found = world.patient(&[]).seen_at(&walled.url()).examine().await;

    found.says("issuer.admin_paths", Good, "none is served");
    found.says("issuer.metadata", Fail, "it answers 403");
}

#[sqlx::test]
async fn an_issuer_that_does_not_answer_stops_no_other_check(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    for (url, part) in [
        ("http://127.0.0.1:9", "nobody listens there"),
        ("http://issuer.invalid", "the name has no address"),
        (&silent_url, ""),
    ] {
        let patient = world.patient(&[]).seen_at(url);
        let found = patient.patience(Duration::from_secs(2)).examine().await;
        found.says("issuer.metadata", Fail, part);
        found.says("issuer.jwks", Fail, part);
        found.says("issuer.clock", Skip, "needs the issuer");
        found.says("vendor.key", Good, "");
    }
}

#[sqlx::test]
async fn keys_that_nobody_looks_after_are_late(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let none = world.patient(&[]).examine().await;
    none.says("keys.next", Fail, "there is no key");
    // Made, and then left alone.
    world.keys(&[]).await;
    world
        .patient(&[])
        .examine()
        .await
        .says("keys.next", Good, "it is made at ");

    let month_later = world.patient(&[]).ahead(30 * 86_400).examine().await;

    month_later.says("keys.next", Warn, "no replica looks after the keys");
}
