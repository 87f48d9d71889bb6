//! Sessions that ended: every replica refuses their tokens at the hook, and tells who asks.

use std::sync::Arc;
use std::time::Duration;

use otp_auth::random::SystemRandom;
use otp_auth::revocation::Revocations;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use uuid::Uuid;

use crate::revocation_feed::feed;
use crate::support::{Answer, CLIENTS, Instance, OFTEN, OTHER_PHONE, PHONE, World};

/// The status that the hook gives a token.
async fn status(app: &Instance, token: &str) -> u16 {
    app.bearer(Method::GET, "/v1/authorize", token).await.status
}

/// Asks until the hook refuses a token. The minute only keeps a broken feed from hanging the suite; how long
/// it takes is measured elsewhere.
async fn refuses(app: &Instance, token: &str) {
    let poll = async { while status(app, token).await != 401 {} };
    let in_time = tokio::time::timeout(Duration::from_mins(1), poll).await;
    assert!(in_time.is_ok(), "the token still passes");
}

/// Ends a session as an operator may who has only `psql`.
async fn end_by_hand(world: &World, session: &str) {
    let session = Uuid::parse_str(session).unwrap();
    let end = sqlx::query!(
        "UPDATE sessions SET ended_at = now(), ended_by = 'x' WHERE id = $1",
        session
    );
    assert_eq!(end.execute(&world.pool).await.unwrap().rows_affected(), 1);
}

/// A feed without an instance around it, which looks only when it is told to.
async fn revocations(world: &World) -> Revocations {
    let pool = world.pool.clone();
    let (clock, random) = (world.clock.clone(), Arc::new(SystemRandom));
    Revocations::load(&world.pool, pool, clock, random)
        .await
        .unwrap()
}

/// security.md 37.
#[sqlx::test]
async fn whatever_ends_a_session_every_replica_refuses_its_token(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let settings = [&OFTEN[..], &[("TOKENS__SESSIONS_PER_USER", "1")]].concat();
    let (app, two) = (
        world.instance_with(&settings, CLIENTS).await,
        world.instance_with(&settings, CLIENTS).await,
    );

    for way in [
        "its user",
        "an operator",
        "its client",
        "reuse",
        "a ban",
        "erasure",
        "a newer one",
        "a statement",
        "a statement that deletes it",
    ] {
        let login = world.log_in_as(&app, "web", PHONE).await;
        let (token, refresh) = (login.text("access_token"), login.text("refresh_token"));
        let (session, user) = (login.text("session_id"), login.text("subject"));
        for replica in [&app, &two] {
            assert_eq!(status(replica, &token).await, 200, "before {way}");
        }
        // Where a call of ours ends it, its answer means that it is over here.
        let mut holds_here = true;
        let done = match way {
            "its user" => app.bearer(Method::DELETE, "/v1/sessions", &token).await,
            "an operator" => {
                let path = format!("/admin/v1/sessions/{session}");
                Answer::of(app.admin(Method::DELETE, &path)).await
            }
            "its client" => {
                let fields = [("client_id", "web"), ("token", &*refresh)];
                app.post_form("/v1/token/revoke", &fields).await
            }
            "reuse" => {
                let fields = [
                    ("client_id", "web"),
                    ("grant_type", "refresh_token"),
                    ("refresh_token", &*refresh),
                ];
                assert_eq!(app.post_form("/v1/token", &fields).await.status, 200);
                world.clock.advance(11);
                assert_eq!(app.post_form("/v1/token", &fields).await.status, 400);
                app.get("/.well-known/jwks.json").await
            }
            "a ban" => {
                let rule =
                    json!({"kind": "phone", "value": PHONE, "verdict": "block", "reason": "x"});
                let made = Answer::of(app.admin(Method::POST, "/admin/v1/rules").json(&rule)).await;
                assert_eq!(made.status, 201, "{}", made.body);
                let rule = format!("/admin/v1/rules/{}", made.text("id"));
                Answer::of(app.admin(Method::DELETE, &rule)).await
            }
            "erasure" => {
                let path = format!("/admin/v1/users/{user}");
                Answer::of(app.admin(Method::DELETE, &path)).await
            }
            "a newer one" => {
                holds_here = false;
                world.log_in_as(&app, "web", PHONE).await
            }
            "a statement" => {
                holds_here = false;
                end_by_hand(&world, &session).await;
                app.get("/.well-known/jwks.json").await
            }
            _ => {
                holds_here = false;
                let session = Uuid::parse_str(&session).unwrap();
                let gone = sqlx::query!("DELETE FROM sessions WHERE id = $1", session);
                gone.execute(&world.pool).await.unwrap();
                app.get("/.well-known/jwks.json").await
            }
        };
        assert!((200..300).contains(&done.status), "{way}: {}", done.body);
        if holds_here {
            assert_eq!(status(&app, &token).await, 401, "{way}");
        }
        refuses(&app, &token).await;
        refuses(&two, &token).await;
        let late = world.instance_with(&settings, CLIENTS).await;
        assert_eq!(
            status(&late, &token).await,
            401,
            "it has read all before it serves"
        );
    }
    let other = world.log_in_as(&app, "web", OTHER_PHONE).await;
    assert_eq!(status(&two, &other.text("access_token")).await, 200);
}

