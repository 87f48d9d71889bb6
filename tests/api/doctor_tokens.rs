//! The tokens that `otp-auth doctor` shows to gateways.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use otp_auth::doctor::DoctorError;
use otp_auth::doctor::Level::{Fail, Ok as Good};
use otp_auth::doctor::gateway::Way;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::doorman::Doorman;
use crate::support::{CLIENTS, World};

#[sqlx::test]
async fn what_a_bad_token_claims_is_what_a_careless_gateway_would_believe(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let doorman = Doorman::start(|_| true).await;
    world
        .patient(&[])
        .behind(&doorman.url, Way::Jwks)
        .examine()
        .await;
    let tokens = doorman.tokens();
    let parts = |at: usize| {
        let part: Vec<&str> = tokens[at].split('.').collect();
        let json = |text: &str| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
        };
        (json(part[0]), json(part[1]), part[2].to_owned())
    };
    let [good, payload, signature, unsigned, symmetric] = [0, 3, 4, 5, 6].map(parts);

    // The payload of the one, with the signature of what was there.
    assert_ne!(payload.1["sub"], good.1["sub"]);
    assert_eq!(payload.0, good.0);
    assert_eq!(signature.0, good.0);
    assert_eq!(signature.1["sub"], good.1["sub"]);
    assert_eq!(signature.2.len(), good.2.len());
    assert_eq!(unsigned.0["alg"], "none");
    assert_eq!(unsigned.2, "");
    assert_eq!(symmetric.0["alg"], "HS256");
    assert_eq!(symmetric.0["kid"], good.0["kid"]);
    // The key as every PEM file has it: of 91 bytes, 26 say that a point on P-256 follows.
    let jwks: Value = serde_json::from_str(&app.jwks().await).unwrap();
    let number = |name: &str| {
        let text = jwks["keys"][0][name].as_str().unwrap();
        URL_SAFE_NO_PAD.decode(text).unwrap()
    };
    let mut der = STANDARD
        .decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE")
        .unwrap();
    der.extend([number("x"), number("y")].concat());
    let body = STANDARD.encode(der);
    let (first, second) = body.split_at(64);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n");
    let (signed, mac) = tokens[6].rsplit_once('.').unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, pem.as_bytes());
    let mac = URL_SAFE_NO_PAD.decode(mac).unwrap();
    hmac::verify(&key, signed.as_bytes(), &mac).unwrap();
}

#[sqlx::test]
async fn whoever_mints_leaves_a_trace_before_there_is_a_token(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let doorman = Doorman::start(|_| true).await;
    let patient = world.patient(&[]).behind(&doorman.url, Way::Jwks);
    patient.examine().await;

    let told = world.text(
        "SELECT concat_ws(' ', action, outcome, actor, user_id, session_id, detail ->> 'kid',
            detail ->> 'client', detail ->> 'by')
         FROM audit_events WHERE action LIKE 'doctor.%'",
    );

    let good = URL_SAFE_NO_PAD.decode(doorman.tokens()[0].split('.').nth(1).unwrap());
    let good: Value = serde_json::from_slice(&good.unwrap()).unwrap();
    let (sub, sid) = (good["sub"].as_str().unwrap(), good["sid"].as_str().unwrap());
    let kid = app.kids().await[0].clone();
    let event = format!("doctor.mint success admin {sub} {sid} {kid} web command");
    assert_eq!(told.await, Some(event));
    let calls = doorman.calls().len();
    let rename = sqlx::raw_sql("ALTER TABLE audit_events RENAME TO audit_events_away");
    rename.execute(&world.pool).await.unwrap();

    let found = patient.examine().await;

    found.says("gateway.tokens", Fail, "the audit log cannot be written");
    assert_eq!(doorman.calls().len(), calls);
}

#[sqlx::test]
async fn tokens_are_those_of_the_client_and_audience_that_are_asked_for(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    world.keys(&[]).await;
    let doorman = Doorman::start(|_| true).await;
    let file = std::env::temp_dir().join(format!("doctor-{}.toml", world.seconds()));
    std::fs::write(&file, CLIENTS).unwrap();
    let patient = |client, audience| {
        let patient = world.patient(&[]).behind(&doorman.url, Way::Jwks);
        patient.for_client(client, audience)
    };
    for (client, audience, told) in [
        (None, None, Ok("client shop for orders, billing, 60 s")),
        (Some("web"), None, Ok("client web for api, 60 s")),
        (None, Some("api"), Ok("client web for api, 60 s")),
        (
            Some("shop"),
            Some("billing"),
            Ok("client shop for billing, 60 s"),
        ),
        (
            Some("web"),
            Some("billing"),
            Err("no such client has the audience \"billing\""),
        ),
        (
            None,
            Some("nobody"),
            Err("no such client has the audience \"nobody\""),
        ),
        (Some("none"), None, Err("have no client \"none\"")),
    ] {
        match (
            patient(client, audience).try_examine(Some(&file)).await,
            told,
        ) {
            (Ok(found), Ok(told)) => found.says("gateway.tokens", Good, told),
            (Err(error @ DoctorError::Gateway(_)), Err(told)) => {
                assert!(error.to_string().contains(told), "{error}");
            }
            (found, _) => panic!("{client:?} {audience:?} {:?}", found.err()),
        }
    }
    std::fs::remove_file(file).unwrap();
}
