//! Nothing starts that cannot open what is stored.

use otp_auth::doctor::Level::{Fail, Ok as Good, Warn};
use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::master_key::{NEXT_KEY, STEPS};
use crate::support::{OTHER_PHONE, PHONE, World};

#[sqlx::test]
async fn a_wrong_key_is_refused(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    world.at_step(0).await;

    let error = world.refusal(STEPS[3]).await;

    assert_eq!(
        error.to_string(),
        "the rows of this database were sealed with another secrets.master_key; start with that one (beside a \
         new one it belongs into secrets.other_master_keys), or with an empty database"
    );
    world.at_step(0).await;
}

#[sqlx::test]
async fn a_key_that_rows_need_cannot_be_taken_away(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let first = world.beside();
    let app = first.at_step(1).await;
    for phone in [PHONE, OTHER_PHONE] {
        world.log_in(&app, phone).await;
    }
    // Another replica has stored a row under the next key, and has sealed nothing anew so far.
    note(&world, 2).await;

    let error = world.refusal(STEPS[3]).await.to_string();

    assert_eq!(
        error,
        "rows need a master key that is no longer in the settings: 6 in carried_keys, 2 in otp_requests, \
         2 in sessions, 1 in signing_keys, 2 in users; put it back into secrets.other_master_keys until \
         otp_auth_master_key_rows_left is 0"
    );
    let other = [("SECRETS__OTHER_MASTER_KEYS", NEXT_KEY)];
    world.instance_with(&other, "").await;
}

#[sqlx::test]
async fn the_doctor_says_which_keys_are_needed(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let name = "secrets.master_key";
    let empty = world.patient(STEPS[0]).examine().await;
    empty.says(name, Good, "every row is sealed under it");
    world.log_in(&world.at_step(0).await, PHONE).await;

    let good = world.patient(STEPS[0]).examine().await;
    good.says(name, Good, "every row is sealed under it");
    let wrong = world.patient(STEPS[3]).examine().await;
    wrong.says(name, Fail, "were sealed with another one");

    note(&world, 2).await;
    let soon = world.patient(STEPS[2]).examine().await;
    soon.says(name, Warn, "1 in sessions, 1 in signing_keys, 1 in users");
    let early = world.patient(STEPS[3]).examine().await;
    early.says(
        name,
        Fail,
        "rows need a key that is not in the settings: 6 in carried_keys",
    );
}

/// Another replica seals with the key of a step.
async fn note(world: &World, step: usize) {
    let note = format!(
        "INSERT INTO master_keys VALUES ('\\x{}', now())",
        world.key_id(step)
    );
    let note = sqlx::raw_sql(sqlx::AssertSqlSafe(note));
    world.pool.execute(note).await.unwrap();
}

/// What the version before leaves: all of it under its one key, and no carried keys.
#[sqlx::test]
async fn a_database_of_the_version_before_keeps_its_key(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let before = world.beside();
    let login = world.log_in(&before.at_step(0).await, PHONE).await;
    drop(before);
    let forget = sqlx::raw_sql("DELETE FROM carried_keys; DELETE FROM master_keys");
    world.pool.execute(forget).await.unwrap();

    world.refusal(STEPS[3]).await;
    assert_eq!(
        world.count("carried_keys").await,
        0,
        "nothing came of a wrong key"
    );

    // Straight to the second step, which is none that one should take.
    let app = world.at_step(2).await;
    let refreshed = app.refresh(&login.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    world.log_in(&app, PHONE).await;
    assert_eq!(world.count("users").await, 1, "the number is found again");
    let origin = format!("carried_keys WHERE origin = '\\x{}'", world.key_id(0));
    assert_eq!(world.count(&origin).await, 6);
}

/// What says how a value is sealed also says whether the version before may read it: it would derive what
/// hashes from the new key, and know nobody.
#[sqlx::test]
async fn the_version_before_cannot_start_under_the_new_key(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let format = "SELECT get_byte(private_sealed, 0) FROM signing_keys";
    let app = world.at_step(2).await;
    assert_eq!(
        world.text(format).await.as_deref(),
        Some("1"),
        "as ever: it is the first key"
    );
    drop(app);

    let other = World::new(world.connect.clone()).await;
    let back = [("SECRETS__OTHER_MASTER_KEYS", NEXT_KEY)];
    other.clock.advance(61);
    let app = other.instance_with(&back, "").await;
    other.resealed(&app).await;

    assert_eq!(world.text(format).await.as_deref(), Some("2"));
}

/// A sealed column that is not in the list would be lost with the old key.
#[sqlx::test]
async fn every_sealed_column_is_known(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    world.at_step(0).await;
    let columns = "SELECT string_agg(DISTINCT table_name || '.' || column_name, ' ' ORDER BY
            table_name || '.' || column_name)
        FROM information_schema.columns JOIN pg_class AS c ON c.relname = table_name
        WHERE table_schema = 'public' AND data_type = 'bytea' AND NOT c.relispartition
            AND (column_name LIKE '%sealed%' OR column_name = 'reply')";
    assert_eq!(
        world.text(columns).await.as_deref(),
        Some(
            "access_rules.value_sealed carried_keys.sealed idempotency_keys.reply otp_requests.phone_sealed \
             phone_throttles.check_sealed phone_throttles.superseded_check_sealed sessions.seen_sealed \
             signing_keys.private_sealed spent_refresh_tokens.successor_sealed users.phone_sealed"
        ),
        "if there is another one, count it in src/master_key/store/count.rs, and seal it anew in \
         src/master_key/resealing.rs, unless its rows are gone within a day"
    );
}
