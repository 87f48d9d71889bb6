//! Calls that come at the same time: done by one transaction, each as if it had been alone.

use std::time::Duration;

use futures_util::future::{join_all, join3};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor as _, Postgres, Row as _, Transaction, raw_sql};
use tokio::time::timeout;

use crate::support::{Answer, Instance, World, by_outcome};

/// Phones of different prefixes.
fn phone(number: usize) -> String {
    format!("+91987{:03}0000", 100 + number)
}

/// Keeps everybody from counting, so that those who come wait, until it is dropped.
async fn hold_counters(world: &World) -> Transaction<'static, Postgres> {
    let mut lock = world.pool.begin().await.unwrap();
    let counter = raw_sql(AssertSqlSafe(
        "SELECT 1 FROM sms_counters WHERE scope = 'country:IN' FOR UPDATE",
    ));
    lock.fetch_one(counter).await.unwrap();
    lock
}

/// Makes one call, which waits for the counters, and then the others; when all of them wait behind it, the counters
/// are let go of.
async fn behind_one(
    (world, app): (&World, &Instance),
    class: &str,
    held: Transaction<'static, Postgres>,
    calls: Vec<impl Future<Output = Answer>>,
) -> Vec<Answer> {
    let somebody_waits = "EXISTS (SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock')";
    let series = format!("otp_auth_calls_waiting{{class=\"{class}\"}} ");
    let waiting = async || {
        let metrics = app.admin_get("/metrics").await.body;
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap().parse::<usize>().unwrap()
    };
    let mut calls = calls.into_iter();
    let first = calls.next().unwrap();
    let behind = calls.len();
    let others = async {
        world.until(somebody_waits).await;
        join_all(calls).await
    };
    let release = async {
        world.until(somebody_waits).await;
        let waited = async { while waiting().await < behind {} };
        let waited = timeout(Duration::from_secs(30), waited).await;
        assert!(waited.is_ok(), "they do not wait");
        held.rollback().await.unwrap();
    };
    let (first, others, ()) = join3(first, others, release).await;
    std::iter::once(first).chain(others).collect()
}

/// Sends to twenty phones, who wait for one another until the counters are let go of.
async fn twenty_sends(
    world: &World,
    app: &Instance,
    held: Transaction<'static, Postgres>,
) -> Vec<Answer> {
    let phones: Vec<_> = (1..=20).map(phone).collect();
    let sends = phones.iter().map(|phone| app.send(phone)).collect();
    behind_one((world, app), "send", held, sends).await
}

async fn number(world: &World, sql: &str) -> i64 {
    let row = raw_sql(AssertSqlSafe(sql.to_owned()));
    world.pool.fetch_one(row).await.unwrap().get(0)
}

#[sqlx::test]
async fn sends_that_wait_for_one_another_are_stored_by_one_transaction(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let app = world.instance().await;
    app.sent(&phone(0)).await;
    let held = hold_counters(&world).await;

    let answers = twenty_sends(&world, &app, held).await;

    assert_eq!(by_outcome(&answers)["201 ok"], 20);
    for n in 1..=20 {
        assert_eq!(world.sms_count(&phone(n)), 1);
    }
    let transactions = "SELECT count(DISTINCT xmin::text) FROM phone_throttles";
    let transactions = number(&world, transactions).await;
    assert!(transactions < 11, "{transactions}");
    let counted = "SELECT hour_messages::bigint FROM sms_counters WHERE scope = 'service'";
    assert_eq!(number(&world, counted).await, 21);
    let noted =
        "SELECT count(*) FROM audit_events WHERE action = 'otp.send' AND outcome = 'success'";
    assert_eq!(number(&world, noted).await, 21);
    world.all_recorded().await;
    let sent = "SELECT count(*) FROM otp_requests WHERE delivery = 'sent' AND provider_message_id IS NOT NULL";
    assert_eq!(number(&world, sent).await, 21);
}

/// What strangers are refused, known users may have together, too.
#[sqlx::test]
async fn known_users_pass_together_where_strangers_do_not(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let app = world.instance().await;
    for phone in (1..=20).map(phone) {
        let id = app.sent(&phone).await;
        assert_eq!(app.verify(&id, &world.code(&phone)).await.status, 200);
    }
    world.clock.advance(86_400);
    let on = serde_json::json!({"on": true, "reason": "drill"});
    let switch = app.admin(reqwest::Method::PUT, "/admin/v1/switches/emergency");
    assert_eq!(Answer::of(switch.json(&on)).await.status, 200);
    let stranger = app.send(&phone(0)).await;
    assert_eq!(stranger.status, 429, "{}", stranger.body);
    let held = hold_counters(&world).await;

    let answers = twenty_sends(&world, &app, held).await;

    assert_eq!(by_outcome(&answers)["201 ok"], 20);
    let transactions = "SELECT count(DISTINCT xmin::text) FROM phone_throttles";
    let transactions = number(&world, transactions).await;
    assert!(transactions < 11, "{transactions}");
}

