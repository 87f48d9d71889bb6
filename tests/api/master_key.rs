//! The master key is replaced while the service runs: at each step instances with the settings of before and
//! after it work side by side, and nobody who was logged in notices.

use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, OTHER_PHONE, PHONE, World};

/// Seconds in which all that is waited for is gone.
const DAY: i64 = 24 * 60 * 60;

/// One logs in, the other goes on, in every way there is.
async fn one_goes_on_where_the_other_was(world: &World, one: &Instance, other: &Instance) {
    let sent = one.sent(PHONE).await;
    let login = other.verify(&sent, &world.code(PHONE)).await;
    assert_eq!(login.status, 200, "a code: {}", login.body);
    assert!(one.lets_in(&login.text("access_token")).await);

    let used = login.text("refresh_token");
    let refreshed = one.refresh(&used).await;
    assert_eq!(refreshed.status, 200, "a session: {}", refreshed.body);
    let again = other.refresh(&used).await;
    assert_eq!(again.status, 200, "within the grace: {}", again.body);
    assert_eq!(again.text("refresh_token"), refreshed.text("refresh_token"));

    let body = json!({"phone_number": PHONE, "device_receipt": login.text("device_receipt")});
    let key = format!("rotation-{:032}", world.sms_count(PHONE));
    let first = one.post_once("/v1/otp/send", &key, &body).await;
    assert_eq!(first.status, 201, "a known device: {}", first.body);
    let sms = world.sms_count(PHONE);
    let repeated = other.post_once("/v1/otp/send", &key, &body).await;
    assert_eq!(repeated.body, first.body, "a kept reply");
    assert_eq!(world.sms_count(PHONE), sms);
    let resent = other.resend(&first.text("request_id")).await;
    assert_eq!(resent.status, 200, "a resend: {}", resent.body);

    let token = refreshed.text("access_token");
    let list = other.bearer(Method::GET, "/v1/sessions", &token).await;
    let list = list.json()["sessions"].to_string();
    assert!(
        list.contains("rotation-test"),
        "what a session shows: {list}"
    );
}

async fn step(world: &World, before: usize) {
    let old = world.at_step(before).await.named();
    let new = world.at_step(before + 1).await.named();
    for _ in 0..2 {
        one_goes_on_where_the_other_was(world, &old, &new).await;
        one_goes_on_where_the_other_was(world, &new, &old).await;
        // So that both have sealed what there is anew, if they do.
        world.clock.advance(61);
    }
}

impl Instance {
    /// The same, called by a device of this name.
    fn named(mut self) -> Self {
        let builder = reqwest::Client::builder().user_agent("rotation-test");
        self.http = builder.no_proxy().build().unwrap();
        self
    }
}

#[sqlx::test]
async fn the_new_key_is_among_the_others(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    step(&world, 0).await;
    let ids = world.text("SELECT count(*) FROM master_keys").await;
    assert_eq!(ids.as_deref(), Some("1"), "nothing is sealed with it");
}

#[sqlx::test]
async fn the_new_key_becomes_the_master_key(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    step(&world, 1).await;
}

#[sqlx::test]
async fn the_old_key_goes(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let before = world.beside();
    world.log_in(&before.at_step(1).await, OTHER_PHONE).await;
    drop(before);
    let new = world.at_step(2).await;
    world.clock.advance(DAY);
    world.resealed(&new).await;
    step(&world, 2).await;
}

/// Logs in before, and is the same person on the same device when all is over.
#[sqlx::test]
async fn nobody_is_logged_out_or_forgotten(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let before = world.beside();
    let app = before.at_step(0).await;
    let login = world.log_in(&app, PHONE).await;
    let jwks = app.get("/.well-known/jwks.json").await.body;
    let rule = json!({"kind": "phone", "value": OTHER_PHONE, "verdict": "block", "reason": "asked for it"});
    let rule = app.admin_post("/admin/v1/rules", &rule).await;
    assert_eq!(rule.status, 201, "{}", rule.body);
    let events = app.events("limit=100").await;
    drop(before);

    let second = world.beside();
    world.clock.advance(61);
    let app = second.at_step(2).await;
    world.clock.advance(DAY);
    world.resealed(&app).await;
    assert_eq!(app.get("/.well-known/jwks.json").await.body, jwks);
    drop(second);
    let app = world.at_step(3).await;

    for first in ["01", "02"] {
        let old = format!("{first}{}", world.key_id(0));
        assert_eq!(
            world.tables_with(&old).await,
            [""; 0],
            "only the old key opens it"
        );
    }
    assert_eq!(app.get("/.well-known/jwks.json").await.body, jwks);
    let refreshed = app.refresh(&login.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert_eq!(app.send(OTHER_PHONE).await.status, 403, "the rule holds");
    let body = json!({"phone_number": PHONE, "device_receipt": login.text("device_receipt")});
    let sent = app.post("/v1/otp/send", &body).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    let again = app
        .verify(&sent.text("request_id"), &world.code(PHONE))
        .await;
    assert_eq!(user(&app, &again).await, user(&app, &refreshed).await);
    let mut phones = events
        .iter()
        .filter_map(|event| event["phone_index"].as_str());
    let phone = phones.next_back().unwrap();
    let found = app.events(&format!("limit=100&phone_index={phone}")).await;
    let known = events.iter().filter(|event| found.contains(event)).count();
    assert!(known > 0, "his events of before");
    assert!(found.len() > known, "and of after");
}

async fn user(app: &Instance, login: &Answer) -> String {
    let token = login.text("access_token");
    let answer = app.bearer(Method::GET, "/v1/userinfo", &token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("sub")
}

#[sqlx::test]
async fn the_second_step_can_be_taken_back(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let first = world.beside();
    let before = world.log_in(&first.at_step(1).await, PHONE).await;
    drop(first);
    let second = world.beside();
    world.clock.advance(61);
    let app = second.at_step(2).await;
    let meanwhile = world.log_in(&app, OTHER_PHONE).await;
    world.clock.advance(DAY);
    world.resealed(&app).await;
    drop(second);

    let third = world.beside();
    world.clock.advance(61);
    let app = third.at_step(1).await;
    for login in [&before, &meanwhile] {
        let answer = app.refresh(&login.text("refresh_token")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    world.clock.advance(DAY);
    world.resealed(&app).await;
    drop(third);

    let app = world.at_step(0).await;
    world.log_in(&app, PHONE).await;
    let format = "SELECT count(*) FROM signing_keys WHERE get_byte(private_sealed, 0) <> 1";
    assert_eq!(
        world.text(format).await.as_deref(),
        Some("0"),
        "the version before reads it"
    );
}
