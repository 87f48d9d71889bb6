//! What `otp-auth doctor` says of gateways: of one that is right, and of each that is wrong in one way.

use std::sync::Arc;
use std::time::Duration;

use otp_auth::clock::{Clock as _, SystemClock};
use otp_auth::doctor::Level::{Fail, Ok as Good, Skip};
use otp_auth::doctor::gateway::Way;
use otp_auth::verifier::{self, Expected, KeySet, Refused};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::net::TcpListener;

use crate::support::doorman::{Doorman, bearer};
use crate::support::raw::Request;
use crate::support::{Instance, World};

/// The cells that must be refused, in the order of the calls.
const REFUSED: [&str; 10] = [
    "gateway.no_token",
    "gateway.spoofed_subject",
    "gateway.expired",
    "gateway.wrong_audience",
    "gateway.tampered_payload",
    "gateway.tampered_signature",
    "gateway.alg_none",
    "gateway.public_key_as_secret",
    "gateway.unknown_key",
    "gateway.wrong_type",
];

/// How a gateway decides.
type Judge = fn(&Verifier, &Request) -> bool;
/// What a careless one lets pass.
type Pardon = fn(&Refused) -> bool;

/// What a verifier has, for one audience.
struct Verifier {
    keys: KeySet,
    expected: Expected,
}

impl Verifier {
    async fn of(app: &Instance, audience: &str) -> Arc<Self> {
        let issuer = "http://127.0.0.1:8080";
        let leeway = Duration::from_mins(1);
        Arc::new(Self {
            keys: KeySet::parse(app.jwks().await.as_bytes()).unwrap(),
            expected: Expected::new(issuer, [audience], leeway).unwrap(),
        })
    }

    fn check(&self, token: &str) -> Result<verifier::Claims, Refused> {
        let now = SystemClock::default().now();
        verifier::verify(token, &self.keys, &self.expected, now)
    }
}

#[sqlx::test]
async fn a_gateway_that_is_right_has_every_cell_right(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let verifier = Verifier::of(&app, "api").await;
    let judge = Arc::clone(&verifier);
    let doorman =
        Doorman::start(move |call| bearer(call).is_some_and(|token| judge.check(token).is_ok()));
    let doorman = doorman.await;

    let found = world
        .patient(&[])
        .behind(&doorman.url, Way::Jwks)
        .examine()
        .await;

    found.says("gateway.good", Good, "/orders: 200, let in");
    for name in REFUSED {
        found.says(name, Good, "/orders: 401, refused");
    }
    found.says("gateway.revoked", Skip, "until it ends");
    // Each token was refused for its one flaw and no other.
    let tokens = doorman.tokens();
    let refusals: Vec<_> = tokens.iter().map(|token| verifier.check(token)).collect();
    assert_eq!(refusals.len(), 9);
    let mut refusals = refusals.into_iter();
    let claims = refusals.next().unwrap().unwrap();
    let refusals: Vec<Refused> = refusals.map(Result::unwrap_err).collect();
    assert_eq!(refusals[0], Refused::Expired);
    assert_eq!(refusals[1], Refused::Audience);
    assert_eq!(refusals[2], Refused::Signature);
    assert_eq!(refusals[3], Refused::Signature);
    assert_eq!(refusals[4], Refused::Algorithm);
    assert_eq!(refusals[5], Refused::Algorithm);
    assert!(matches!(refusals[6], Refused::UnknownKey { .. }));
    assert_eq!(refusals[7], Refused::Type);
    // It names nobody, and ends soon.
    let life = claims.expires_at() - claims.issued_at();
    assert_eq!(life, chrono::TimeDelta::seconds(60));
    let told = format!(
        "user {} and session {} are made up",
        claims.subject(),
        claims.session_id()
    );
    found.says("gateway.tokens", Good, &told);
    found.says("gateway.tokens", Good, "they name nobody");
}

