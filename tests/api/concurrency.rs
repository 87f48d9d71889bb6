//! Limits and single use, raced over parallel calls and several instances on one database.

use futures_util::future::{join, join_all};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{PHONE, World, by_outcome, wrong};

/// security.md 1.
#[sqlx::test]
async fn of_fifty_parallel_verifies_with_the_right_code_one_wins(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);
    let id = one.sent(PHONE).await;
    let code = world.code(PHONE);

    let calls = (0..50).map(|n| if n % 2 == 0 { &one } else { &two }.verify(&id, &code));
    let answers = join_all(calls).await;

    let counts = by_outcome(&answers);
    assert_eq!(counts.get("200 ok"), Some(&1), "{counts:?}");
    assert_eq!(
        counts.get("400 otp_request_expired"),
        Some(&49),
        "{counts:?}"
    );
    let sessions = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM sessions"#)
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(sessions, 1);
}

/// security.md 6.
#[sqlx::test]
async fn of_two_hundred_parallel_wrong_codes_exactly_five_are_compared(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);
    let id = one.sent(PHONE).await;
    let bad = wrong(&world.code(PHONE));

    let calls = (0..200).map(|n| if n % 2 == 0 { &one } else { &two }.verify(&id, &bad));
    let answers = join_all(calls).await;

    let counts = by_outcome(&answers);
    assert_eq!(counts.get("401 otp_incorrect"), Some(&5), "{counts:?}");
    assert_eq!(
        counts.get("429 too_many_attempts"),
        Some(&195),
        "{counts:?}"
    );
    let mut left: Vec<i64> = answers
        .iter()
        .filter(|answer| answer.status == 401)
        .map(|answer| answer.json()["attempts_remaining"].as_i64().unwrap())
        .collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4], "each try was counted once");
    let row = sqlx::query!(
        r#"SELECT live_attempts, cardinality(failure_log) AS "failures!" FROM phone_throttles"#
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!((row.live_attempts, row.failures), (5, 5));
}

/// The phone's failure limit is as exact as the request's, even when it is hit in mid-race.
#[sqlx::test]
async fn parallel_wrong_codes_never_exceed_the_phones_failure_limit(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world
        .instance_with(&[("LIMITS__PHONE__FAILURES_PER_DAY", "3")], "")
        .await;
    let id = app.sent(PHONE).await;
    let bad = wrong(&world.code(PHONE));

    let answers = join_all((0..50).map(|_| app.verify(&id, &bad))).await;

    let counts = by_outcome(&answers);
    assert_eq!(counts.get("401 otp_incorrect"), Some(&3), "{counts:?}");
    assert_eq!(counts.get("429 too_many_attempts"), Some(&47), "{counts:?}");
}

/// security.md 17: N replicas do not multiply a limit.
#[sqlx::test]
async fn forty_parallel_sends_over_two_instances_reach_the_provider_as_often_as_the_limits_allow(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);

    for (round, expected) in [(0, 1), (1, 2), (2, 3), (3, 3)] {
        let calls = (0..40).map(|n| if n % 2 == 0 { &one } else { &two }.send(PHONE));
        let answers = join_all(calls).await;

        let counts = by_outcome(&answers);
        let refused = counts.get("429 rate_limited").copied().unwrap_or(0);
        let sent = counts.get("201 ok").copied().unwrap_or(0);
        assert_eq!(sent + refused, 40, "round {round}: {counts:?}");
        assert_eq!(
            world.sms_count(PHONE),
            expected,
            "round {round}: {counts:?}"
        );
        // Past each cooldown, but within the five minutes.
        world.clock.advance(60);
    }
}

#[sqlx::test]
async fn parallel_resends_send_one_sms(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let (one, two) = (world.instance().await, world.instance().await);
    let id = one.sent(PHONE).await;
    world.clock.advance(30);

    let calls = (0..20).map(|n| if n % 2 == 0 { &one } else { &two }.resend(&id));
    let answers = join_all(calls).await;

    let counts = by_outcome(&answers);
    assert_eq!(counts.get("200 ok"), Some(&1), "{counts:?}");
    assert_eq!(counts.get("429 rate_limited"), Some(&19), "{counts:?}");
    assert_eq!(world.sms_count(PHONE), 2);
}

#[sqlx::test]
async fn instances_that_start_together_agree_on_one_signing_key(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;

    // Nobody can store a key before all four are as far as they get.
    let mut holder = world.pool.begin().await.unwrap();
    let lock = sqlx::raw_sql("LOCK TABLE signing_keys IN SHARE MODE");
    lock.execute(&mut *holder).await.unwrap();
    let let_go = async {
        world
            .until(
                "(SELECT count(*) = 4 FROM pg_locks JOIN pg_stat_activity USING (pid)
                WHERE NOT granted AND datname = current_database())",
            )
            .await;
        holder.rollback().await.unwrap();
    };
    let starting = join_all((0..4).map(|_| world.instance()));
    let (instances, ()) = join(starting, let_go).await;

    let mut keys = Vec::new();
    for instance in &instances {
        keys.push(instance.get("/.well-known/jwks.json").await.json()["keys"].clone());
    }
    assert_eq!(keys[0].as_array().unwrap().len(), 1);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}
