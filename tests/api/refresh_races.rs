//! Many at once with one token.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{PHONE, World};

/// security.md 34: twenty tabs.
#[sqlx::test]
async fn twenty_parallel_refreshes_are_one_family_and_twenty_usable_answers(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);
    let mut token = world.log_in(&one, PHONE).await.text("refresh_token");

    for round in 0..5 {
        let calls = (0..20).map(|n| if n % 2 == 0 { &one } else { &two });
        let answers = join_all(calls.map(|app| app.refresh(&token))).await;

        let next: BTreeSet<String> = answers
            .iter()
            .map(|answer| answer.text("refresh_token"))
            .collect();
        assert_eq!(next.len(), 1, "round {round}");
        let access: BTreeSet<String> = answers
            .iter()
            .map(|answer| answer.text("access_token"))
            .collect();
        assert_eq!(access.len(), 20);
        for access in &access {
            assert!(two.lets_in(access).await);
        }
        token = next.into_iter().next().unwrap();
        let rows = "SELECT count(*) FROM spent_refresh_tokens";
        assert_eq!(world.text(rows).await.as_deref(), Some("1"));
        world.clock.advance(60);
    }
    assert_eq!(
        world.text("SELECT count(*) FROM sessions").await.as_deref(),
        Some("1")
    );
}

/// A thief and the owner at once: whoever is late loses, and the session ends once.
#[sqlx::test]
async fn parallel_uses_of_a_stolen_token_end_the_session_once(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);
    let stolen = world.log_in(&one, PHONE).await.text("refresh_token");
    let current = one.refresh(&stolen).await.text("refresh_token");
    world.clock.advance(11);

    let calls = (0..20).map(|n| if n % 2 == 0 { &one } else { &two });
    let answers = join_all(calls.map(|app| app.refresh(&stolen))).await;

    assert!(answers.iter().all(|answer| answer.status == 400));
    assert_eq!(one.refresh(&current).await.status, 400);
    assert_eq!(one.events("action=session.end").await.len(), 1);
}

/// What a refresh and an end do to each other: after the end nothing works, whoever came first.
#[sqlx::test]
async fn a_refresh_that_races_with_the_end_of_its_session_leaves_nothing_alive(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);
    let login = world.log_in(&one, PHONE).await;
    let token = login.text("refresh_token");
    let access = login.text("access_token");

    let refreshes = join_all((0..10).map(|_| one.refresh(&token)));
    let ends =
        join_all((0..10).map(|_| two.bearer(reqwest::Method::DELETE, "/v1/sessions", &access)));
    let (refreshed, ended) = futures_util::future::join(refreshes, ends).await;

    assert!(ended.iter().any(|answer| answer.status == 204));
    for answer in refreshed.iter().filter(|answer| answer.status == 200) {
        assert_eq!(one.refresh(&answer.text("refresh_token")).await.status, 400);
        assert!(!one.lets_in(&answer.text("access_token")).await);
    }
    assert_eq!(one.events("action=session.end").await.len(), 1);
}
