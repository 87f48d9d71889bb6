//! What `otp-auth doctor` says of whoever texts, without one SMS.

use std::time::Duration;

use otp_auth::doctor::Level::{self, Fail, Ok as Good, Skip, Warn};
use otp_auth::sandbox::{ApiKeyRule, Mode};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::net::TcpListener;

use crate::support::raw::{RawVendor, Script};
use crate::support::{API_KEY, GATEWAY_SECRET, World};

/// What every question gets, and what is said then of the vendor and of the key.
type Row = (fn() -> Script, Level, &'static str, Level, &'static str);

const VENDOR: (&str, &str) = ("STARTMESSAGING__CODE_OWNER", "vendor");

#[sqlx::test]
async fn who_makes_the_codes_must_be_who_the_settings_say(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    for (mode, settings, level, part) in [
        (Mode::Service, &[][..], Good, "it only delivers codes"),
        (Mode::Vendor, &[VENDOR], Good, "it checks codes"),
        (Mode::Service, &[VENDOR], Fail, "code_owner = \"service\""),
        (Mode::Vendor, &[], Warn, "it can check codes itself"),
    ] {
        world.sandbox.speak(mode);

        let found = world.patient(settings).examine().await;

        found.says("vendor.mode", level, part);
        found.says("vendor.reach", Good, "answers");
        found.says("vendor.key", Good, "it is taken");
        found.says("vendor.clock", Good, "the vendor's clock");
    }
    let requests = world.sandbox.requests();
    assert_eq!(
        (requests.send, requests.verify, requests.message),
        (0, 4, 4)
    );
    assert_eq!(world.sandbox.messages().len(), 0);
}

#[sqlx::test]
async fn a_key_that_is_refused_is_named_and_not_shown(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::with_sandbox(connect, |sandbox| sandbox.api_key = ApiKeyRule::Live).await;
    let patient = world.patient(&[("STARTMESSAGING__API_KEY", "another-word")]);

    let found = patient.examine().await;

    found.says("vendor.key", Fail, "it is refused (401)");
    found.says("vendor.mode", Good, "");
    assert!(!found.0.text().contains("another-word"));
    assert_eq!(world.sandbox.messages().len(), 0);
}

/// Every answer twice: the two questions are asked at the same time.
async fn answered(world: &World, answer: fn() -> Script) -> (Level, String, Level, String) {
    let vendor = RawVendor::start();
    vendor.script([answer(), answer()]);
    let patient = world.patient(&[("STARTMESSAGING__BASE_URL", &vendor.url())]);
    let found = patient.patience(Duration::from_secs(5)).examine().await;
    for call in vendor.calls() {
        let (line, _) = call.head.split_once("\r\n").unwrap();
        let is_free = line.starts_with("GET /messages/") || line == "POST /otp/verify HTTP/1.1";
        assert!(is_free, "{line}");
        assert_eq!(call.header("x-api-key").is_some(), line.starts_with("GET"));
        assert!(["", "{}"].contains(&call.body.as_str()), "{}", call.body);
    }
    let text = found.0.text();
    assert!(
        !text.contains(API_KEY) && !text.contains('\u{1b}'),
        "{text}"
    );
    let told = |name| {
        let found = found.finding(name);
        let advice = found.advice.as_deref().unwrap_or_default();
        (found.level, format!("{} -> {advice}", found.seen))
    };
    let ((reach, seen_reach), (key, seen_key)) = (told("vendor.reach"), told("vendor.key"));
    (reach, seen_reach, key, seen_key)
}

fn refused(status: &str, message: &str) -> Script {
    let body =
        format!(r#"{{"success":false,"error":{{"code":"UNAUTHORIZED","message":"{message}"}}}}"#);
    Script::reply(status, &body)
}

#[sqlx::test]
async fn every_answer_of_a_vendor_says_what_to_do(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let rows: [Row; 9] = [
        (
            || refused("401 X", "Account is suspended"),
            Good,
            "answers",
            Fail,
            "the account is suspended (401)",
        ),
        (
            || refused("401 X", "Authentication required"),
            Good,
            "answers",
            Fail,
            "not taken from this machine's address (401)",
        ),
        (
            || refused("403 X", "KYC approval pending"),
            Good,
            "answers",
            Fail,
            "may not send yet (403)",
        ),
        (
            || refused("402 X", "\\u001b[2J"),
            Good,
            "answers",
            Fail,
            "no money left (402)",
        ),
        (
            || Script::reply("404 X", "<html>\u{1b}[2J"),
            Good,
            "answers",
            Warn,
            "wrong startmessaging.base_url",
        ),
        (
            || Script::reply("429 X", ""),
            Warn,
            "too many calls",
            Warn,
            "too many calls",
        ),
        (
            || Script::reply("502 X", "<html>"),
            Warn,
            "answers 502",
            Warn,
            "does not tell (502)",
        ),
        (
            || Script::reply("302 X\r\nlocation: http://127.0.0.1:9/", ""),
            Fail,
            "answers 302",
            Warn,
            "does not tell (302)",
        ),
        (|| Script::Reset, Fail, "", Skip, "needs the vendor"),
    ];
    for (answer, reach, seen_reach, key, seen_key) in rows {
        let found = answered(&world, answer).await;
        assert_eq!((found.0, found.2), (reach, key), "{found:?}");
        assert!(found.1.contains(seen_reach), "{found:?}");
        assert!(found.3.contains(seen_key), "{found:?}");
    }
}

#[sqlx::test]
async fn a_vendor_that_cannot_be_reached_stops_no_other_check(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    for (url, part) in [
        ("http://127.0.0.1:9", "nobody listens there"),
        ("http://vendor.invalid", "the name has no address"),
        (&silent_url, "did not end within 2000 ms"),
    ] {
        let patient = world.patient(&[("STARTMESSAGING__BASE_URL", url)]);

        let found = patient.patience(Duration::from_secs(2)).examine().await;

        found.says("vendor.reach", Fail, part);
        found.says("vendor.mode", Skip, "needs the vendor");
        found.says("vendor.clock", Skip, "needs the vendor");
        assert_ne!(found.finding("vendor.key").level, Good);
        found.says("database.writable", Good, "");
    }
}

#[sqlx::test]
async fn a_gateway_of_ones_own_is_only_looked_for(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let vendor = RawVendor::start();
    vendor.script([Script::reply("401 X", "")]);
    let settings = |url: &str| {
        world.patient(&[
            ("PROVIDER__KIND", "webhook"),
            ("WEBHOOK__URL", url),
            ("WEBHOOK__SECRET", GATEWAY_SECRET),
        ])
    };

    let found = settings(&vendor.url()).examine().await;

    found.says("vendor.reach", Good, "answers");
    for name in ["vendor.mode", "vendor.key", "vendor.clock"] {
        found.says(name, Skip, "a gateway of your own");
    }
    let calls = vendor.calls();
    let [call] = calls.as_slice() else {
        panic!("{} calls", calls.len());
    };
    assert!(call.head.starts_with("HEAD / "), "{}", call.head);
    assert_eq!(call.header("webhook-signature"), None);
    let away = settings("http://127.0.0.1:9/sms").examine().await;
    away.says("vendor.reach", Fail, "nobody listens there");
}
