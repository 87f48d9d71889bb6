//! Processes: how they are started and looked at, and what those of this program have in common.

use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Failure;

/// A process that ends with its owner.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Process {
    /// Starts this program in another role, and waits until it has told its address.
    pub(crate) async fn role(arguments: &[&str]) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let first = BufReader::new(output).lines().next_line().await?;
        let address = first.ok_or("it ended at once")?.parse()?;
        Ok(Self { address, child })
    }

    /// One that is started already.
    pub(crate) fn of(child: Child, address: SocketAddr) -> Self {
        Self { address, child }
    }

    /// `http://address`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its memory in kilobytes: what of it is in RAM.
    pub(crate) fn resident(&self) -> Result<u64, Failure> {
        let pid = self.child.id().ok_or("it has ended")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kilobytes.ok_or("no VmRSS")?.parse()?)
    }

    /// The processor time that it has used, in seconds.
    pub(crate) fn processor_seconds(&self) -> Result<f64, Failure> {
        let pid = self.child.id().ok_or("it has ended")?;
        processor_seconds(pid)
    }

    /// Ends it and waits until it has ended.
    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }
}

/// Fields 14 and 15 of proc(5)'s stat, in hundredths of a second, as Linux has them everywhere.
fn processor_seconds(pid: u32) -> Result<f64, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || {
        fields
            .next()
            .ok_or("no times")?
            .parse()
            .map_err(Failure::from)
    };
    let (user, system): (f64, f64) = (ticks()?, ticks()?);
    Ok((user + system) / 100.0)
}

/// An address that nobody has just now.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// For a role: runs a server on a port of its own, and tells where it is.
macro_rules! serve {
    ($server:expr) => {{
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        crate::process::tell(listener.local_addr()?)?;
        $server.listen(listener)?.run().await?;
        Ok(())
    }};
}
pub(crate) use serve;

/// Tells the owner where this process is.
pub(crate) fn tell(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{address}")?;
    out.flush()
}
