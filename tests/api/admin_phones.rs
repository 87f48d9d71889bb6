//! `/admin/v1/phones/*`

use otp_auth::clock::Clock as _;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, OTHER_PHONE, PHONE, World, wrong};

async fn look_up(app: &Instance, phone: &str) -> Value {
    let body = json!({"phone_number": phone});
    let answer = app.admin_post("/admin/v1/phones/lookup", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn unlock(app: &Instance, phone: &str, reason: &str) -> Answer {
    let body = json!({"phone_number": phone, "reason": reason});
    app.admin_post("/admin/v1/phones/unlock", &body).await
}

/// Locks a phone by ten wrong codes.
async fn lock(world: &World, app: &Instance, phone: &str) {
    for _ in 0..2 {
        let id = app.sent(phone).await;
        for _ in 0..5 {
            app.verify(&id, &wrong(&world.code(phone))).await;
        }
        world.clock.advance(300);
    }
    assert_eq!(app.send(phone).await.problem().1, "too_many_attempts");
}

#[sqlx::test]
async fn a_phone_nobody_heard_of_stands_at_zero(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let found = look_up(&app, PHONE).await;

    let zeros = json!({
        "phone_index": found["phone_index"],
        "user_id": null,
        "locked_until": null,
        "failures_in_row": 0,
        "stopped": false,
        "sends_in_24_hours": 0,
    });
    assert_eq!(found, zeros);
    assert_eq!(found["phone_index"].as_str().unwrap().len(), 43, "256 bits");
    let other = look_up(&app, OTHER_PHONE).await;
    assert_ne!(other["phone_index"], found["phone_index"]);
}

#[sqlx::test]
async fn a_look_up_tells_where_a_phone_stands(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;
    let subject = app.verify(&id, &world.code(PHONE)).await.text("subject");
    world.clock.advance(86_399);
    lock(&world, &app, PHONE).await;
    sqlx::query!(
        "UPDATE phone_throttles SET failures_in_row = 99,
             known_send_log = ARRAY[send_log[1], send_log[1] - interval '24 hours']"
    )
    .execute(&world.pool)
    .await
    .unwrap();

    let found = look_up(&app, " 0 98765-43210").await;

    assert_eq!(found["user_id"], subject.as_str());
    assert_eq!(found["failures_in_row"], 99);
    assert_eq!(found["stopped"], false);
    // Two; those with a device receipt are among them, and others are older than 24 hours by now.
    assert_eq!(found["sends_in_24_hours"], 2);
    let until = found["locked_until"].as_str().unwrap();
    let until: chrono::DateTime<chrono::Utc> = until.parse().unwrap();
    assert_eq!(
        (until - world.clock.now()).num_seconds(),
        1500,
        "30 min less 5"
    );

    world.clock.advance(1500);
    assert_eq!(look_up(&app, PHONE).await["locked_until"], Value::Null);
    sqlx::query!("UPDATE phone_throttles SET failures_in_row = 100")
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(look_up(&app, PHONE).await["stopped"], true);
}

/// A look-up must say of a phone what its limits do.
#[sqlx::test]
async fn a_phone_is_stopped_where_the_settings_say(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let sooner = [("LIMITS__PHONE__FAILURES_IN_ROW", "3")];
    let app = world.instance_with(&sooner, "").await;
    let id = app.sent(PHONE).await;
    let code = wrong(&world.code(PHONE));
    for stopped in [false, false, true] {
        assert_eq!(app.verify(&id, &code).await.status, 401);
        assert_eq!(look_up(&app, PHONE).await["stopped"], stopped);
    }
}

#[sqlx::test]
async fn an_unlocked_phone_can_log_in_at_once_and_the_log_says_why(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;
    let subject = app.verify(&id, &world.code(PHONE)).await.text("subject");
    world.clock.advance(300);
    lock(&world, &app, PHONE).await;
    lock(&world, &app, OTHER_PHONE).await;
    sqlx::query!(
        "UPDATE phone_throttles SET failures_in_row = 100, known_failures_in_row = 7,
             known_failure_log = failure_log"
    )
    .execute(&world.pool)
    .await
    .unwrap();

    let answer = unlock(&app, PHONE, "called in, ticket 123456").await;

    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json(), look_up(&app, PHONE).await);
    assert_eq!(answer.json()["locked_until"], Value::Null);
    assert_eq!(answer.json()["failures_in_row"], 0);
    assert_eq!(answer.json()["stopped"], false);
    let rest = "SELECT (failure_log, known_failure_log, known_failures_in_row, locks)
        FROM phone_throttles WHERE locked_until IS NULL";
    assert_eq!(world.text(rest).await.as_deref(), Some("({},{},0,0)"));
    let id = app.sent(PHONE).await;
    assert_eq!(app.verify(&id, &world.code(PHONE)).await.status, 200);
    assert_eq!(
        look_up(&app, OTHER_PHONE).await["stopped"],
        true,
        "untouched"
    );

    let events = app.events("action=phone.unlock").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["actor"], "admin");
    assert_eq!(events[0]["outcome"], "success");
    assert_eq!(events[0]["phone_index"], answer.json()["phone_index"]);
    assert_eq!(events[0]["user_id"], subject.as_str());
    assert_eq!(
        events[0]["trace_id"],
        answer.header("x-request-id").as_str()
    );
    let detail = json!({"reason": "called in, ticket 123456"});
    assert_eq!(events[0]["detail"], detail);
}

