//! security.md 45: what is over leaves the database, and nothing leaves before.

use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::support::{CLIENTS, OFTEN, OTHER_PHONE, PHONE, World, wrong};

/// Seconds.
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

#[sqlx::test]
async fn a_phone_is_forgotten_when_nothing_counts_any_more(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&OFTEN, "").await.leading().await;
    // One that logged in, and has no wrong code since.
    world.log_in(&app, PHONE).await;

    world.later(&app, 25 * HOUR - 1).await;
    assert_eq!(world.count("phone_throttles").await, 1);
    world.later(&app, MINUTE).await;
    assert_eq!(world.count("phone_throttles").await, 0);

    world.log_in(&app, PHONE).await;
    assert_eq!(world.count("users").await, 1, "the user stays");
}

#[sqlx::test]
async fn wrong_codes_are_forgotten_only_of_a_phone_that_nobody_logged_in_with(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance_with(&OFTEN, "").await.leading().await;
    world.log_in(&app, PHONE).await;
    for phone in [PHONE, OTHER_PHONE] {
        let id = app.sent(phone).await;
        let answer = app.verify(&id, &wrong(&world.code(phone))).await;
        assert_eq!(answer.status, 401);
    }

    world.later(&app, 30 * DAY - 1).await;
    assert_eq!(world.count("phone_throttles").await, 2);
    world.later(&app, MINUTE).await;
    assert_eq!(world.count("phone_throttles").await, 1);
    world.later(&app, 400 * DAY).await;
    assert_eq!(
        world
            .count("phone_throttles JOIN users USING (phone_index)")
            .await,
        1,
        "whoever tries to guess his code has 99 tries, not 99 a year"
    );
}

#[sqlx::test]
async fn a_stopped_or_locked_phone_stays(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance_with(&OFTEN, "").await.leading().await;
    for phone in [PHONE, OTHER_PHONE] {
        app.sent(phone).await;
    }
    let set = format!(
        "UPDATE phone_throttles SET failures_in_row = 20, locks = 3,
             locked_until = to_timestamp({});
         UPDATE phone_throttles SET failures_in_row = 100 WHERE phone_index =
             (SELECT phone_index FROM phone_throttles ORDER BY phone_index LIMIT 1)",
        world.seconds() + 40 * DAY
    );
    let set = sqlx::raw_sql(sqlx::AssertSqlSafe(set));
    world.pool.execute(set).await.unwrap();

    world.later(&app, 40 * DAY - 10).await;
    assert_eq!(world.count("phone_throttles").await, 2);
    world.later(&app, MINUTE).await;
    assert_eq!(
        world
            .count("phone_throttles WHERE failures_in_row = 100")
            .await,
        1
    );
    assert_eq!(world.count("phone_throttles").await, 1);
}

#[sqlx::test]
async fn a_session_goes_an_hour_after_its_end_and_its_tokens_with_it(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let settings = [
        &OFTEN[..],
        &[
            ("TOKENS__REFRESH_IDLE_SECONDS", "86400"),
            ("TOKENS__REFRESH_ABSOLUTE_SECONDS", "172800"),
        ],
    ]
    .concat();
    let app = world
        .instance_with(&settings, CLIENTS)
        .await
        .leading()
        .await;
    let ended = world.log_in_as(&app, "shop", PHONE).await;
    let idle = world.log_in_as(&app, "shop", PHONE).await;
    let used = world.log_in_as(&app, "shop", OTHER_PHONE).await;
    let token = ended.text("access_token");
    let path = format!("/v1/sessions/{}", ended.text("session_id"));
    let answer = app.bearer(Method::DELETE, &path, &token).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    let count = async || world.count("sessions").await;

    world.later(&app, HOUR - 1).await;
    assert_eq!(count().await, 3);
    world.later(&app, MINUTE).await;
    assert_eq!(count().await, 2, "the one that its user ended");

    world.later(&app, DAY - 2 * HOUR).await;
    let refreshed = app
        .post_form_as(
            "shop",
            "/v1/token",
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", &used.text("refresh_token")),
            ],
        )
        .await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    world.later(&app, 2 * HOUR).await;
    assert_eq!(count().await, 1, "the one that nobody used");
    let left = world.text("SELECT id FROM sessions").await;
    assert_eq!(left, Some(used.text("session_id")));
    assert_ne!(left, Some(idle.text("session_id")));

    world.later(&app, 2 * DAY).await;
    assert_eq!(count().await, 0, "the one whose time is over");
    assert_eq!(world.count("spent_refresh_tokens").await, 0);
}

#[sqlx::test]
async fn a_kept_reply_goes_after_its_quarter_of_an_hour(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await.leading().await;
    let body = json!({"phone_number": PHONE});
    let first = app.post_once("/v1/otp/send", "key", &body).await;
    assert_eq!(first.status, 201);

    world.later(&app, 15 * MINUTE - 1).await;
    let repeated = app.post_once("/v1/otp/send", "key", &body).await;
    assert_eq!(repeated.body, first.body);
    assert_eq!(world.count("idempotency_keys").await, 1);
    world.later(&app, MINUTE).await;
    assert_eq!(world.count("idempotency_keys").await, 0);
}

