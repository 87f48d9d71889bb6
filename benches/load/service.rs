//! The service: the real program, as in production.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use otp_auth::random::{SystemRandom, bytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::Failure;
use crate::cluster::{Cluster, SERVICE};
use crate::process::{Process, free_address};
use crate::tokens::{self, ISSUER};

/// Beside the addresses: what production asks for, and limits raised so that no call is refused. All others are
/// those of the defaults; addresses have theirs too, and `lua/` calls from so many that none meets them.
const SETTINGS: &[(&str, &str)] = &[
    ("SERVER__TRUSTED_PROXIES", "127.0.0.1/32"),
    (
        "SECRETS__ADMIN_TOKEN",
        "an-admin-token-of-the-load-that-nobody-uses",
    ),
    ("STARTMESSAGING__API_KEY", "sm_live_of_the_load"),
    ("STARTMESSAGING__REQUESTS_PER_SECOND", "100000"),
    ("STARTMESSAGING__BURST", "100000"),
    // A disk that stops for half a second is no reason to refuse here: the floor waits for it too.
    ("DATABASE__ACQUIRE_TIMEOUT_MS", "10000"),
    ("LIMITS__SPEND__MESSAGES_PER_HOUR", "1000000"),
    ("LIMITS__SPEND__MESSAGES_PER_DAY", "1000000"),
    ("LIMITS__PUMPING__LEAST_PER_DAY", "1000000"),
    ("LIMITS__PUMPING__LEAST_PER_HOUR", "1000000"),
];
/// One public client.
const CLIENTS: &str = "[[clients]]\nid = \"app\"\naudience = \"api\"\n";
/// The name of the key that the tokens are made with.
pub(crate) const KID: &str = "load";
/// How long a start may take.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// How to start it.
pub(crate) struct Setup {
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    master_key: String,
    /// Signs what [`tokens::many`] makes.
    pub(crate) key: Vec<u8>,
}

impl Setup {
    /// Fills the database that all others are copied from, with a key that is known here.
    pub(crate) async fn prepare(
        program: PathBuf,
        directory: &std::path::Path,
        (cluster, vendor): (&Cluster, &str),
    ) -> Result<Self, Failure> {
        let config = directory.join("clients.toml");
        fs::write(&config, CLIENTS)?;
        let key = tokens::key()?;
        let pem = directory.join("key.pem");
        fs::write(&pem, tokens::pem(&key))?;
        let log = directory.join("service.log");
        let setup = Self {
            program,
            config,
            log,
            master_key: BASE64_STANDARD.encode(bytes::<32>(&SystemRandom)?),
            key,
        };
        // The first start makes the first key, which the other one follows.
        setup
            .start(&cluster.url(SERVICE), vendor)
            .await?
            .end()
            .await?;
        let mut import = setup.command(
            &cluster.url(SERVICE),
            vendor,
            (free_address()?, free_address()?),
        );
        import
            .args(["keys", "import"])
            .arg(pem)
            .args(["--kid", KID, "--now"]);
        let imported = import.output().await?;
        if imported.status.success() {
            Ok(setup)
        } else {
            Err(String::from_utf8_lossy(&imported.stderr).into())
        }
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&self, database: &str, vendor: &str) -> Result<Process, Failure> {
        let (public, admin) = (free_address()?, free_address()?);
        let process = Process::of(self.spawn(database, vendor, (public, admin))?, public);
        self.wait(admin, "/readyz").await?;
        Ok(process)
    }

    /// How long a start takes, from the program's start to its first 200.
    pub(crate) async fn time_start(
        &self,
        database: &str,
        vendor: &str,
    ) -> Result<Duration, Failure> {
        let (public, admin) = (free_address()?, free_address()?);
        let started = Instant::now();
        let process = Process::of(self.spawn(database, vendor, (public, admin))?, public);
        self.wait(public, "/.well-known/jwks.json").await?;
        let took = started.elapsed();
        process.end().await?;
        Ok(took)
    }

    fn spawn(
        &self,
        database: &str,
        vendor: &str,
        addresses: (SocketAddr, SocketAddr),
    ) -> Result<Child, Failure> {
        let log = File::create(&self.log)?;
        let mut command = self.command(database, vendor, addresses);
        command.arg("serve").stdout(log.try_clone()?).stderr(log);
        Ok(command.spawn()?)
    }

    fn command(
        &self,
        database: &str,
        vendor: &str,
        (public, admin): (SocketAddr, SocketAddr),
    ) -> Command {
        let mut command = Command::new(&self.program);
        let settings = SETTINGS
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let own = [
            ("SERVER__BIND", public.to_string()),
            ("SERVER__ADMIN_BIND", admin.to_string()),
            ("SERVER__ISSUER", ISSUER.to_owned()),
            ("DATABASE__URL", database.to_owned()),
            ("SECRETS__MASTER_KEY", self.master_key.clone()),
            ("STARTMESSAGING__BASE_URL", vendor.to_owned()),
        ];
        command
            .env_clear()
            .env("OTP_AUTH_ENV", "production")
            .envs(
                settings
                    .chain(own)
                    .map(|(name, value)| (format!("OTP_AUTH__{name}"), value)),
            )
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// The end of its log, for who has to find out what went wrong.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(6).collect();
        lines.join("\n")
    }

    async fn wait(&self, address: SocketAddr, path: &str) -> Result<(), Failure> {
        let end = Instant::now() + READY_WITHIN;
        while Instant::now() < end {
            if answers(address, path).await.unwrap_or(false) {
                return Ok(());
            }
            sleep(Duration::from_millis(1)).await;
        }
        let log = fs::read_to_string(&self.log)?;
        Err(format!("the service does not start:\n{log}").into())
    }
}

/// Whether a call is answered with 200.
async fn answers(address: SocketAddr, path: &str) -> Result<bool, Failure> {
    let mut connection = TcpStream::connect(address).await?;
    let call = format!("GET {path} HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n");
    connection.write_all(call.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}