#[sqlx::test]
async fn a_phone_nobody_heard_of_can_be_unlocked_and_that_is_told(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let answer = unlock(&app, PHONE, "just in case").await;

    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json(), look_up(&app, PHONE).await);
    assert_eq!(app.events("action=phone.unlock").await.len(), 1);
    assert!(world.tables_with("987654").await.is_empty());
}

#[sqlx::test]
async fn bad_input_is_pointed_at_and_changes_nothing(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let long = "x".repeat(201);
    for (body, pointers) in [
        (json!({}), vec!["/phone_number", "/reason"]),
        (
            json!({"phone_number": 5, "reason": 5}),
            vec!["/phone_number", "/reason"],
        ),
        (json!({"phone_number": PHONE}), vec!["/reason"]),
        (
            json!({"phone_number": PHONE, "reason": " "}),
            vec!["/reason"],
        ),
        (
            json!({"phone_number": PHONE, "reason": long}),
            vec!["/reason"],
        ),
        (
            json!({"phone_number": PHONE, "reason": "for 9876543210"}),
            vec!["/reason"],
        ),
        (json!([]), vec![""]),
    ] {
        let answer = app.admin_post("/admin/v1/phones/unlock", &body).await;

        assert_eq!(
            answer.problem(),
            (400, "invalid_request".to_owned()),
            "{body}"
        );
        assert_eq!(answer.pointers(), pointers, "{body}");
    }
    let nothing = app.admin_post("/admin/v1/phones/lookup", &json!({})).await;
    assert_eq!(nothing.pointers(), ["/phone_number"]);
    for path in ["/admin/v1/phones/lookup", "/admin/v1/phones/unlock"] {
        for (phone, expected) in [
            ("12345", (400, "invalid_phone_number")),
            ("+14155550123", (403, "phone_number_not_allowed")),
        ] {
            let body = json!({"phone_number": phone, "reason": "a reason"});
            let (status, code) = app.admin_post(path, &body).await.problem();
            assert_eq!((status, code.as_str()), expected, "{path} {phone}");
        }
        let plain = app.admin(reqwest::Method::POST, path).body("{}");
        assert_eq!(Answer::of(plain).await.problem().0, 415, "{path}");
    }
    assert!(app.events("action=phone.unlock").await.is_empty());
}
