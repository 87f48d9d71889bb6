//! What another master key sealed is sealed anew: all of it, also after a crash, and nothing that was written
//! meanwhile is undone.

#![expect(
    clippy::disallowed_methods,
    reason = "statements of a few tests alone need not be in .sqlx/"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use otp_auth::random::SystemRandom;
use otp_auth::secrets::{KeyId, Keyring, Purpose};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::World;

/// Makes users with these words where their numbers would be.
async fn users(pool: &PgPool, keyring: &Keyring, count: u32) {
    let index = |user: u32| {
        let mut index = vec![0; 28];
        index.extend(user.to_be_bytes());
        index
    };
    let indexes: Vec<Vec<u8>> = (0..count).map(index).collect();
    let sealed: Vec<Vec<u8>> = indexes
        .iter()
        .map(|index| seal(keyring, index, b"first"))
        .collect();
    sqlx::query(
        "INSERT INTO users (id, phone_index, phone_sealed, created_at, last_login_at)
         SELECT gen_random_uuid(), i, s, now(), now() FROM unnest($1::bytea[], $2::bytea[]) AS n (i, s)",
    )
    .bind(indexes)
    .bind(sealed)
    .execute(pool)
    .await
    .unwrap();
}

async fn all(pool: &PgPool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = sqlx::query_as("SELECT phone_index, phone_sealed FROM users");
    rows.fetch_all(pool).await.unwrap()
}

fn seal(keyring: &Keyring, index: &[u8], word: &[u8]) -> Vec<u8> {
    keyring
        .seal(Purpose::Phone, index, word, &SystemRandom)
        .unwrap()
}

async fn under(pool: &PgPool, key: KeyId) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM users WHERE substring(phone_sealed FROM 2 FOR 4) = $1")
        .bind(key.as_bytes().to_vec())
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test]
async fn another_replica_goes_on_where_one_died(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    drop(world.beside().at_step(1).await);
    users(&world.pool, &world.keyring(1).await, 9000).await;
    let (old, new) = (world.key_id(0), world.key_id(2));

    let dying = world.beside();
    let app = dying.at_step(2).await;
    let begun = async { while under(&world.pool, new).await == 0 {} };
    tokio::time::timeout(Duration::from_mins(1), begun)
        .await
        .unwrap();
    drop(dying);
    // Both at one moment: what it had begun it may still end.
    let each = sqlx::query_as::<_, (i64, i64)>(
        "SELECT count(*) FILTER (WHERE key = $1), count(*) FILTER (WHERE key = $2)
         FROM (SELECT substring(phone_sealed FROM 2 FOR 4) FROM users) AS u (key)",
    );
    let each = each
        .bind(old.as_bytes().to_vec())
        .bind(new.as_bytes().to_vec());
    let (left, done) = each.fetch_one(&world.pool).await.unwrap();
    assert!(done < 9000, "it died in the middle");
    assert_eq!(left + done, 9000, "each row is under one of them");
    drop(app);

    let app = world.at_step(2).await;
    world.resealed(&app).await;
    assert_eq!(under(&world.pool, new).await, 9000);
    let keyring = world.keyring(3).await;
    for (index, sealed) in all(&world.pool).await {
        let opened = keyring.open(Purpose::Phone, &index, &sealed);
        assert_eq!(opened.unwrap().as_slice(), b"first");
    }
}

#[sqlx::test]
async fn what_was_written_meanwhile_stays(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    drop(world.beside().at_step(1).await);
    let writer = world.keyring(1).await;
    users(&world.pool, &writer, 50).await;

    // It writes all the time, as replicas of the step before do.
    let app = world.at_step(2).await;
    let mut last = BTreeMap::new();
    for turn in 0_u32.. {
        let mut index = vec![0; 28];
        index.extend((turn % 50).to_be_bytes());
        let word = turn.to_string();
        sqlx::query("UPDATE users SET phone_sealed = $2 WHERE phone_index = $1")
            .bind(&index)
            .bind(seal(&writer, &index, word.as_bytes()))
            .execute(&world.pool)
            .await
            .unwrap();
        last.insert(index, word);
        let resealed = app.admin_get("/metrics").await.body;
        let resealed = resealed
            .lines()
            .find_map(|line| {
                line.strip_prefix("otp_auth_master_key_rows_resealed_total{table=\"users\"} ")
            })
            .and_then(|count| count.parse::<u64>().ok());
        if resealed.is_some_and(|count| count > 300) {
            break;
        }
        world.clock.advance(61);
    }

    let done = async {
        while under(&world.pool, world.key_id(0)).await > 0 {
            world.clock.advance(61);
        }
    };
    tokio::time::timeout(Duration::from_mins(1), done)
        .await
        .unwrap();
    let keyring = world.keyring(3).await;
    for (index, sealed) in all(&world.pool).await {
        let opened = keyring.open(Purpose::Phone, &index, &sealed);
        let written = last.get(&index).map_or("first", String::as_str);
        assert_eq!(opened.unwrap().as_slice(), written.as_bytes());
    }
}

#[sqlx::test]
async fn a_row_that_somebody_holds_is_waited_for(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    drop(world.beside().at_step(1).await);
    users(&world.pool, &world.keyring(1).await, 3).await;
    let mut call = world.pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM users WHERE phone_index = $1 FOR UPDATE")
        .bind(vec![0_u8; 32])
        .fetch_one(&mut *call)
        .await
        .unwrap();

    let app = world.at_step(2).await;
    let others = async { while under(&world.pool, world.key_id(2)).await < 2 {} };
    tokio::time::timeout(Duration::from_mins(1), others)
        .await
        .unwrap();
    assert_eq!(under(&world.pool, world.key_id(0)).await, 1);
    call.commit().await.unwrap();

    world.resealed(&app).await;
    assert_eq!(under(&world.pool, world.key_id(2)).await, 3);
}
