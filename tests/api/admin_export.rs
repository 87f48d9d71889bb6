//! `/admin/v1/audit/export`

use chrono::TimeDelta;
use otp_auth::audit::{Action, Actor, Event, Outcome};
use otp_auth::clock::Clock as _;
use otp_auth::clock::rfc3339;
use reqwest::Method;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, World};

fn lines(export: &Answer) -> Vec<Value> {
    assert_eq!(export.status, 200, "{}", export.body);
    assert_eq!(export.header("content-type"), "application/x-ndjson");
    let lines = export.body.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn export(app: &Instance, query: &str) -> Vec<Value> {
    lines(
        &app.admin_get(&format!("/admin/v1/audit/export?{query}"))
            .await,
    )
}

/// What is left without the calls of operators, such as the export itself.
fn without_calls(mut events: Vec<Value>) -> Vec<Value> {
    events.retain(|event| event["action"] != "admin.call");
    events
}

#[sqlx::test]
async fn an_export_has_every_event_of_its_span_oldest_first(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let all = export(&app, "").await;
    let first = app.events("action=signing_key.create").await;
    assert_eq!(without_calls(all), first, "the first key's event");
    world.clock.advance(10);
    let start = world.clock.now();
    // More than two pages, five events to a millisecond, so that pages end within one.
    sqlx::query!(
        "INSERT INTO audit_events (id, at, action, outcome, actor)
         SELECT gen_random_uuid(), $1::timestamptz + (n / 5) * interval '1 millisecond',
             'otp.send', 'success', 'service'
         FROM generate_series(0, 2499) AS n",
        start,
    )
    .execute(&world.pool)
    .await
    .unwrap();
    world.clock.advance(10);
    let event = Event::new(Action::OtpSend, Outcome::Success, Actor::Service);
    let last = world.audit().record(&event).await.unwrap().to_string();

    let all = without_calls(export(&app, "").await);

    assert_eq!(all.len(), 2502);
    let place = |event: &Value| {
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        (text("at"), text("id"))
    };
    assert!(all.iter().map(place).is_sorted_by(|one, next| one < next));
    assert_eq!(all[2501], app.events("limit=1&actor=service").await[0]);
    assert_eq!(all[2501]["id"], last.as_str());

    let time = |millis| rfc3339(start + TimeDelta::milliseconds(millis));
    let some = export(&app, &format!("since={}&until={}", time(100), time(300))).await;
    assert_eq!(some.len(), 1000, "one full page, and none after it");
    assert_eq!(some[0]["at"], time(100));
    assert_eq!(some[999]["at"], time(299));
    let none = export(&app, &format!("since={}&until={}", time(300), time(300))).await;
    assert!(none.is_empty());
}

/// Whoever keeps an export must be able to tell that it is not whole.
#[sqlx::test]
async fn an_export_that_cannot_go_on_breaks_off(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    // 40 MB: more than what the sockets take in while nobody reads.
    sqlx::query!(
        "INSERT INTO audit_events (id, at, action, outcome, actor, detail)
         SELECT gen_random_uuid(), $1, 'otp.send', 'success', 'service',
             jsonb_build_object('filler', repeat('x', 2000))
         FROM generate_series(1, 20000)",
        world.clock.now(),
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let request = app.admin(Method::GET, "/admin/v1/audit/export");
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    sqlx::query!("ALTER TABLE audit_events RENAME TO elsewhere")
        .execute(&world.pool)
        .await
        .unwrap();

    let end = loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };

    assert!(end.is_err(), "no end as after the last event");
    let refused = app.admin_get("/admin/v1/audit/export").await;
    assert_eq!(refused.problem(), (500, "internal_error".to_owned()));
}
