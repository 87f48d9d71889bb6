//! Signing keys come and go by themselves.

use chrono::TimeDelta;
use futures_util::future::join_all;
use otp_auth::clock::Clock as _;
use otp_auth::token::keys::State::{Active, Next, Retiring};
use otp_auth::token::keys::{KeyError, SigningKeys};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::keys::{SOMEBODY, accepts, kid_of, states};
use crate::support::{PHONE, World};

const DAY: i64 = 86_400;
const INSTANT: TimeDelta = TimeDelta::milliseconds(1);

fn kids(keys: &SigningKeys) -> Vec<String> {
    keys.published()
        .records()
        .map(|key| key.kid.clone())
        .collect()
}

/// security.md 32, the end of a key's life: gone at its date, not before.
#[sqlx::test]
async fn a_key_is_next_then_active_then_retiring_then_gone(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let keys = world.keys(&[]).await;
    let first = kids(&keys);
    let mut expected = vec![Active];
    // Published a day before its time of thirty, and kept for a day after.
    for (due, then) in [
        (29, vec![Active, Next]),
        (30, vec![Active, Retiring]),
        (31, vec![Active]),
    ] {
        let due = keys.published().records().next().unwrap().created_at + TimeDelta::days(due);
        let due = if then == [Active] {
            gone_at(&keys)
        } else {
            due
        };
        world.clock.advance_by(due - INSTANT - world.clock.now());
        keys.look().await.unwrap();
        assert_eq!(states(&keys), expected, "before");
        let tag = keys.published().etag().to_owned();

        world.clock.advance_by(INSTANT);
        keys.look().await.unwrap();
        assert_eq!(states(&keys), then, "at");
        assert_ne!(keys.published().etag(), tag);

        world.clock.advance_by(INSTANT);
        keys.look().await.unwrap();
        assert_eq!(states(&keys), then, "after");
        expected = then;
    }
    assert_ne!(kids(&keys), first);
    assert_eq!(keys.active().kid(), kids(&keys)[0]);

    let told = world.text(
        "SELECT string_agg(action, ' ' ORDER BY id) FROM audit_events WHERE actor = 'service'",
    );
    assert_eq!(
        told.await.unwrap(),
        "signing_key.create signing_key.create signing_key.promote signing_key.remove"
    );
}

fn gone_at(keys: &SigningKeys) -> chrono::DateTime<chrono::Utc> {
    let published = keys.published();
    let gone_at = published.records().find_map(|key| key.gone_at);
    gone_at.unwrap()
}

#[sqlx::test]
async fn processes_that_find_the_same_thing_due_do_it_once(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let processes = join_all((0..3).map(|_| world.keys(&[]))).await;
    for (seconds, expected) in [
        (29 * DAY, vec![Active, Next]),
        (DAY, vec![Active, Retiring]),
        (DAY, vec![Active]),
    ] {
        world.clock.advance(seconds);

        for looked in join_all(processes.iter().map(SigningKeys::look)).await {
            looked.unwrap();
        }

        for keys in &processes {
            keys.refresh().await.unwrap();
            assert_eq!(states(keys), expected);
            assert_eq!(kids(keys), kids(&processes[0]));
        }
    }
    let events = world.text("SELECT count(*) FROM audit_events").await;
    assert_eq!(
        events.as_deref(),
        Some("4"),
        "two made, one promoted, one gone"
    );
}

#[sqlx::test]
async fn rotations_that_race_make_one_next_key(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let keys = world.keys(&[]).await;
    let keepers = join_all((0..6).map(|_| world.keeper(&[]))).await;

    let rotations = join_all(keepers.iter().map(|keeper| keeper.rotate(false, SOMEBODY))).await;

    let first = rotations[0].as_ref().unwrap();
    assert_eq!(
        first.promote_at,
        Some(world.clock.now() + TimeDelta::days(1))
    );
    for rotation in &rotations {
        assert_eq!(rotation.as_ref().unwrap(), first);
    }
    keys.refresh().await.unwrap();
    assert_eq!(states(&keys), [Active, Next]);
}