#[sqlx::test]
async fn a_replica_that_lost_its_connection_catches_up(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&OFTEN, "").await;
    for _ in 0..3 {
        let login = world.log_in(&app, PHONE).await;
        sqlx::query!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND query LIKE '%FROM revocation_feed%'",
        )
        .fetch_all(&world.pool)
        .await
        .unwrap();
        end_by_hand(&world, &login.text("session_id")).await;
        refuses(&app, &login.text("access_token")).await;
    }
}

/// As behind a pooler in transaction mode, where LISTEN is of no use.
#[sqlx::test]
async fn a_revocation_that_nobody_was_notified_of_is_found(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let login = world.log_in(&app, PHONE).await;
    sqlx::raw_sql(
        "ALTER TABLE sessions DISABLE TRIGGER session_ended;
         UPDATE revocation_feed SET last_cursor = last_cursor + 1;
         INSERT INTO revocations SELECT last_cursor, s.id, s.user_id, now(), now() + interval '1 hour'
            FROM revocation_feed, sessions AS s",
    )
    .execute(&world.pool)
    .await
    .unwrap();

    refuses(&app, &login.text("access_token")).await;
}

#[sqlx::test]
async fn parallel_ends_are_all_told(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let apps = [
        world.instance_with(&OFTEN, CLIENTS).await,
        world.instance_with(&OFTEN, CLIENTS).await,
    ];
    let mut tokens = Vec::new();
    for _ in 0..20 {
        tokens.push(world.log_in_as(&apps[0], "web", PHONE).await);
    }
    let follower = revocations(&world).await;

    let ends = tokens.iter().enumerate().map(|(n, login)| {
        let path = format!("/v1/sessions/{}", login.text("session_id"));
        let app = &apps[n % 2];
        async move {
            app.bearer(Method::DELETE, &path, &login.text("access_token"))
                .await
                .status
        }
    });
    let looks = async {
        for _ in 0..50 {
            follower.look().await;
        }
    };
    let (ended, ()) = tokio::join!(futures_util::future::join_all(ends), looks);
    assert_eq!(ended, [204; 20]);

    follower.look().await;
    assert_eq!(follower.count(), 20, "whoever read meanwhile missed none");
    let told = feed(&apps[0], "").await.json();
    assert_eq!(told["revocations"].as_array().unwrap().len(), 20);
    assert_eq!(told["cursor"], "20");
    for login in &tokens {
        refuses(&apps[1], &login.text("access_token")).await;
    }
}

#[sqlx::test]
async fn who_waits_is_answered_when_the_process_stops(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let revocations = revocations(&world).await;

    let waits = revocations.news(0, Duration::from_hours(1));
    let (news, ()) = tokio::join!(waits, async { revocations.close() });

    assert_eq!(news.cursor, 0);
}

#[sqlx::test]
async fn what_is_over_is_forgotten(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&OFTEN, CLIENTS).await;
    let login = world.log_in_as(&app, "shop", PHONE).await;
    app.bearer(Method::DELETE, "/v1/sessions", &login.text("access_token"))
        .await;
    let follower = revocations(&world).await;
    let rows = async || {
        let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM revocations"#);
        count.fetch_one(&world.pool).await.unwrap()
    };

    // The client's tokens live 120 s; verifiers may be 60 s behind.
    world.clock.advance(178);
    follower.tidy();
    assert_eq!((follower.count(), rows().await), (1, 1));
    world.clock.advance(2);
    follower.tidy();
    assert_eq!(follower.count(), 0);
    world.until("NOT EXISTS (SELECT FROM revocations)").await;

    let later = revocations(&world).await;
    assert_eq!(
        later.news(0, Duration::ZERO).await.cursor,
        1,
        "cursors go on"
    );
}

#[sqlx::test]
async fn a_feed_out_of_reach_is_told(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let check = async || -> Value {
        let ready: Value = app.admin_get("/readyz").await.json();
        ready["checks"]["revocations:staleness"][0].clone()
    };
    let staleness = async || {
        let metrics = app.admin_get("/metrics").await.body;
        let name = "otp_auth_revocations_staleness_seconds ";
        let value = metrics.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(
        check().await,
        json!({"status": "pass", "observedValue": 0, "observedUnit": "s"})
    );

    world.cut_off().await;
    world.clock.advance(10);
    assert_eq!(check().await["status"], "pass");
    world.clock.advance(1);

    let told = check().await;
    assert_eq!(
        told,
        json!({
            "status": "fail",
            "observedValue": 11,
            "observedUnit": "s",
            "output": "which sessions ended was not heard for too long",
        })
    );
    assert!(staleness().await >= 11.0);
}
