//! Spending warnings, as whoever watches the bill receives them.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::raw::{RawVendor, Request, Script};
use crate::support::{OTHER_PHONE, PHONE, World};

const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Standard Webhooks 1.0.0, section "Signature scheme".
fn is_signed(request: &Request) -> bool {
    let header = |name| request.header(name).unwrap();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let signature = header("webhook-signature").strip_prefix("v1,").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(SECRET).unwrap());
    let signed = format!("{id}.{timestamp}.{}", request.body);
    hmac::verify(
        &key,
        signed.as_bytes(),
        &STANDARD.decode(signature).unwrap(),
    )
    .is_ok()
}

#[sqlx::test]
async fn each_part_of_a_ceiling_is_posted_once_and_signed(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let watcher = RawVendor::start();
    watcher.script((0..3).map(|_| Script::reply("204 No Content", "")));
    let (url, secret) = (watcher.url(), format!("whsec_{SECRET}"));
    let settings = [
        ("ALERTS__WEBHOOK_URL", url.as_str()),
        ("ALERTS__WEBHOOK_SECRET", secret.as_str()),
        ("LIMITS__SPEND__MESSAGES_PER_DAY", "2"),
        ("LIMITS__SPEND__RESERVED_FOR_KNOWN_PERCENT", "0"),
    ];
    let app = world.instance_with(&settings, "").await;
    let second = world.instance_with(&settings, "").await;

    app.sent(PHONE).await;
    watcher.called(1).await;
    second.sent(OTHER_PHONE).await;
    watcher.called(3).await;

    let mut told: Vec<String> = Vec::new();
    for call in watcher.calls() {
        assert!(is_signed(&call), "{}", call.head);
        let body: Value = serde_json::from_str(&call.body).unwrap();
        assert_eq!(body["type"], "spend.warning");
        let data = &body["data"];
        told.push(format!(
            "{} {} {}",
            data["scope"], data["period"], data["percent"]
        ));
    }
    told.sort_unstable();
    let expected = [
        r#""service" "day" 100"#,
        r#""service" "day" 50"#,
        r#""service" "day" 80"#,
    ];
    assert_eq!(told, expected);
}

/// Numbers all over the country spend its budget of unused codes, and then no new user can log in: that
/// must not happen unseen.
#[sqlx::test]
async fn a_countrys_spent_budget_is_posted_once(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::at_midnight(connect).await;
    let watcher = RawVendor::start();
    // Whatever it points to, a redirect is no delivery: it is tried again.
    watcher.script([
        Script::reply("302 Found", ""),
        Script::reply("204 No Content", ""),
    ]);
    let (url, secret) = (watcher.url(), format!("whsec_{SECRET}"));
    let settings = [
        ("ALERTS__WEBHOOK_URL", url.as_str()),
        ("ALERTS__WEBHOOK_SECRET", secret.as_str()),
        ("LIMITS__PUMPING__MODE", "enforce"),
        ("LIMITS__PUMPING__LEAST_PER_DAY", "2"),
        ("LIMITS__PUMPING__LEAST_PER_HOUR", "2"),
        ("LIMITS__PUMPING__EXPECTED_LOGINS_PER_DAY", "1"),
    ];
    let app = world.instance_with(&settings, "").await;
    let known = "+919876500000";
    let request = app.sent(known).await;
    let code = world.code(known);
    assert_eq!(app.verify(&request, &code).await.status, 200);
    for block in 1..3 {
        app.sent(&format!("+9198765{block}0000")).await;
    }
    world.clock.advance(60);

    for block in 3..6 {
        let refused = app.send(&format!("+9198765{block}0000")).await;
        assert_eq!(refused.text("limit"), "service", "{}", refused.body);
    }

    assert_eq!(app.send(known).await.status, 201, "a known number");
    watcher.called(2).await;
    for call in watcher.calls() {
        let body: Value = serde_json::from_str(&call.body).unwrap();
        assert_eq!(body["data"]["scope"], "country:IN");
        assert_eq!(body["data"]["period"], "day");
        assert_eq!(body["data"]["percent"], 100);
    }
    let warned = app.events("action=spend.warning").await;
    assert_eq!(warned.len(), 1, "{warned:?}");
}
