//! One replica: the real program as a child process, which can be killed and started again at the
//! same address.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::Failure;

/// How long a start may take on a loaded machine.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often a start is tried: while a replica is down, another program's outgoing connection may
/// for a moment be given its port.
const STARTS: u32 = 3;
/// Lines of the log that a failed start shows.
const TAIL: usize = 4;

/// A running replica. Dropping it kills it.
pub(crate) struct Replica {
    pub(crate) public: SocketAddr,
    admin: SocketAddr,
    environment: Vec<(String, String)>,
    log: PathBuf,
    process: Child,
}

impl Replica {
    /// Starts one and waits until it is ready.
    pub(crate) async fn start(
        (public, admin): (SocketAddr, SocketAddr),
        environment: Vec<(String, String)>,
        log: PathBuf,
    ) -> Result<Self, Failure> {
        let process = spawn(&environment, &log)?;
        let mut replica = Self {
            public,
            admin,
            environment,
            log,
            process,
        };
        replica.wait_until_ready().await?;
        Ok(replica)
    }

    /// Kills it with SIGKILL and starts it again.
    pub(crate) async fn kill_and_restart(&mut self) -> Result<(), Failure> {
        self.process.kill().await?;
        self.process = spawn(&self.environment, &self.log)?;
        self.wait_until_ready().await
    }

    /// Kills it.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        Ok(self.process.kill().await?)
    }

    /// What it was started with.
    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    async fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(1))
            .no_proxy()
            .build()?;
        let url = format!("http://{}/readyz", self.admin);
        let end = Instant::now() + READY_WITHIN;
        let mut starts = 1;
        loop {
            let answer = http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if self.process.try_wait()?.is_some() {
                if starts >= STARTS {
                    return Err(self.failure("a replica does not start"));
                }
                starts += 1;
                self.process = spawn(&self.environment, &self.log)?;
            }
            if Instant::now() > end {
                return Err(self.failure("a replica does not become ready"));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn failure(&self, what: &str) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL)..);
        format!("{what}:\n{}", tail.unwrap_or_default().join("\n")).into()
    }
}

fn spawn(environment: &[(String, String)], log: &PathBuf) -> Result<Child, Failure> {
    let log = File::options().create(true).append(true).open(log)?;
    let child = Command::new(env!("CARGO_BIN_EXE_otp-auth"))
        .arg("serve")
        // Nothing of the caller's own settings.
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}
