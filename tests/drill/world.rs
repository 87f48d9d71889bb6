//! Everything around the logins: a database, a sandbox, the proxy before it, and the replicas.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use otp_auth::dev::postgres::{DataDir, PostgresOptions, PrivatePostgres};
use otp_auth::random::{SystemRandom, bytes, uuid_v4};
use otp_auth::sandbox::{Mode, Sandbox, SandboxHandle, SandboxOptions};
use secrecy::ExposeSecret;

use crate::Failure;
use crate::client::Api;
use crate::dice::SandboxDice;
use crate::proxy::Proxy;
use crate::replica::Replica;
use crate::settings::{Surroundings, environment};

/// Two replicas with their pools, and what the drill asks itself.
const MAX_CONNECTIONS: u16 = 50;
/// More than any drill spends: a million SMS.
const BALANCE_PAISE: i64 = 25_000_000;

/// How a world is to be.
pub(crate) struct WorldOptions {
    pub(crate) mode: Mode,
    pub(crate) seed: u64,
    pub(crate) replicas: usize,
    pub(crate) provider_timeout_ms: u64,
    /// Further settings of the replicas.
    pub(crate) settings: &'static [(&'static str, &'static str)],
}

/// A running world.
pub(crate) struct World {
    pub(crate) postgres: PrivatePostgres,
    pub(crate) sandbox: SandboxHandle,
    pub(crate) proxy: Proxy,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) api: Arc<Api>,
    pub(crate) master_key: [u8; 32],
    logs: PathBuf,
}

impl World {
    pub(crate) async fn new(options: WorldOptions) -> Result<Self, Failure> {
        let sandbox = start_sandbox(&options)?;
        let upstream = sandbox.url().trim_start_matches("http://").parse()?;
        let proxy = Proxy::start(upstream, options.seed).await?;
        // It is to be crashed, and what a caller was told must be there afterwards.
        let postgres = PostgresOptions {
            data: DataDir::ThrowAway,
            durable: true,
            max_connections: MAX_CONNECTIONS,
            settings: &[],
        };
        let postgres = PrivatePostgres::start(postgres, &SystemRandom).await?;
        let logs = std::env::temp_dir().join(format!("otp-auth-drill-{}", uuid_v4(&SystemRandom)?));
        fs::create_dir(&logs)?;
        let mut world = Self {
            postgres,
            sandbox,
            proxy,
            replicas: Vec::new(),
            api: Arc::new(Api::new(Vec::new())?),
            master_key: bytes(&SystemRandom)?,
            logs,
        };
        if let Err(error) = world.start_replicas(&options).await {
            world.end(true).await?;
            return Err(error);
        }
        Ok(world)
    }

    async fn start_replicas(&mut self, options: &WorldOptions) -> Result<(), Failure> {
        let ports = free_addresses(options.replicas * 2)?;
        for (number, pair) in ports.chunks(2).enumerate() {
            let [public, admin] = pair else { continue };
            let environment = environment(&Surroundings {
                public: *public,
                admin: *admin,
                database_url: self.postgres.url().expose_secret(),
                provider_url: &self.proxy.url(),
                provider_timeout_ms: options.provider_timeout_ms,
                code_owner: match options.mode {
                    Mode::Service => "service",
                    Mode::Vendor => "vendor",
                },
                master_key: &BASE64_STANDARD.encode(self.master_key),
                settings: options.settings,
            });
            let log = self.logs.join(format!("replica-{number}.log"));
            let replica = Replica::start((*public, *admin), environment, log).await?;
            self.replicas.push(replica);
        }
        let bases = self.replicas.iter().map(|r| format!("http://{}", r.public));
        self.api = Arc::new(Api::new(bases.collect())?);
        Ok(())
    }

    /// Where the replicas' logs are.
    pub(crate) fn logs(&self) -> String {
        self.logs.display().to_string()
    }

    /// Ends everything; the logs are kept where somebody will want to read them.
    pub(crate) async fn end(self, without_logs: bool) -> Result<(), Failure> {
        for replica in self.replicas {
            replica.kill().await?;
        }
        self.sandbox.stop();
        self.postgres.stop().await?;
        if without_logs {
            fs::remove_dir_all(self.logs)?;
        }
        Ok(())
    }
}

fn start_sandbox(options: &WorldOptions) -> Result<SandboxHandle, Failure> {
    let mut of_sandbox = SandboxOptions::new(options.mode);
    of_sandbox.random = Arc::new(SandboxDice::new(options.seed));
    of_sandbox.balance_paise = BALANCE_PAISE;
    of_sandbox.number_limit = false;
    of_sandbox.throttle_limit = u32::MAX;
    of_sandbox.delivery_delay = Duration::ZERO;
    let sandbox = Sandbox::bind("127.0.0.1:0".parse()?, of_sandbox)?;
    let handle = sandbox.handle();
    tokio::spawn(sandbox.run(std::future::pending()));
    Ok(handle)
}

/// Addresses that are free now. They are chosen once, so that a replica has the same one after it
/// was killed.
fn free_addresses(count: usize) -> Result<Vec<SocketAddr>, Failure> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr);
    Ok(addresses.collect::<Result<_, _>>()?)
}