#[sqlx::test]
async fn a_key_that_somebody_works_on_stays(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await.leading().await;
    app.post_once("/v1/otp/send", "key", &json!({"phone_number": PHONE}))
        .await;
    let set = format!(
        "UPDATE idempotency_keys SET reply = NULL, lease_until = to_timestamp({})",
        world.seconds() + 20 * MINUTE
    );
    let set = sqlx::raw_sql(sqlx::AssertSqlSafe(set));
    world.pool.execute(set).await.unwrap();

    world.later(&app, 20 * MINUTE - 10).await;
    assert_eq!(world.count("idempotency_keys").await, 1);
    world.later(&app, MINUTE).await;
    assert_eq!(world.count("idempotency_keys").await, 0);
}

#[sqlx::test]
async fn addresses_and_the_counters_of_prefixes_go_when_no_limit_looks_at_them(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::at_midnight(connect).await;
    let settings = [
        ("LIMITS__IP__SENDS_PER_HOUR", "50"),
        ("LIMITS__IP__PHONES_PER_DAY", "9"),
    ];
    let app = world.instance_with(&settings, "").await.leading().await;
    world.log_in(&app, PHONE).await;
    let by_kind = async |kind: &str| {
        let rows = format!("sms_counters WHERE scope LIKE '{kind}%'");
        world.count(&rows).await
    };
    assert_eq!(world.count("address_throttles").await, 1);
    for kind in ["prefix:", "address:", "client:", "country:", "service"] {
        assert_eq!(by_kind(kind).await, 1, "{kind}");
    }

    world.later(&app, DAY - 1).await;
    assert_eq!(world.count("address_throttles").await, 1);
    world.later(&app, MINUTE).await;
    assert_eq!(world.count("address_throttles").await, 0);

    world.later(&app, 14 * DAY - MINUTE).await;
    assert_eq!(by_kind("prefix:").await, 1, "of the 14th day before");
    world.later(&app, DAY).await;
    for (kind, left) in [
        ("prefix:", 0),
        ("address:", 0),
        ("client:", 1),
        ("country:", 1),
        ("service", 1),
    ] {
        assert_eq!(by_kind(kind).await, left, "{kind}");
    }
}

#[sqlx::test]
async fn rules_and_warnings_go_long_after_they_said_anything(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await.leading().await;
    let now = world.seconds();
    let rows = format!(
        "INSERT INTO access_rules (id, kind, value_key, value_sealed, verdict, reason, created_at,
             expires_at)
         SELECT gen_random_uuid(), 'phone', sha256(n::text::bytea), '', 'block', 'test',
             to_timestamp({now}), CASE WHEN n = 1 THEN to_timestamp({now}) END
         FROM generate_series(1, 2) AS n;
         INSERT INTO spend_warnings VALUES ('service', 'month', to_timestamp({now}), 80)"
    );
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(rows));
    world.pool.execute(rows).await.unwrap();

    world.later(&app, 30 * DAY - 1).await;
    assert_eq!(world.count("access_rules").await, 2);
    world.later(&app, MINUTE).await;
    assert_eq!(world.count("access_rules").await, 1);
    assert_eq!(
        world.count("access_rules WHERE expires_at IS NULL").await,
        1
    );
    assert_eq!(world.count("spend_warnings").await, 1);
    world.later(&app, 33 * DAY).await;
    assert_eq!(world.count("spend_warnings").await, 0);
}

#[sqlx::test]
async fn more_than_a_batch_goes_and_what_somebody_holds_is_left_for_the_next_time(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await.leading().await;
    let rows = format!(
        "INSERT INTO phone_throttles (phone_index, send_log, cooldown_until, last_send_id,
             live_sends, live_attempts)
         SELECT sha256(n::text::bytea), ARRAY[to_timestamp({0})], to_timestamp({0}),
             gen_random_uuid(), 0, 0
         FROM generate_series(1, 12000) AS n",
        world.seconds()
    );
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(rows));
    world.pool.execute(rows).await.unwrap();
    // A send of this very moment, which is not committed.
    let mut holder = PgConnection::connect_with(&world.connect).await.unwrap();
    holder.execute("BEGIN").await.unwrap();
    let held = holder
        .execute("SELECT FROM phone_throttles ORDER BY phone_index LIMIT 7 FOR UPDATE")
        .await
        .unwrap();
    assert_eq!(held.rows_affected(), 7);

    world.later(&app, 26 * HOUR).await;
    assert_eq!(world.count("phone_throttles").await, 7);
    holder.execute("ROLLBACK").await.unwrap();
    world.later(&app, MINUTE).await;
    assert_eq!(world.count("phone_throttles").await, 0);
}

#[sqlx::test]
async fn one_replica_removes_and_another_takes_over_when_it_is_gone(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    // A replica that died just after it took the lease.
    let dead = format!(
        "INSERT INTO leases VALUES ('retention', gen_random_uuid(), to_timestamp({}))",
        world.seconds() + 60
    );
    let dead = sqlx::raw_sql(sqlx::AssertSqlSafe(dead));
    world.pool.execute(dead).await.unwrap();
    let apps = [world.instance().await, world.instance().await];
    let leaders = async || {
        let mut leaders = 0;
        for app in &apps {
            let metrics = app.admin_get("/metrics").await.body;
            leaders += usize::from(metrics.contains("\notp_auth_retention_leads 1\n"));
        }
        leaders
    };

    world.clock.advance(50);
    assert_eq!(leaders().await, 0);
    world.clock.advance(10);
    world
        .until("EXISTS (SELECT FROM leases WHERE held_until > now() + interval '90 seconds')")
        .await;

    let led = async { while leaders().await == 0 {} };
    let led = tokio::time::timeout(std::time::Duration::from_mins(1), led).await;
    assert!(led.is_ok(), "one of them leads");
    assert_eq!(leaders().await, 1);
}
