//! Where connections to the database are served: at the one runtime that all share, whoever made them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use procfs::process::{FDTarget, Process};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row as _, raw_sql};

use crate::support::{Answer, PHONE, World};

/// The service's connections to this test's database.
const OURS: &str =
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'otp-auth'";

/// The epoll instances that have sockets of this process, by the sockets' local ports.
fn epolls_of_ports() -> BTreeMap<u16, BTreeSet<i32>> {
    let process = Process::myself().unwrap();
    let ports: BTreeMap<u64, u16> = process
        .tcp()
        .unwrap()
        .into_iter()
        .map(|socket| (socket.inode, socket.local_address.port()))
        .collect();
    let mut sockets = BTreeMap::new();
    let mut epolls = Vec::new();
    for open in process.fd().unwrap().flatten() {
        if let FDTarget::Socket(inode) = open.target {
            sockets.extend(ports.get(&inode).map(|port| (open.fd, *port)));
        } else if let FDTarget::AnonInode(kind) = open.target
            && kind.contains("eventpoll")
        {
            epolls.push(open.fd);
        }
    }
    let mut found: BTreeMap<u16, BTreeSet<i32>> = BTreeMap::new();
    for epoll in epolls {
        let watched = fs::read_to_string(format!("/proc/self/fdinfo/{epoll}")).unwrap_or_default();
        let watched = watched
            .lines()
            .filter_map(|line| line.strip_prefix("tfd:"))
            .filter_map(|line| line.split_whitespace().next()?.parse::<i32>().ok());
        for port in watched.filter_map(|socket| sockets.get(&socket)) {
            found.entry(*port).or_default().insert(epoll);
        }
    }
    found
}

/// Where each of the service's connections is served. The server tells only of those that are open.
async fn served_at(world: &World) -> Vec<BTreeSet<i32>> {
    let ports = format!("SELECT client_port {OURS}");
    let rows = raw_sql(AssertSqlSafe(ports)).fetch_all(&world.pool).await;
    let epolls = epolls_of_ports();
    let ports = rows.unwrap().into_iter().map(|row| row.get::<i32, _>(0));
    let of_port = |port| epolls.get(&u16::try_from(port).unwrap()).cloned();
    ports.filter_map(of_port).collect()
}

/// Ends all connections, so that the calls have to make new ones.
async fn end_all(world: &World) {
    let end = format!("SELECT pg_terminate_backend(pid, 30000) {OURS}");
    raw_sql(AssertSqlSafe(end))
        .fetch_all(&world.pool)
        .await
        .unwrap();
}

/// Makes a call that has to make a connection, which is to be served where all others are.
async fn connects_by(world: &World, name: &str, call: impl AsyncFn() -> Answer) {
    end_all(world).await;
    // Each that was handed a connection that had ended fails.
    let mut succeeded = false;
    for _ in 0..100 {
        succeeded = (200..300).contains(&call().await.status);
        if succeeded {
            break;
        }
    }
    assert!(succeeded, "{name} never succeeds");

    let served_at = served_at(world).await;
    assert!(!served_at.is_empty(), "{name}: no connection is seen");
    let places: BTreeSet<_> = served_at.into_iter().collect();
    assert_eq!(places.len(), 1, "{name}: {places:?}");
}

#[sqlx::test]
async fn a_connection_is_not_served_by_the_thread_whose_call_made_it(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let phone = json!({ "phone_number": PHONE });

    for path in ["/readyz", "/admin/v1/rules"] {
        connects_by(&world, path, async || app.admin_get(path).await).await;
    }
    let path = "/admin/v1/phones/lookup";
    connects_by(&world, path, async || app.admin_post(path, &phone).await).await;
    connects_by(&world, "send", async || app.send(PHONE).await).await;
}
