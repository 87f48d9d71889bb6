//! `DELETE /admin/v1/users/{sub}`

use futures_util::future;
use otp_auth::random::{SystemRandom, uuid_v4};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, OTHER_PHONE, PHONE, World};

async fn erase(app: &Instance, subject: &str) -> Answer {
    let path = format!("/admin/v1/users/{subject}");
    Answer::of(app.admin(Method::DELETE, &path)).await
}

/// Logs in, and returns the `sub`.
async fn log_in(world: &World, app: &Instance, phone: &str) -> String {
    let id = app.sent(phone).await;
    let answer = app.verify(&id, &world.code(phone)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("subject")
}

/// security.md 30 and 37
#[sqlx::test]
async fn an_erased_user_leaves_nothing_but_what_limits_the_phone(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let subject = log_in(&world, &app, PHONE).await;
    world.clock.advance(30);
    let live = app.sent(PHONE).await;
    let sealed = |table: &str| format!("SELECT encode(phone_sealed, 'hex') FROM {table} LIMIT 1");
    let sealed = [
        world.text(&sealed("users")).await.unwrap(),
        world.text(&sealed("otp_requests")).await.unwrap(),
    ];
    let index = "SELECT encode(phone_index, 'hex') FROM users";
    let index = world.text(index).await.unwrap();
    let other = log_in(&world, &app, OTHER_PHONE).await;

    let answer = erase(&app, &subject).await;

    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert!(answer.headers.get("content-type").is_none());
    let mut keyed = world.tables_with(&index).await;
    keyed.retain(|table| !table.starts_with("audit_events"));
    assert_eq!(keyed, ["phone_throttles"], "beside the audit log");
    for sealed in &sealed {
        assert!(world.tables_with(sealed).await.is_empty());
    }
    let sessions = format!("SELECT count(*) FROM sessions WHERE user_id <> '{other}'");
    assert_eq!(world.text(&sessions).await.as_deref(), Some("0"));

    let verify = app.verify(&live, &world.code(PHONE)).await;
    assert_eq!(verify.problem(), (400, "otp_request_expired".to_owned()));
    let resend = app.resend(&live).await;
    assert_eq!(resend.problem(), (400, "otp_request_expired".to_owned()));
    let limited = app.send(PHONE).await;
    assert_eq!(limited.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(
        limited.retry_after(),
        60,
        "the cooldown after the second send"
    );

    world.clock.advance(60);
    let id = app.sent(PHONE).await;
    let again = app.verify(&id, &world.code(PHONE)).await;
    assert_eq!(again.json()["new_user"], true);
    assert_ne!(again.text("subject"), subject);
    world.clock.advance(300);
    assert_eq!(log_in(&world, &app, OTHER_PHONE).await, other, "untouched");
}

#[sqlx::test]
async fn erasure_forgets_codes_and_keeps_every_limit(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let subject = log_in(&world, &app, PHONE).await;
    sqlx::query!(
        "UPDATE phone_throttles SET live_request_id = gen_random_uuid(),
             superseded_request_id = gen_random_uuid(), superseded_sends = 1,
             superseded_attempts = 2, superseded_check_tag = 'a', superseded_check_sealed = 'b',
             check_id = gen_random_uuid(), check_until = 'infinity', check_tag = 'c',
             check_sealed = 'd', failure_log = send_log, known_failure_log = send_log,
             known_send_log = send_log, failures_in_row = 3, known_failures_in_row = 4, locks = 5,
             locked_until = '2099-01-01Z'"
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let limits = "SELECT (send_log, known_send_log, failure_log, known_failure_log,
        failures_in_row, known_failures_in_row, locks, locked_until, cooldown_until)
        FROM phone_throttles";
    let before = world.text(limits).await;

    assert_eq!(erase(&app, &subject).await.status, 204);

    assert_eq!(world.text(limits).await, before);
    let of_codes = "SELECT (live_request_id, superseded_request_id, superseded_check_tag,
        superseded_check_sealed, check_id, check_until, check_tag, check_sealed)
        FROM phone_throttles";
    assert_eq!(world.text(of_codes).await.as_deref(), Some("(,,,,,,,)"));
}

#[sqlx::test]
async fn an_erasure_is_told_by_the_users_id_alone(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let subject = log_in(&world, &app, PHONE).await;

    let answer = erase(&app, &subject).await;

    let events = app.events("action=user.erase").await;
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(event["outcome"], "success");
    assert_eq!(event["actor"], "admin");
    assert_eq!(event["user_id"], subject.as_str());
    assert_eq!(event["phone_index"], Value::Null);
    assert_eq!(event["trace_id"], answer.header("x-request-id").as_str());
    assert_eq!(event["detail"], json!({}));
}

#[sqlx::test]
async fn of_many_calls_at_once_one_erases_the_user(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let (app, replica) = (world.instance().await, world.instance().await);
    let subject = log_in(&world, &app, PHONE).await;
    let mut held = world.pool.begin().await.unwrap();
    sqlx::query!("SELECT phone_index FROM phone_throttles FOR UPDATE")
        .fetch_one(&mut *held)
        .await
        .unwrap();
    let calls = [&app, &replica, &app, &replica].map(|app| erase(app, &subject));
    let let_go = async {
        // All have found the user by then.
        world
            .until(
                "4 = (SELECT count(*) FROM pg_stat_activity
                      WHERE datname = current_database() AND wait_event_type = 'Lock')",
            )
            .await;
        held.commit().await.unwrap();
    };

    let (answers, ()) = future::join(future::join_all(calls), let_go).await;

    let count = |status| answers.iter().filter(|a| a.status == status).count();
    assert_eq!((count(204), count(404)), (1, 3));
    assert_eq!(app.events("action=user.erase").await.len(), 1);
}

#[sqlx::test]
async fn a_user_that_does_not_exist_is_not_found(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let subject = log_in(&world, &app, PHONE).await;
    for user in [
        uuid_v4(&SystemRandom).unwrap().to_string(),
        subject.replace('-', ""),
        "abc".to_owned(),
    ] {
        let answer = erase(&app, &user).await;

        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{user}");
    }
    assert!(app.events("action=user.erase").await.is_empty());
}
