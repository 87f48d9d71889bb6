//! `otp-auth dev`: a PostgreSQL of its own, the sandbox and the service, in one process.

use std::fs;
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future;

use super::postgres::{DataDir, PostgresError, PostgresOptions, PrivatePostgres};
use crate::app::{App, Deps, StartError};
use crate::config::{ConfigError, Settings};
use crate::provider::CodeOwner;
use crate::random::{self, RandomUnavailable};
use crate::sandbox::{Mode, Sandbox, SandboxError, SandboxOptions};
use crate::telemetry::{self, TelemetryError};

/// Connections the private database takes: the service's, and some for a person with psql.
const MAX_CONNECTIONS: u16 = 50;
/// Stands for the private database's address until it is known.
const LATER_URL: &str = "postgres://127.0.0.1/otp_auth";
/// What the sandbox takes for an API key: its form is that of a real one.
const SANDBOX_KEY: &str = "sm_live_0000000000000000000000000000000000000000";

/// What the command line says.
#[derive(Debug)]
pub struct DevOptions {
    /// Where the sandbox listens.
    pub sandbox_bind: SocketAddr,
    /// Where things are kept between runs.
    pub directory: PathBuf,
}

/// The development set-up failed.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The directory or a file in it cannot be used.
    #[error("cannot use {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// No key could be made.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// The private database failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The settings have faults.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logging could not start.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The service could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Serving or printing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs everything until `stop` is done. Whatever the environment sets already is used as it is.
pub async fn run(
    mut environment: Vec<(String, String)>,
    config: Option<&Path>,
    options: DevOptions,
    deps: Deps,
    stop: impl Future<Output = ()>,
) -> Result<(), DevError> {
    let directory = make_directory(&options.directory)?;
    let sandbox = Sandbox::bind(options.sandbox_bind, SandboxOptions::new(Mode::Service))?;
    let brings_database = has_any(&environment, &["DATABASE_URL", "OTP_AUTH__DATABASE__URL"]);
    let defaults = [
        (
            "DATABASE_URL",
            "OTP_AUTH__DATABASE__URL",
            LATER_URL.to_owned(),
        ),
        (
            "STARTMESSAGING_API_KEY",
            "OTP_AUTH__STARTMESSAGING__API_KEY",
            SANDBOX_KEY.to_owned(),
        ),
        (
            "",
            "OTP_AUTH__STARTMESSAGING__BASE_URL",
            sandbox.handle().url(),
        ),
        (
            "",
            // Faults are armed by hand here; a minute after each would be a nuisance.
            "OTP_AUTH__PROVIDER__BREAKER_OPEN_MS",
            "1000".to_owned(),
        ),
        (
            "",
            "OTP_AUTH__SECRETS__MASTER_KEY",
            kept_key(&directory.join("master.key"), &deps)?,
        ),
    ];
    for (usual, name, value) in defaults {
        if !has_any(&environment, &[usual, name]) {
            environment.push((name.to_owned(), value));
        }
    }
    // All that can be wrong with the settings is told before anything is started.
    let mut settings = Settings::load(environment.into_iter(), config, deps.clock.now())?;
    sandbox
        .handle()
        .speak(match settings.startmessaging.code_owner {
            CodeOwner::Service => Mode::Service,
            CodeOwner::Vendor => Mode::Vendor,
        });
    telemetry::start(settings.telemetry.log_format, &settings.telemetry.log_level)?;
    if brings_database {
        return serve(&settings, sandbox, deps, stop).await;
    }
    let options = PostgresOptions {
        data: DataDir::Kept(directory.join("postgres")),
        durable: true,
        max_connections: MAX_CONNECTIONS,
        settings: &[],
    };
    let postgres = PrivatePostgres::start(options, deps.random.as_ref()).await?;
    settings.database.url = postgres.url();
    settings.database.direct_url = None;
    let served = serve(&settings, sandbox, deps, stop).await;
    postgres.stop().await?;
    served
}

async fn serve(
    settings: &Settings,
    sandbox: Sandbox,
    deps: Deps,
    stop: impl Future<Output = ()>,
) -> Result<(), DevError> {
    let inbox = sandbox.handle();
    let app = App::build(settings, deps).await?;
    let issuer = settings.server.issuer.as_str();
    print_welcome(
        &mut io::stdout().lock(),
        app.public_addr,
        app.admin_addr,
        &inbox.url(),
        issuer,
    )?;
    let service = async {
        let served = app.run(stop).await;
        inbox.stop();
        served
    };
    let (sandbox, service) = future::join(sandbox.run(future::pending()), service).await;
    sandbox?;
    Ok(service?)
}

/// Whether the environment sets one of these, itself or by file.
fn has_any(environment: &[(String, String)], names: &[&str]) -> bool {
    environment.iter().any(|(name, value)| {
        let name = name.strip_suffix("_FILE").unwrap_or(name);
        !value.is_empty() && names.contains(&name)
    })
}

fn make_directory(path: &Path) -> Result<PathBuf, DevError> {
    let failed = |error| DevError::Directory {
        path: path.to_owned(),
        error,
    };
    fs::create_dir_all(path)
        .and_then(|()| path.canonicalize())
        .map_err(failed)
}

/// The key of the last run, or a new one that only this user can read.
fn kept_key(path: &Path, deps: &Deps) -> Result<String, DevError> {
    let failed = |error| DevError::Directory {
        path: path.to_owned(),
        error,
    };
    match fs::read_to_string(path) {
        Ok(key) => return Ok(key.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let key = STANDARD.encode(random::bytes::<32>(deps.random.as_ref())?);
    // Written aside and renamed: a half-written key would lock the database for good.
    let aside = path.with_extension("new");
    let mut file = fs::OpenOptions::new();
    let file = file
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside);
    file.and_then(|mut file| writeln!(file, "{key}").and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&aside, path))
        .map_err(failed)?;
    Ok(key)
}

fn print_welcome(
    out: &mut impl Write,
    public: SocketAddr,
    admin: SocketAddr,
    inbox: &str,
    issuer: &str,
) -> io::Result<()> {
    write!(
        out,
        r#"
otp-auth is ready.

  service  http://{public}
  admin    http://{admin}
  inbox    {inbox}    every SMS appears here; open it in a browser
  issuer   {issuer}    in every token; OTP_AUTH__SERVER__ISSUER sets it

Send a code:

  ID=$(curl -s http://{public}/v1/otp/send -H 'Content-Type: application/json' \
    -d '{{"phone_number":"+919876543210"}}' | sed 's/.*"request_id":"\([^"]*\)".*/\1/'); echo "$ID"

Read it in the inbox, and verify it:

  CODE=$(curl -s {inbox}/sandbox/messages | sed 's/[^}}]*"code":"\([^"]*\)".*/\1/'); echo "$CODE"
  curl -s http://{public}/v1/otp/verify -H 'Content-Type: application/json' \
    -d '{{"request_id":"'"$ID"'","code":"'"$CODE"'"}}'

The keys that tokens are checked with: http://{public}/.well-known/jwks.json
Ctrl-C stops everything; the database is kept for the next run.

"#
    )?;
    out.flush()
}
