//! What the figures were taken on.

use std::fs;

use crate::Failure;
use crate::cluster::Cluster;

/// One paragraph.
pub(crate) async fn describe(cluster: &Cluster) -> Result<String, Failure> {
    let cores = std::thread::available_parallelism()?;
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("?", |line| line.trim_start_matches([' ', '\t', ':']));
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes: u64 = memory
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no MemTotal")?
        .parse()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut settings = Vec::new();
    for name in [
        "fsync",
        "synchronous_commit",
        "full_page_writes",
        "shared_buffers",
    ] {
        settings.push(format!("{name} = {}", cluster.show(name).await?));
    }
    Ok(format!(
        "{cores} cores ({processor}), {} GB, Linux {}, PostgreSQL {} ({}); load, vendor, database and server share them.",
        kilobytes / 1024 / 1024,
        kernel.trim(),
        cluster.show("server_version").await?,
        settings.join(", "),
    ))
}
