//! The load.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

use crate::Failure;

/// Threads that call: one for each core that the figures of the issue were taken with.
pub(crate) const THREADS: u32 = 2;
/// Calls under way where a server is to do as much as it can. Our own figure: with [`FEW`] the processors idle.
pub(crate) const MANY: u32 = 256;
/// Calls under way where the database is not asked, or where the figure is not of how many there can be.
pub(crate) const FEW: u32 = 64;

/// One run of wrk.
pub(crate) struct Load<'a> {
    /// Below `lua/`.
    pub(crate) script: &'a str,
    pub(crate) url: &'a str,
    pub(crate) connections: u32,
    pub(crate) threads: u32,
    pub(crate) seconds: u32,
    /// For the script.
    pub(crate) options: &'a [(&'a str, String)],
    /// Ports for the threads, if not all call `url`.
    pub(crate) ports: &'a str,
}

/// What it tells.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Told {
    duration_us: u64,
    requests: u64,
    /// Answers of 400 and more.
    pub(crate) refused: u64,
    /// Connections that were lost, and answers that came too late.
    pub(crate) broken: u64,
    p50_us: u64,
    p99_us: u64,
    #[serde(default)]
    counts: std::collections::BTreeMap<String, u64>,
}

impl Told {
    fn seconds(&self) -> f64 {
        Duration::from_micros(self.duration_us).as_secs_f64()
    }

    /// Good answers a second; where a list was worked off, as long as it lasted.
    pub(crate) fn rate(&self) -> f64 {
        let of_list = self.count("list_rate");
        if of_list > 0 {
            return per_second(of_list, 1.0);
        }
        per_second(self.requests.saturating_sub(self.refused), self.seconds())
    }

    /// Of something that the script counts, so many a second.
    pub(crate) fn rate_of(&self, name: &str) -> f64 {
        per_second(self.count(name), self.seconds())
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    pub(crate) fn p99(&self) -> Duration {
        Duration::from_micros(self.p99_us)
    }

    pub(crate) fn p50(&self) -> Duration {
        Duration::from_micros(self.p50_us)
    }
}

fn per_second(count: u64, seconds: f64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds.max(0.001)
}

impl Load<'_> {
    /// Runs it to its end.
    pub(crate) async fn run(&self) -> Result<Told, Failure> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("benches/load/lua")
            .join(self.script);
        let mut command = Command::new("wrk");
        command
            .arg(format!("-t{}", self.threads))
            .arg(format!("-c{}", self.connections))
            .arg(format!("-d{}s", self.seconds))
            .arg("--timeout=10s")
            .arg("-s")
            .arg(script)
            .arg(self.url)
            .arg("--")
            .arg(format!("threads={}", self.threads))
            .args(
                self.options
                    .iter()
                    .map(|(name, value)| format!("{name}={value}")),
            )
            .env("LOAD_PORTS", self.ports)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let most = Duration::from_secs(u64::from(self.seconds) + 30);
        let output = timeout(most, command.output()).await??;
        let output = String::from_utf8(output.stdout)?;
        let result = output.lines().find_map(|line| line.strip_prefix("RESULT "));
        let result = result.ok_or_else(|| format!("wrk told nothing: {output}"))?;
        Ok(serde_json::from_str(result)?)
    }
}