#[sqlx::test]
async fn a_gateway_that_asks_the_hook_has_every_cell_right(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    for hook in ["/v1/authorize", "/v1/authorize?audience=api"] {
        let doorman = Doorman::asking(format!("{}{hook}", app.base)).await;
        let patient = world.patient(&[]).behind(&doorman.url, Way::ForwardAuth);

        let found = patient.examine().await;

        found.says("gateway.good", Good, "/orders: 200, let in");
        for name in REFUSED {
            found.says(name, Good, "/orders: 401, refused");
        }
    }
}

#[sqlx::test]
async fn a_gateway_that_lets_everybody_in_fails_every_cell_but_one(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    world.keys(&[]).await;
    let open = Doorman::start(|_| true).await;

    let found = world
        .patient(&[])
        .behind(&open.url, Way::Jwks)
        .examine()
        .await;

    found.says("gateway.good", Good, "200, let in");
    for name in REFUSED {
        found.says(name, Fail, "200, let in");
    }
    let subject = open.calls()[2].clone();
    assert!(subject.header("x-auth-subject").is_some());
    assert_eq!(bearer(&subject), None);
}

#[sqlx::test]
async fn a_gateway_is_told_what_it_is_careless_about(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let verifier = Verifier::of(&app, "api").await;
    let but = |verifier: &Verifier, call: &Request, pardoned: Pardon| {
        bearer(call).is_some_and(|token| match verifier.check(token) {
            Ok(_) => true,
            Err(refused) => pardoned(&refused),
        })
    };
    let rows: [(Judge, &[&str]); 4] = [
        (|_, _| false, &["gateway.good"]),
        (
            |_, call| call.header("x-auth-subject").is_some(),
            &["gateway.good", "gateway.spoofed_subject"],
        ),
        (
            |_, call| bearer(call).is_none(),
            &[
                "gateway.good",
                "gateway.no_token",
                "gateway.spoofed_subject",
            ],
        ),
        (|_, call| bearer(call).is_some(), &REFUSED[2..]),
    ];
    for (judge, wrong) in rows {
        let verifier = Arc::clone(&verifier);
        let doorman = Doorman::start(move |call| judge(&verifier, call)).await;
        let found = world
            .patient(&[])
            .behind(&doorman.url, Way::Jwks)
            .examine()
            .await;
        let gateways = found
            .names(Fail)
            .into_iter()
            .filter(|name| name.starts_with("gateway."));
        assert_eq!(gateways.collect::<Vec<_>>(), wrong);
    }
    let pardons: [(Pardon, &[&str]); 5] = [
        (|refused| *refused == Refused::Expired, &["gateway.expired"]),
        (
            |refused| *refused == Refused::Audience,
            &["gateway.wrong_audience"],
        ),
        (
            |refused| *refused == Refused::Signature,
            &["gateway.tampered_payload", "gateway.tampered_signature"],
        ),
        (
            |refused| *refused == Refused::Algorithm,
            &["gateway.alg_none", "gateway.public_key_as_secret"],
        ),
        (|refused| *refused == Refused::Type, &["gateway.wrong_type"]),
    ];
    for (pardoned, wrong) in pardons {
        let verifier = Arc::clone(&verifier);
        let doorman = Doorman::start(move |call| but(&verifier, call, pardoned)).await;
        let found = world
            .patient(&[])
            .behind(&doorman.url, Way::Jwks)
            .examine()
            .await;
        let gateways = found
            .names(Fail)
            .into_iter()
            .filter(|name| name.starts_with("gateway."));
        assert_eq!(gateways.collect::<Vec<_>>(), wrong);
    }
}

#[sqlx::test]
async fn a_gateway_that_is_not_there_is_not_asked_on(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    world.keys(&[]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}/", silent.local_addr().unwrap());
    for (url, part) in [
        (
            "http://127.0.0.1:9/",
            "http://127.0.0.1:9/: nobody listens there",
        ),
        (silent.as_str(), ""),
    ] {
        let patient = world.patient(&[]).behind(url, Way::Jwks);
        let found = patient.patience(Duration::from_secs(2)).examine().await;
        found.says("gateway.good", Fail, part);
        for name in REFUSED {
            found.says(name, Skip, "needs the gateway");
        }
    }
}
