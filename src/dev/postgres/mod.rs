//! A PostgreSQL of our own, for development and for tests.
//!
//! It runs the server programs that are installed on this machine, on a free port of 127.0.0.1, with
//! a role and a database both named `otp_auth`. The role may create databases and nothing more, so
//! what works here does not need a superuser elsewhere.
//!
//! Invariants:
//! - the server never outlives this process, not even when this process is killed with SIGKILL
//!   (see `server`);
//! - kept data is used by one process at a time (see `cluster`);
//! - PostgreSQL refuses to run as root, so root hands it to an unprivileged account (see
//!   `account`).

mod account;
mod cluster;
mod error;
mod files;
mod programs;
mod server;

use std::path::PathBuf;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::spawn_blocking;

pub use self::error::PostgresError;
use self::{cluster::Cluster, server::Server};
use crate::random::{self, Random};

/// Name of the role that [`PrivatePostgres::url`] logs in as, and of the database it owns.
const NAME: &str = "otp_auth";

/// How often a server that ended while starting is started again. Between choosing a free port and
/// the server's taking it, anyone else may take it; thrice in a row is another fault.
const STARTS: u32 = 3;

/// Where a [`PrivatePostgres`] keeps its data.
#[derive(Clone, Debug)]
pub enum DataDir {
    /// In this directory, which is made at the first start. Its password, log and lock lie beside
    /// it, under its name with `.password`, `.log` and `.lock` added.
    ///
    /// Where the account that runs the server may not enter the directory above it, this becomes a
    /// symbolic link to one below `/var/tmp`.
    Kept(PathBuf),
    /// In a new temporary directory, which [`PrivatePostgres::stop`] removes.
    ThrowAway,
}

/// How a [`PrivatePostgres`] is to run.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Where the data lies.
    pub data: DataDir,
    /// Whether committed data survives a crash of the machine. `false` is faster, for tests.
    pub durable: bool,
    /// How many connections the server takes at once (`max_connections`).
    pub max_connections: u16,
    /// Further settings of the server, each as `name=value`.
    pub settings: &'static [&'static str],
}

/// A running PostgreSQL server that belongs to this process.
///
/// Call [`stop`](Self::stop): dropping it only asks the server to end, without waiting, and may
/// leave parts of a throw-away directory behind.
#[derive(Debug)]
pub struct PrivatePostgres {
    // Before `cluster`, because fields are dropped in this order.
    server: Server,
    port: u16,
    cluster: Cluster,
    options: PostgresOptions,
}

impl PrivatePostgres {
    /// Makes the data directory if there is none, starts the server and waits until it answers.
    pub async fn start(
        options: PostgresOptions,
        random: &dyn Random,
    ) -> Result<Self, PostgresError> {
        let new_password = new_password(random)?;
        let run_name = uuid_name(random)?;
        let prepared = options.clone();
        let cluster =
            spawn_blocking(move || Cluster::prepare(&prepared, new_password, &run_name)).await??;

        let mut starts_left = STARTS;
        loop {
            starts_left -= 1;
            let port = server::free_port()?;
            match launch(&cluster, &options, port).await {
                Err(PostgresError::Ended { .. }) if starts_left > 0 => {}
                Err(error) => return Err(error),
                Ok(server) => {
                    return Ok(Self {
                        server,
                        port,
                        cluster,
                        options,
                    });
                }
            }
        }
    }

    /// The address of the database, with the password in it.
    pub fn url(&self) -> SecretString {
        url(self.port, &self.cluster)
    }

    /// Ends the server as a crash would, cutting its connections in the middle of what they do, and
    /// starts it again on the same data and port; [`url`](Self::url) stays true. What was committed
    /// is there again if the server is `durable`. For drills and tests.
    pub async fn restart(&mut self) -> Result<(), PostgresError> {
        self.server.crash().await?;
        self.server = launch(&self.cluster, &self.options, self.port).await?;
        Ok(())
    }

    /// Ends the server, waits until it has ended, and removes throw-away data. Open connections
    /// are cut.
    pub async fn stop(self) -> Result<(), PostgresError> {
        self.server.stop().await?;
        spawn_blocking(move || self.cluster.close()).await?
    }
}

async fn launch(
    cluster: &Cluster,
    options: &PostgresOptions,
    port: u16,
) -> Result<Server, PostgresError> {
    let server = Server::spawn(cluster.server_command(options, port)?).await?;
    let ready = server::wait_until_ready(&server, &url(port, cluster), cluster.log()).await;
    if let Err(error) = ready {
        server.stop().await?;
        return Err(error);
    }
    Ok(server)
}

fn url(port: u16, cluster: &Cluster) -> SecretString {
    let password = cluster.password().expose_secret();
    format!("postgres://{NAME}:{password}@127.0.0.1:{port}/{NAME}").into()
}

/// 192 random bits, in letters that need no escaping in an address or in SQL.
fn new_password(random: &dyn Random) -> Result<SecretString, PostgresError> {
    let bytes: [u8; 24] = random::bytes(random)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes).into())
}

/// A name no other run uses, for a throw-away directory.
fn uuid_name(random: &dyn Random) -> Result<String, PostgresError> {
    Ok(random::uuid_v4(random)?.to_string())
}
