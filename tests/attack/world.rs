//! Everything around the callers: a database, a sandbox, a clock and the replicas.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use otp_auth::app::{App, Deps};
use otp_auth::clock::Clock as _;
use otp_auth::config::Settings;
use otp_auth::dev::postgres::{DataDir, PostgresOptions, PrivatePostgres};
use otp_auth::random::{SystemRandom, bytes};
use otp_auth::sandbox::{Mode, Sandbox, SandboxHandle, SandboxOptions};
use secrecy::ExposeSecret as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, raw_sql};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Failure;
use crate::api::Api;
use crate::clock::SimClock;
use crate::inbox::Inbox;

/// Three replicas' pools, and what starts and asks beside them.
const MAX_CONNECTIONS: u16 = 60;
/// More than any scenario spends: four million SMS.
const BALANCE_PAISE: i64 = 100_000_000;
/// Replicas of the service.
const REPLICAS: usize = 3;
/// The peer that the replicas believe.
const PROXY: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What is the same in every scenario, without `OTP_AUTH__`. The limits of config/default.toml are what is
/// attacked.
const SETTINGS: &[(&str, &str)] = &[
    ("SERVER__BIND", "127.0.0.1:0"),
    ("SERVER__ADMIN_BIND", "127.0.0.1:0"),
    ("SERVER__WORKERS", "1"),
    ("SERVER__SHUTDOWN_GRACE_SECONDS", "0"),
    ("SERVER__TRUSTED_PROXIES", "127.0.0.1/32"),
    ("STARTMESSAGING__API_KEY", "sm_live_of_the_attack"),
    // How long a loaded machine takes is not what is attacked.
    ("STARTMESSAGING__TIMEOUT_MS", "60000"),
    ("DATABASE__ACQUIRE_TIMEOUT_MS", "60000"),
    ("DATABASE__STATEMENT_TIMEOUT_MS", "60000"),
    // What has no default, because only the operator knows it: ceilings for 20,000 logins a day.
    ("LIMITS__SPEND__MESSAGES_PER_DAY", "80000"),
    ("LIMITS__SPEND__MESSAGES_PER_HOUR", "20000"),
    // The default, which the profile for development changes.
    ("LIMITS__PUMPING__MODE", "enforce"),
];

/// A setting's name, without `OTP_AUTH__`, and its value.
pub(crate) type Setting = (&'static str, &'static str);

/// The database server of a run, with a database for each world.
pub(crate) struct Lab {
    postgres: PrivatePostgres,
}

impl Lab {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let options = PostgresOptions {
            data: DataDir::ThrowAway,
            durable: false,
            max_connections: MAX_CONNECTIONS,
            settings: &[],
        };
        let postgres = PrivatePostgres::start(options, &SystemRandom).await?;
        Ok(Self { postgres })
    }

    pub(crate) async fn stop(self) -> Result<(), Failure> {
        Ok(self.postgres.stop().await?)
    }

    /// Statements that no world's own database is needed for.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), Failure> {
        let mut connection = PgConnection::connect(self.postgres.url().expose_secret()).await?;
        connection
            .execute(raw_sql(AssertSqlSafe(sql.to_owned())))
            .await?;
        Ok(connection.close().await?)
    }

    /// A new world under this name, which must be one for SQL too.
    pub(crate) async fn world(&self, name: &str, settings: &[Setting]) -> Result<World, Failure> {
        self.execute(&format!("CREATE DATABASE {name}")).await?;
        let clock = Arc::new(SimClock::new());
        let sandbox = start_sandbox(&clock)?;
        let mut url = url::Url::parse(self.postgres.url().expose_secret())?;
        url.set_path(name);
        let master_key: [u8; 32] = bytes(&SystemRandom)?;
        let own = [
            ("STARTMESSAGING__BASE_URL", sandbox.url()),
            ("DATABASE__URL", url.to_string()),
            ("SECRETS__MASTER_KEY", BASE64_STANDARD.encode(master_key)),
        ];
        let given = SETTINGS.iter().chain(settings);
        let given = given.map(|(name, value)| (*name, (*value).to_owned()));
        let environment: BTreeMap<String, String> = given
            .chain(own)
            .map(|(name, value)| (format!("OTP_AUTH__{name}"), value))
            .collect();
        let settings = Settings::load(environment.into_iter(), None, clock.now())?;
        let running = watch::Sender::new(());
        let (mut replicas, mut bases) = (Vec::new(), Vec::new());
        for _ in 0..REPLICAS {
            let deps = Deps {
                clock: clock.clone(),
                random: Arc::new(SystemRandom),
            };
            let app = App::build(&settings, deps).await?;
            bases.push(format!("http://{}", app.public_addr));
            let mut world = running.subscribe();
            let until_over = async move { while world.changed().await.is_ok() {} };
            replicas.push(tokio::spawn(app.run(until_over)));
        }
        Ok(World {
            name: name.to_owned(),
            start: clock.now(),
            clock,
            inbox: Inbox::new(sandbox.clone()),
            sandbox,
            api: Api::new(bases, PROXY)?,
            running,
            replicas,
        })
    }
}

/// A running world.
pub(crate) struct World {
    /// Of its database.
    pub(crate) name: String,
    /// When it began: a midnight of UTC.
    pub(crate) start: chrono::DateTime<chrono::Utc>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) inbox: Inbox,
    /// The service behind its proxy.
    pub(crate) api: Api,
    sandbox: SandboxHandle,
    running: watch::Sender<()>,
    replicas: Vec<JoinHandle<std::io::Result<()>>>,
}

impl World {
    /// Moves the clock on by so many seconds.
    pub(crate) fn advance(&self, seconds: i64) {
        let to = self.clock.now() + chrono::TimeDelta::seconds(seconds);
        self.clock.set(to);
    }

    /// Ends the replicas and the sandbox.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        drop(self.running);
        for replica in self.replicas {
            replica.await??;
        }
        self.sandbox.stop();
        Ok(())
    }
}

fn start_sandbox(clock: &Arc<SimClock>) -> Result<SandboxHandle, Failure> {
    let mut options = SandboxOptions::new(Mode::Service);
    options.clock = clock.clone();
    options.balance_paise = BALANCE_PAISE;
    options.number_limit = false;
    options.throttle_limit = u32::MAX;
    options.delivery_delay = Duration::ZERO;
    let sandbox = Sandbox::bind("127.0.0.1:0".parse()?, options)?;
    let handle = sandbox.handle();
    tokio::spawn(sandbox.run(std::future::pending()));
    Ok(handle)
}