/// Every pair of algorithms, while the processes of before go on: nobody undoes what another does.
#[sqlx::test]
async fn another_algorithm_signs_after_a_day_and_old_tokens_stay_good(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let mut app = world.instance().await;
    let mut old = app.token(&world, PHONE).await;
    for algorithm in ["EdDSA", "RS256", "ES256", "RS256", "EdDSA", "ES256"] {
        app = world
            .instance_with(&[("TOKENS__ALGORITHM", algorithm)], "")
            .await;
        assert_eq!(app.kids().await[0], kid_of(&old), "the old key signs on");
        assert!(accepts(&app.jwks().await, &old), "{algorithm}");
        world.clock.advance(DAY);
        let is_active = format!(
            "EXISTS (SELECT FROM signing_keys WHERE state = 'active' AND algorithm = '{algorithm}')"
        );
        world.until(&is_active).await;
        let kid = world
            .text("SELECT kid FROM signing_keys WHERE state = 'active'")
            .await;
        app.publishes(&[kid.unwrap(), kid_of(&old)]).await;

        let new = app.token(&world, PHONE).await;

        let jwks = app.jwks().await;
        assert!(accepts(&jwks, &old) && accepts(&jwks, &new), "{algorithm}");
        let header = jsonwebtoken::decode_header(&new).unwrap();
        assert_eq!(format!("{:?}", header.alg), algorithm);
        old = new;
    }
}

#[sqlx::test]
async fn a_switch_that_is_taken_back_leaves_the_active_key_its_time(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let made = world.clock.now();
    world.keys(&[]).await;
    let other = world.keys(&[("TOKENS__ALGORITHM", "EdDSA")]).await;
    assert_eq!(states(&other), [Active, Next]);

    let keys = world.keys(&[]).await;

    assert_eq!(states(&keys), [Active, Next]);
    let published = keys.published();
    let next = published.records().nth(1).unwrap();
    assert_eq!(next.algorithm.name(), "ES256");
    assert_eq!(next.promote_at, Some(made + TimeDelta::days(30)));
}

#[sqlx::test]
async fn the_keys_stay_in_force_while_the_database_is_away(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let keys = world.keys(&[]).await;
    let (kid, jwks) = (
        keys.active().kid().to_owned(),
        keys.published().jwks().to_vec(),
    );

    keys.keeper().pool.close().await;

    assert!(matches!(keys.look().await, Err(KeyError::Store(_))));
    assert_eq!(keys.active().kid(), kid);
    assert_eq!(keys.published().jwks(), jwks);
}

#[sqlx::test]
async fn a_key_that_does_not_open_stops_no_running_process_and_never_signs(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let keys = world.keys(&[]).await;
    let jwks = app.jwks().await;
    let insert = sqlx::raw_sql(
        "INSERT INTO signing_keys (kid, algorithm, private_sealed, created_at, state, promote_at)
         VALUES ('foreign', 'ES256', '\\x01', now(), 'next', '2020-01-01')",
    );
    insert.execute(&world.pool).await.unwrap();

    for _ in 0..2 {
        assert!(matches!(keys.look().await, Err(KeyError::WrongMasterKey)));
    }

    assert_eq!(app.jwks().await, jwks);
    let token = app.token(&world, PHONE).await;
    assert!(accepts(&jwks, &token));
    let foreign = world
        .text("SELECT state FROM signing_keys WHERE kid = 'foreign'")
        .await;
    assert_eq!(foreign.as_deref(), Some("next"));
    let rotated = keys.keeper().rotate(true, SOMEBODY).await;
    assert!(matches!(rotated, Err(KeyError::WrongMasterKey)));
    // It can be taken away, which mends it.
    keys.keeper()
        .revoke("foreign", false, SOMEBODY)
        .await
        .unwrap();
    keys.look().await.unwrap();
}
