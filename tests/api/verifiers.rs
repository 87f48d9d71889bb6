//! Those who check tokens with the published keys, and are waited for.

use chrono::{DateTime, TimeDelta, Utc};
use otp_auth::clock::Clock as _;
use otp_auth::token::keys::State::{Active, Next, Retiring};
use reqwest::Method;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::keys::{SOMEBODY, accepts, states};
use crate::support::{Answer, Instance, World};

const VERIFIERS: (&str, &str) = ("TOKENS__VERIFIERS", "gateway,orders");
const DAY: i64 = 86_400;

async fn fetch(app: &Instance, method: Method, verifier: &str, tag: &str) -> Answer {
    let path = format!("/.well-known/jwks.json?verifier={verifier}");
    Answer::of(app.request(method, &path).header("if-none-match", tag)).await
}

#[sqlx::test]
async fn a_promotion_waits_until_every_named_verifier_has_the_key(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&[VERIFIERS], "").await;
    let keys = world.keys(&[VERIFIERS]).await;
    let next = keys.keeper().rotate(false, SOMEBODY).await.unwrap().kid;
    let first = keys.active().kid().to_owned();
    app.publishes(&[first.clone(), next.clone()]).await;
    let tag = app.get("/.well-known/jwks.json").await.header("etag");
    world.clock.advance(DAY);

    // None of these has seen the key: a stranger, one who names nobody, one who got no keys.
    for (method, verifier) in [
        (Method::GET, "stranger"),
        (Method::GET, ""),
        (Method::HEAD, "orders"),
    ] {
        fetch(&app, method, verifier, "\"other\"").await;
    }
    assert_eq!(
        fetch(&app, Method::GET, "gateway", "\"other\"")
            .await
            .status,
        200
    );
    let seen = format!("(SELECT count(*) FROM verifier_sightings WHERE kid = '{next}')");
    world.until(&format!("{seen} = 1")).await;
    keys.look().await.unwrap();
    assert_eq!(states(&keys), [Active, Next], "one has not seen it");

    assert_eq!(fetch(&app, Method::GET, "orders", &tag).await.status, 304);
    app.publishes(&[next.clone(), first]).await;

    keys.refresh().await.unwrap();
    assert_eq!(states(&keys), [Active, Retiring]);
    let names = world
        .text("SELECT string_agg(DISTINCT verifier, ' ') FROM verifier_sightings")
        .await;
    assert_eq!(names.as_deref(), Some("gateway orders"));
}

#[sqlx::test]
async fn a_promotion_waits_no_longer_than_the_deadline(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let deadline = ("TOKENS__VERIFIER_DEADLINE_SECONDS", "600");
    let keys = world.keys(&[VERIFIERS, deadline]).await;
    keys.keeper().rotate(false, SOMEBODY).await.unwrap();

    let instant = TimeDelta::milliseconds(1);
    world
        .clock
        .advance_by(TimeDelta::seconds(DAY + 600) - instant);
    for expected in [[Active, Next], [Active, Retiring], [Active, Retiring]] {
        keys.look().await.unwrap();
        assert_eq!(states(&keys), expected);
        world.clock.advance_by(instant);
    }
}

/// Of a verifier that asks all the time one row a minute is written.
#[sqlx::test]
async fn a_sighting_is_written_at_once_and_then_once_a_minute(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let keys = world.keys(&[VERIFIERS]).await;
    let start = world.clock.now();
    for (seconds, expected) in [(0, 0), (59, 0), (1, 60), (59, 60), (1, 120)] {
        world.clock.advance(seconds);
        keys.seen_by("gateway", &keys.published());
        keys.look().await.unwrap();

        let listed = keys.keeper().list().await.unwrap();

        let seen = &listed[0].seen[0];
        assert_eq!(seen.first_seen_at, start);
        assert_eq!(seen.last_seen_at, start + TimeDelta::seconds(expected));
    }
}

struct Issued {
    token: String,
    ends_at: DateTime<Utc>,
}

/// security.md 32: a verifier that keeps a JWKS for ten minutes accepts every token while a key is
/// replaced, whichever of two replicas signs the token and serves the JWKS.
#[sqlx::test]
async fn no_token_is_refused_by_a_verifier_with_a_jwks_of_ten_minutes_ago(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let settings = [
        ("TOKENS__ROTATE_EVERY_SECONDS", "3600"),
        ("TOKENS__PUBLISH_AHEAD_SECONDS", "900"),
        ("TOKENS__KEEP_AFTER_SECONDS", "900"),
    ];
    let replicas = [
        world.instance_with(&settings, "").await,
        world.instance_with(&settings, "").await,
    ];
    let first = replicas[0].kids().await;
    let mut issued: Vec<Issued> = Vec::new();
    let mut cached = (replicas[0].jwks().await, world.clock.now());
    let mut signers = std::collections::BTreeSet::new();
    let mut checked = 0;
    // The next key is due after 45 minutes, signs after 60, and the first is gone after 86.
    world.clock.advance(40 * 60);
    for step in 0..27 {
        world.clock.advance(120);
        settle(&world, &replicas).await;
        let now = world.clock.now();
        for (index, replica) in replicas.iter().enumerate() {
            let phone = format!("+9198765{:05}", step * 2 + index);
            let token = replica.token(&world, &phone).await;
            signers.insert(crate::support::keys::kid_of(&token));
            let ends_at = now + TimeDelta::seconds(900);
            issued.push(Issued { token, ends_at });
        }
        if now - cached.1 >= TimeDelta::minutes(10) {
            cached = (replicas[step % 2].jwks().await, now);
        }
        issued.retain(|issued| now < issued.ends_at);
        for issued in &issued {
            assert!(accepts(&cached.0, &issued.token), "step {step}");
            checked += 1;
        }
    }
    assert_eq!(signers.len(), 2, "a key was replaced");
    assert!(checked > 300, "{checked}");
    let kids = replicas[0].kids().await;
    assert!(!kids.contains(&first[0]), "the first key is gone");
}

/// Waits until all that is due is done and both replicas know it.
async fn settle(world: &World, replicas: &[Instance]) {
    let now = world.clock.now().to_rfc3339();
    let done = format!(
        "NOT EXISTS (SELECT FROM signing_keys WHERE promote_at <= '{now}' OR gone_at <= '{now}')
         AND (EXISTS (SELECT FROM signing_keys WHERE state = 'next') OR NOT EXISTS (
            SELECT FROM signing_keys
            WHERE state = 'active' AND active_at + interval '2700 s' <= '{now}'))"
    );
    world.until(&done).await;
    let kids = "SELECT string_agg(kid, ' ' ORDER BY array_position(
        ARRAY['active', 'next', 'retiring'], state), retired_at DESC, kid) FROM signing_keys";
    let kids = world.text(kids).await.unwrap();
    let kids: Vec<String> = kids.split(' ').map(str::to_owned).collect();
    for replica in replicas {
        replica.publishes(&kids).await;
    }
}
