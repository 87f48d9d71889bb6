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
        Ok(Stat::of(&pid.to_string())?.own)
    }

    /// Ends it and waits until it has ended.
    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }
}

/// What proc(5)'s stat says of a process.
struct Stat {
    parent: u32,
    /// Seconds of a processor that it has used.
    own: f64,
    /// Those of its children that have ended.
    ended: f64,
}

impl Stat {
    fn of(pid: &str) -> Result<Self, Failure> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
        // From the third one on, the state.
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied().ok_or("too short");
        // In hundredths of a second, as Linux has them everywhere.
        let seconds = |user: usize| -> Result<f64, Failure> {
            let (user, system): (f64, f64) = (field(user)?.parse()?, field(user + 1)?.parse()?);
            Ok((user + system) / 100.0)
        };
        Ok(Self {
            parent: field(4)?.parse()?,
            own: seconds(14)?,
            ended: seconds(16)?,
        })
    }
}

/// The processor time of a process's parent, and of all children of that, in seconds.
pub(crate) fn family_seconds(child: u32) -> Result<f64, Failure> {
    let parent = Stat::of(&child.to_string())?.parent;
    let stat = Stat::of(&parent.to_string())?;
    let mut sum = stat.own + stat.ended;
    for process in fs::read_dir("/proc")? {
        // What is no process, or none any more, is none of its children.
        if let Some(Ok(stat)) = process?.file_name().to_str().map(Stat::of)
            && stat.parent == parent
        {
            sum += stat.own;
        }
    }
    Ok(sum)
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
