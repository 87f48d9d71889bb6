//! Where connections to the database are served: at the one runtime that all share, whoever made them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use procfs::process::{FDTarget, Process};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row as _, raw_sql};

use crate::support::{Instance, PHONE, World};

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

/// Until one succeeds: each that was handed a connection that had ended fails.
async fn succeeds(app: &Instance, call: &str) {
    for _ in 0..100 {
        let answer = match call {
            "lookup" => {
                app.admin_post("/admin/v1/phones/lookup", &json!({ "phone_number": PHONE }))
                    .await
            }
            path if path.starts_with("/v1") => {
                app.post(path, &json!({ "phone_number": PHONE })).await
            }
            path => app.admin_get(path).await,
        };
        if (200..300).contains(&answer.status) {
            return;
        }
    }
    panic!("{call} never succeeds");
}

#[sqlx::test]
async fn a_connection_is_not_served_by_the_thread_whose_call_made_it(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    // A read of the admin's, a change of it, and a call of the public's.
    for call in ["/readyz", "/admin/v1/rules", "lookup", "/v1/otp/send"] {
        end_all(&world).await;
        succeeds(&app, call).await;

        let served_at = served_at(&world).await;
        assert!(!served_at.is_empty(), "{call}: no connection is seen");
        let places: BTreeSet<_> = served_at.into_iter().collect();
        assert_eq!(places.len(), 1, "{call}: {places:?}");
    }
}
