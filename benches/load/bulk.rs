//! The same on a large database.

use crate::cluster::SERVICE;
use crate::figures::{Side, World};
use crate::process::Process;
use crate::table::{Table, Target, mean, median};
use crate::wrk::{MANY, Told};
use crate::{Failure, say};

/// Rows of each table.
const ROWS: u32 = 10_000_000;
/// Its name.
const FULL: &str = "service_full";

/// Lets the same phones be sent to again.
const FORGET: &str = "DELETE FROM phone_throttles WHERE live_request_id IS NOT NULL;
    TRUNCATE otp_requests, address_throttles, sms_counters";

/// Sends a second over a database with ten million users, and as many phones with counters, each as a part of the
/// floor's meanwhile. Not by turns of the two: what PostgreSQL keeps in memory of one, it would have to put down for the
/// other.
pub(crate) async fn full(world: &World, table: &mut Table) -> Result<(), Failure> {
    fill(world).await?;
    let (mut empty, mut full) = (Vec::new(), Vec::new());
    for _ in 0..world.wanted.runs {
        empty.push(of_floor(world, world.start(Side::Service).await?).await?);
        // Itself: it is too large to be copied each time.
        let url = world.cluster.url(FULL);
        let server = world.setup.start(&url, &world.vendor.url()).await?;
        full.push(of_floor(world, server).await?);
        world.cluster.execute(FULL, FORGET.to_owned()).await?;
    }
    let (empty, full) = (median(empty), median(full));
    let users: i64 = world
        .cluster
        .ask(FULL, "SELECT count(*) FROM users")
        .await?;
    let phones: i64 = world
        .cluster
        .ask(FULL, "SELECT count(*) FROM phone_throttles")
        .await?;
    let details = format!("{full:.2} of {empty:.2} of the floor's; {users} users, {phones} phones");
    table.add(
        "sends/s with 10,000,000 users and phones, against an empty database",
        (full / empty, "", Target::AtLeast(0.90)),
        details,
    );
    Ok(())
}

/// Sends a second, by those of the floor.
async fn of_floor(world: &World, server: Process) -> Result<f64, Failure> {
    let send = async |server: &Process, side, part| world.send(server, side, part, 0).await;
    let (floor, ours) = world.run_of_both(MANY, server, send).await?;
    Ok(mean(&ours, Told::rate) / mean(&floor, Told::rate))
}

/// Fills it without its indexes, which are made afterwards as they were: row by row takes ten times as long.
async fn fill(world: &World) -> Result<(), Failure> {
    say("filling a large database");
    let cluster = &world.cluster;
    cluster
        .execute(
            "otp_auth",
            format!("CREATE DATABASE {FULL} TEMPLATE {SERVICE}"),
        )
        .await?;
    cluster
        .execute(
            FULL,
            format!(
                "SET statement_timeout = 0;
                 ALTER TABLE sessions DROP CONSTRAINT sessions_user_id_fkey;
                 ALTER TABLE users DROP CONSTRAINT users_pkey, DROP CONSTRAINT users_phone_index_key;
                 ALTER TABLE phone_throttles DROP CONSTRAINT phone_throttles_pkey;
                 INSERT INTO users (id, phone_index, phone_sealed, created_at, last_login_at)
                     SELECT gen_random_uuid(), sha256(int4send(i)), sha256(int4send(-i)), now(), now()
                     FROM generate_series(1, {ROWS}) AS i;
                 INSERT INTO phone_throttles (phone_index, send_log, cooldown_until, last_send_id, live_sends,
                         live_attempts)
                     SELECT phone_index, ARRAY[now()], now(), id, 1, 0 FROM users;
                 ALTER TABLE users ADD PRIMARY KEY (id),
                     ADD CONSTRAINT users_phone_index_key UNIQUE (phone_index);
                 ALTER TABLE phone_throttles ADD PRIMARY KEY (phone_index);
                 ALTER TABLE sessions ADD CONSTRAINT sessions_user_id_fkey
                     FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;"
            ),
        )
        .await?;
    cluster
        .execute(FULL, "VACUUM (ANALYZE, FREEZE) users".to_owned())
        .await?;
    cluster
        .execute(FULL, "VACUUM (ANALYZE, FREEZE) phone_throttles".to_owned())
        .await
}