/// Of those who come together as many pass as there is room for, and whoever does not leaves no trace.
#[sqlx::test]
async fn together_no_more_pass_than_one_by_one(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::at_midnight(connect).await;
    let ceiling = [
        ("LIMITS__SPEND__MESSAGES_PER_HOUR", "10"),
        ("LIMITS__SPEND__RESERVED_FOR_KNOWN_PERCENT", "0"),
    ];
    let app = world.instance_with(&ceiling, "").await;
    app.sent(&phone(0)).await;
    let held = hold_counters(&world).await;

    let answers = twenty_sends(&world, &app, held).await;

    let outcomes = by_outcome(&answers);
    assert_eq!(outcomes["201 ok"], 9, "{outcomes:?}");
    assert_eq!(outcomes["503 provider_unavailable"], 11, "{outcomes:?}");
    let counted = "SELECT hour_messages::bigint FROM sms_counters WHERE scope = 'service'";
    assert_eq!(number(&world, counted).await, 10);
    for table in ["phone_throttles", "otp_requests"] {
        let rows = format!("SELECT count(*) FROM {table}");
        assert_eq!(number(&world, &rows).await, 10, "{table}");
    }
    let warned = app.events("action=spend.warning").await;
    assert_eq!(warned.len(), 3, "50, 80 and 100 %, once each: {warned:?}");
}

/// What an address may ask for holds for those of it that come together, too.
#[sqlx::test]
async fn together_an_address_gets_what_it_gets_one_by_one(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let limits = [
        ("LIMITS__IP__PHONES_PER_DAY", "4"),
        ("LIMITS__PUMPING__MODE", "record_only"),
        ("SERVER__TRUSTED_PROXIES", "127.0.0.1/32"),
    ];
    let app = world.instance_with(&limits, "").await;
    let send = |number: usize| {
        let address = format!("203.0.113.{}", 1 + number % 3);
        let body = serde_json::json!({"phone_number": phone(number)});
        let call = app.request(reqwest::Method::POST, "/v1/otp/send");
        Answer::of(call.header("X-Forwarded-For", address).json(&body))
    };

    let answers = join_all((0..30).map(send)).await;

    let outcomes = by_outcome(&answers);
    assert_eq!(outcomes["201 ok"], 12, "{outcomes:?}");
    assert_eq!(outcomes["429 rate_limited"], 18, "{outcomes:?}");
    let phones = "SELECT sum(cardinality(phones))::bigint FROM address_throttles";
    assert_eq!(number(&world, phones).await, 12);
}

#[sqlx::test]
async fn right_codes_that_wait_for_one_another_are_used_up_by_one_transaction(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let app = world.instance().await;
    let mut codes = Vec::new();
    for phone in (0..20).map(phone) {
        let id = app.sent(&phone).await;
        codes.push((id, world.code(&phone)));
    }
    // The last one twice: one of the two wins.
    codes.push(codes[19].clone());
    let held = hold_counters(&world).await;

    let verifies = codes.iter().map(|(id, code)| app.verify(id, code));
    let answers = behind_one((&world, &app), "login", held, verifies.collect()).await;

    let outcomes = by_outcome(&answers);
    assert_eq!(outcomes["200 ok"], 20, "{outcomes:?}");
    assert_eq!(outcomes["400 otp_request_expired"], 1, "{outcomes:?}");
    let transactions = "SELECT count(DISTINCT xmin::text) FROM sessions";
    let transactions = number(&world, transactions).await;
    assert!(transactions < 11, "{transactions}");
    let counter =
        |column| format!("SELECT {column}::bigint FROM sms_counters WHERE scope = 'country:IN'");
    assert_eq!(number(&world, &counter("day_verified")).await, 20);
    assert_eq!(number(&world, &counter("hour_unverified")).await, 0);
    assert_eq!(number(&world, &counter("day_unverified")).await, 0);
    let noted =
        "SELECT count(*) FROM audit_events WHERE action = 'otp.verify' AND outcome = 'success'
        AND user_id IS NOT NULL AND session_id IS NOT NULL";
    assert_eq!(number(&world, noted).await, 20);
    for (n, answer) in answers.iter().take(19).enumerate() {
        let id = answer.text("session_id");
        let own = format!(
            "SELECT count(*) FROM sessions JOIN users ON users.id = user_id JOIN otp_requests USING (phone_index)
             WHERE sessions.id = '{id}' AND otp_requests.id = '{}'",
            codes[n].0
        );
        assert_eq!(
            number(&world, &own).await,
            1,
            "each gets the session of his own phone"
        );
    }
}
