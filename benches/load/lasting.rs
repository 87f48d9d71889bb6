//! What shows only after a while, or with more than one: memory, and replicas.

use std::time::Duration;

use tokio::time::sleep;

use crate::Failure;
use crate::cluster::SERVICE;
use crate::figures::{Side, World, vendor};
use crate::process::Process;
use crate::table::{Table, Target, median};
use crate::turns::Part;
use crate::wrk::{FEW, Load, MANY};

/// Logins after which the memory is looked at.
const LOGINS: u64 = 100_000;
/// How long a process rests before that, for what it does once after a start.
const REST: Duration = Duration::from_secs(3);
/// What the vendor takes where replicas are counted.
const LATENCY_MS: u64 = 100;

/// What a login costs, of as many as there can be.
pub(crate) async fn cost(world: &World, table: &mut Table) -> Result<(), Failure> {
    let cluster = &world.cluster;
    let mut taken: [Vec<f64>; 3] = Default::default();
    for _ in 0..world.wanted.runs {
        let server = world.start(Side::Service).await?;
        world
            .login(&server, Side::Service, Part::before(MANY))
            .await?;
        let (ours, theirs, wal) = (
            server.processor_seconds()?,
            cluster.processor_seconds().await?,
            cluster.wal_bytes().await?,
        );
        let seconds = world.wanted.seconds;
        let told = world
            .login(
                &server,
                Side::Service,
                Part {
                    seconds,
                    start: 0,
                    connections: MANY,
                },
            )
            .await?;
        let logins = f64::from(u32::try_from(told.count("logins"))?);
        let wal = f64::from(u32::try_from(cluster.wal_bytes().await? - wal)?);
        let theirs = cluster.processor_seconds().await? - theirs;
        let ours = server.processor_seconds()? - ours;
        for (taken, one) in taken.iter_mut().zip([ours * 1e6, theirs * 1e6, wal]) {
            taken.push(one / logins);
        }
        server.end().await?;
    }
    let names = [
        ("processor time of a login, the service", "µs"),
        ("processor time of a login, PostgreSQL", "µs"),
        ("WAL of a login", "bytes"),
    ];
    for ((name, unit), taken) in names.into_iter().zip(taken) {
        table.add(name, (median(taken), unit, Target::None), "");
    }
    Ok(())
}

/// Memory at rest, and after many logins.
pub(crate) async fn memory(world: &World, table: &mut Table) -> Result<(), Failure> {
    let server = world.start(Side::Service).await?;
    sleep(REST).await;
    let idle = megabytes(&server)?;
    let mut start = 0;
    let mut after = async |logins: u64, connections| {
        let mut done = 0;
        while done < logins {
            let part = Part {
                seconds: 5,
                start,
                connections,
            };
            let told = world.login(&server, Side::Service, part).await?;
            done += told.count("logins");
            start += 1_000_000;
        }
        sleep(REST).await;
        megabytes(&server)
    };
    let half = after(LOGINS / 2, FEW).await?;
    let all = after(LOGINS / 2, FEW).await?;
    let of_many = after(LOGINS / 2, MANY).await?;
    table.add(
        "memory (RSS) at rest",
        (idle, "MB", Target::AtMost(20.0)),
        "",
    );
    table.add(
        "memory after 100,000 logins",
        (all, "MB", Target::AtMost(40.0)),
        format!("{FEW} connections; after half of them {half:.1} MB"),
    );
    table.add(
        "memory after 50,000 more",
        (of_many, "MB", Target::None),
        format!("{MANY} connections"),
    );
    server.end().await
}

fn megabytes(server: &Process) -> Result<f64, Failure> {
    Ok(f64::from(u32::try_from(server.resident()?)?) / 1024.0)
}

/// Sends of several replicas over one database, with a vendor that takes its time.
pub(crate) async fn replicas(world: &World, table: &mut Table) -> Result<(), Failure> {
    let slow = vendor(LATENCY_MS, &world.codes).await?;
    let mut floor = Vec::new();
    for _ in 0..world.wanted.runs.min(3) {
        let server = world.start_at(Side::Floor, &slow.url()).await?;
        floor.push(rate(world, Side::Floor, &[server]).await?);
    }
    let floor = median(floor);
    for count in [1_u32, 2, 4] {
        let mut rates = Vec::new();
        for _ in 0..world.wanted.runs.min(3) {
            let database = world.cluster.url(&world.cluster.copy(SERVICE).await?);
            let mut servers = Vec::new();
            for _ in 0..count {
                servers.push(world.setup.start(&database, &slow.url()).await?);
            }
            rates.push(rate(world, Side::Service, &servers).await?);
        }
        let name = format!("sends/s, {LATENCY_MS} ms vendor, {MANY} connections, {count} replicas");
        table.add(
            name,
            (median(rates), "/s", Target::None),
            format!("floor, one process: {floor:.0}"),
        );
    }
    slow.end().await
}

async fn rate(world: &World, side: Side, servers: &[Process]) -> Result<f64, Failure> {
    let ports: Vec<String> = servers
        .iter()
        .map(|server| server.address.port().to_string())
        .collect();
    let first = servers.first().ok_or("no server")?;
    let options = [("path", side.send().to_owned())];
    let load = Load {
        script: "send.lua",
        url: &first.url(),
        connections: MANY,
        // One for each replica, which it calls; or as for all.
        threads: 4,
        seconds: world.wanted.seconds,
        options: &options,
        ports: &ports
            .iter()
            .cycle()
            .take(4)
            .cloned()
            .collect::<Vec<_>>()
            .join(","),
    };
    let told = load.run().await?;
    if told.refused > 0 || told.broken > 0 {
        return Err(format!("{told:?}").into());
    }
    Ok(told.rate())
}
