//! What `otp-auth doctor` says as a whole.

use otp_auth::doctor::Level::{self, Fail, Ok as Good, Skip, Warn};
use otp_auth::doctor::gateway::Way;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{ADMIN_TOKEN, API_KEY, MASTER_KEY, World};

#[sqlx::test]
async fn settings_that_cannot_be_read_leave_what_needs_none(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let faulty = [("OTP__TTL_SECONDS", "601"), ("OTP__CODE_LENGTH", "5")];
    let patient = world
        .patient(&faulty)
        .behind("http://127.0.0.1:9/", Way::Jwks);

    let found = patient.served_by(&app).examine().await;

    let faults = found.0.findings.iter();
    let faults: Vec<_> = faults
        .filter(|found| found.name == "configuration")
        .map(|found| (found.level, found.seen.split(' ').next().unwrap()))
        .collect();
    assert_eq!(
        faults,
        [(Fail, "otp.code_length"), (Fail, "otp.ttl_seconds")]
    );
    found.says("issuer.metadata", Good, "issuer \"http://127.0.0.1:8080\"");
    found.says("issuer.jwks", Good, "the database could not be asked");
    found.says("issuer.admin_paths", Good, "none");
    for name in [
        "database.reach",
        "vendor.reach",
        "service.ready",
        "gateway.tokens",
    ] {
        found.says(name, Skip, "needs the configuration");
    }
    let alone = world.patient(&faulty).examine().await;
    alone.says("issuer.jwks", Skip, "needs the configuration");
    assert_eq!(alone.names(Good), Vec::<&str>::new());
}

#[sqlx::test]
async fn what_production_would_refuse_is_a_warning(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;

    let found = world.patient(&[]).examine().await;

    found.says("configuration", Good, "as development");
    let refused = "production would refuse: ";
    found.says("configuration.production", Warn, refused);
    found.says("configuration.production", Warn, "server.issuer");
    found.says(
        "configuration.production",
        Warn,
        "limits.spend.messages_per_day",
    );
}

#[sqlx::test]
async fn text_and_json_say_the_same_and_no_secret(_: PgPoolOptions, connect: PgConnectOptions) {
    let password = "s3cret-word";
    let world = World::new(connect).await;
    let app = world.instance().await;
    for patient in [
        world.patient(&[]).served_by(&app),
        world.patient(&[("OTP__TTL_SECONDS", "601")]),
        world
            .patient(&[])
            .on(&format!("postgres://me:{password}@127.0.0.1:9/x")),
        world.patient(&[("SECRETS__MASTER_KEY", "c2hvcnQ=")]),
        world.patient(&[]).served_by(&app).behind(
            "http://127.0.0.1:9/orders?key=s3cret-word",
            Way::ForwardAuth,
        ),
    ] {
        let found = patient.examine().await;

        let (text, json) = (found.0.text(), found.0.json());
        for secret in [
            MASTER_KEY,
            API_KEY,
            ADMIN_TOKEN,
            password,
            "c2hvcnQ=",
            "eyJ",
        ] {
            assert!(!text.contains(secret), "{secret}\n{text}");
            assert!(!json.contains(secret), "{secret}\n{json}");
        }
        let json: Value = serde_json::from_str(&json).unwrap();
        let checks = json["checks"].as_array().unwrap();
        assert_eq!(checks.len(), text.lines().count());
        for (check, line) in checks.iter().zip(text.lines()) {
            let word = line.split(' ').next().unwrap().to_lowercase();
            assert_eq!(check["level"], word, "{line}");
            for member in ["name", "seen", "advice"] {
                let said = check[member].as_str().unwrap_or_default();
                assert!(line.contains(said), "{said} in {line}");
            }
        }
        let count = |level: Level| found.names(level).len();
        assert_eq!(json["ok"], count(Good));
        assert_eq!(json["warn"], count(Warn));
        assert_eq!(json["fail"], count(Fail));
        assert_eq!(json["skip"], count(Skip));
        assert_eq!(found.0.is_good(), count(Fail) == 0);
        assert_eq!(json["level"] == "fail", !found.0.is_good());
    }
}
