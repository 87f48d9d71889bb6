//! Numbers with a fixed code, among them such as nobody can have.

use chrono::TimeDelta;
use otp_auth::clock::Clock as _;
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, World};

/// Kept for fiction by the North American Numbering Plan.
const FICTION: &str = "+12025550100";
/// No Indian national number begins with 0.
const NOBODYS: &str = "+910000000001";

fn entry(phone: &str, more: &str) -> String {
    format!("[[test_numbers]]\nphone_number = '{phone}'\ncode = '708213'\n{more}\n")
}

fn client(id: &str) -> String {
    format!("[[clients]]\nid = '{id}'\naudience = 'api'\n")
}

async fn send_for(app: &Instance, client: &str, phone: &str) -> Answer {
    let body = json!({"phone_number": phone, "client_id": client});
    app.post("/v1/otp/send", &body).await
}

fn not_allowed() -> (u16, String) {
    (403, "phone_number_not_allowed".to_owned())
}

#[sqlx::test]
async fn numbers_that_nobody_can_have_sign_in_and_cost_no_sms(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let numbers = entry(FICTION, "") + &entry(NOBODYS, "");
    let app = world.instance_with(&[], &numbers).await;

    for (typed, masked) in [
        (FICTION, "+1******0100"),
        ("+91 00000 00001", "+91******0001"),
    ] {
        let sent = app.send(typed).await;
        assert_eq!(sent.status, 201, "{typed}: {}", sent.body);
        assert_eq!(sent.text("phone_number"), masked);
        let verified = app.verify(&sent.text("request_id"), "708213").await;
        assert_eq!(verified.status, 200, "{typed}: {}", verified.body);
    }
    assert_eq!(world.sandbox.requests().send, 0);
}

#[sqlx::test]
async fn the_tutorials_calls_take_an_indian_number_that_nobody_can_have(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[], &entry(NOBODYS, "")).await;

    let sent = app
        .post("/auth/send-otp/", &json!({"phone_number": NOBODYS}))
        .await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    let cookie = sent.header("set-cookie");
    let cookie = cookie.split(';').next().unwrap();
    let request = app.request(Method::POST, "/auth/verify-otp/");
    let request = request.header("cookie", cookie);
    let verified = Answer::of(request.json(&json!({"code": "708213"}))).await;

    assert_eq!(verified.status, 200, "{}", verified.body);
    assert_eq!(world.sandbox.requests().send, 0);
}

/// Only those that are listed: their neighbours are numbers like any other.
#[sqlx::test]
async fn what_lies_beside_a_test_number_is_refused(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let numbers = entry(FICTION, "") + &entry(NOBODYS, "");
    let app = world.instance_with(&[], &numbers).await;

    let foreign = app.send("+12025550101").await;
    assert_eq!(foreign.problem(), not_allowed());
    let invalid = (400, "invalid_phone_number".to_owned());
    for typed in ["+910000000002", "0000000001", "+9100000000010"] {
        assert_eq!(app.send(typed).await.problem(), invalid, "{typed}");
    }
}

#[sqlx::test]
async fn a_number_that_nobody_can_have_is_refused_when_its_time_is_over(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let until = world.clock.now() + TimeDelta::hours(1);
    let until = format!("valid_until = '{}'", until.to_rfc3339());
    let numbers = entry(FICTION, &until) + &entry(NOBODYS, &until);
    let app = world.instance_with(&[], &numbers).await;
    assert_eq!(app.send(FICTION).await.status, 201);
    let late = app.send(NOBODYS).await.text("request_id");

    world.clock.advance(3600);

    for phone in [FICTION, NOBODYS] {
        assert_eq!(app.send(phone).await.problem(), not_allowed(), "{phone}");
    }
    assert_ne!(app.verify(&late, "708213").await.status, 200);
    assert_eq!(world.sandbox.requests().send, 0);
}

#[sqlx::test]
async fn a_number_that_one_can_have_is_texted_when_its_time_is_over(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let until = world.clock.now() + TimeDelta::hours(1);
    let until = format!("valid_until = '{}'", until.to_rfc3339());
    let phone = "+919876543210";
    let app = world.instance_with(&[], &entry(phone, &until)).await;
    world.clock.advance(3600);

    let id = app.sent(phone).await;

    assert_eq!(world.sms_count(phone), 1);
    let code = world.code(phone);
    assert_eq!(app.verify(&id, &code).await.status, 200);
}

#[sqlx::test]
async fn a_test_number_is_one_only_for_the_clients_it_names(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let phone = "+919876543210";
    let for_web = "clients = ['web']";
    let settings =
        client("web") + &client("shop") + &entry(FICTION, for_web) + &entry(phone, for_web);
    let app = world.instance_with(&[], &settings).await;

    assert_eq!(send_for(&app, "web", FICTION).await.status, 201);
    let refused = send_for(&app, "shop", FICTION).await;
    assert_eq!(refused.problem(), not_allowed());
    assert_eq!(send_for(&app, "web", phone).await.status, 201);
    assert_eq!(world.sms_count(phone), 0);
    world.clock.advance(60);
    let sent = send_for(&app, "shop", phone).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    assert_eq!(world.sms_count(phone), 1);
}
