//! The commands of the `otp-auth` program.

mod doctor;
mod keys;

use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::app::{self, App, Deps, StartError};
use crate::clock::SystemClock;
use crate::config::{ConfigError, Settings};
use crate::dev::command::{self as dev, DevError, DevOptions};
use crate::dev::test_database::{self, TestDatabaseError};
use crate::doctor::Sources;
use crate::http::openapi;
use crate::random::{self, SystemRandom};
use crate::sandbox::{Mode, Sandbox, SandboxError, SandboxOptions};
use crate::telemetry::{self, TelemetryError};
use doctor::DoctorArguments;
use keys::KeysCommand;
pub use keys::KeysError;

/// Phone login: one-time codes by SMS become signed JWTs.
#[derive(Debug, Parser)]
#[command(name = "otp-auth", version)]
pub struct Cli {
    /// A TOML file with settings, over the built-in ones and below the environment.
    #[arg(long, global = true, value_name = "FILE", env = "OTP_AUTH_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service.
    Serve,
    /// Runs everything a developer needs: a PostgreSQL of its own, the sandbox and the service.
    Dev {
        /// Where the sandbox and its inbox listen.
        #[arg(long, default_value = "127.0.0.1:8090")]
        sandbox_bind: SocketAddr,
        /// Where the database and the keys are kept between runs.
        #[arg(long, default_value = ".dev")]
        directory: PathBuf,
    },
    /// Brings the database up to this version, and ends.
    Migrate,
    /// Reads the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Looks after the keys that tokens are signed with, also while the service runs.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Checks a deployment from outside and in: 0 = nothing failed, 1 = something did, 2 = not run.
    Doctor(DoctorArguments),
    /// Runs a local StartMessaging with an inbox, for development and tests.
    Sandbox {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:8090")]
        bind: SocketAddr,
        /// Who makes the codes.
        #[arg(long, value_enum, default_value = "service")]
        mode: SandboxMode,
    },
    /// Prints the OpenAPI document.
    Openapi {
        /// The address of the service, which the document names.
        #[arg(long, default_value = "https://login.example")]
        issuer: String,
        /// That of the admin listener instead.
        #[arg(long)]
        admin: bool,
    },
    /// Asks a running service whether it is ready, and says so by exit code.
    Healthcheck,
    /// Runs a command with `DATABASE_URL` set to an empty database that is thrown away afterwards.
    TestDatabase {
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Names every fault and its mend, or prints the settings in force without their secrets.
    Check,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SandboxMode {
    /// The caller of StartMessaging does: what its servers do.
    Service,
    /// StartMessaging does: what its tutorials tell.
    Vendor,
}

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings have faults.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logging could not start.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The service could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The signing keys could not be read or changed.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The development set-up failed.
    #[error(transparent)]
    Dev(#[from] DevError),
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The throw-away database failed.
    #[error(transparent)]
    TestDatabase(#[from] TestDatabaseError),
    /// The service is not ready.
    #[error("not ready")]
    NotReady(#[source] reqwest::Error),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs one command.
pub async fn run(cli: Cli, environment: Vec<(String, String)>) -> Result<ExitCode, CliError> {
    let config = cli.config.as_deref();
    let now = deps().clock.now();
    let load = || Settings::load(environment.iter().cloned(), config, now);
    match cli.command {
        Command::Serve => {
            // The first random bytes of a process take some 30 ms, in which aws-lc measures its processor.
            drop(spawn_blocking(|| random::bytes::<1>(&SystemRandom)));
            Box::pin(serve(&load()?)).await?;
        }
        Command::Dev {
            sandbox_bind,
            directory,
        } => {
            let options = DevOptions {
                sandbox_bind,
                directory,
            };
            let stop = asked_to_stop()?;
            Box::pin(dev::run(environment, config, options, deps(), stop)).await?;
        }
        Command::Migrate => {
            app::migrate(&load()?).await?;
        }
        Command::Config(ConfigCommand::Check) => {
            io::stdout().write_all(load()?.summary().as_bytes())?;
        }
        Command::Keys(command) => {
            keys::run(command, &load()?, &deps(), &mut io::stdout()).await?;
        }
        Command::Doctor(arguments) => {
            let (mut out, mut complaints) = (io::stdout(), io::stderr());
            let sources = Sources {
                environment: &environment,
                file: config,
            };
            let deps = deps();
            let (out, complaints) = (&mut out, &mut complaints);
            return Ok(Box::pin(doctor::run(&arguments, sources, &deps, out, complaints)).await);
        }
        Command::Sandbox { bind, mode } => sandbox(bind, mode).await?,
        Command::Openapi { issuer, admin } => {
            let document = if admin {
                openapi::admin_document(&issuer)
            } else {
                openapi::document(&issuer)
            };
            writeln!(io::stdout(), "{document:#}")?;
        }
        Command::Healthcheck => healthcheck(load()?.server.admin_bind).await?,
        Command::TestDatabase { command } => {
            let url = environment
                .iter()
                .find(|(name, _)| name == test_database::DATABASE_URL);
            let url = url.map(|(_, value)| value.as_ref());
            return Ok(test_database::run(&command, url, &SystemRandom).await?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(settings: &Settings) -> Result<(), CliError> {
    telemetry::start(settings.telemetry.log_format, &settings.telemetry.log_level)?;
    let (mut stop, at_once) = (pin!(asked_to_stop()?), asked_twice()?);
    let app = tokio::select! {
        app = App::build(settings, deps()) => app?,
        // Each migration is a transaction.
        () = &mut stop => {
            tracing::info!("stopped before it was ready");
            return Ok(());
        }
    };
    tracing::info!(public = %app.public_addr, admin = %app.admin_addr, "ready");
    app.run_or_end(stop, at_once).await?;
    tracing::info!("stopped");
    Ok(())
}

async fn sandbox(bind: SocketAddr, mode: SandboxMode) -> Result<(), CliError> {
    let stop = asked_to_stop()?;
    let mode = match mode {
        SandboxMode::Service => Mode::Service,
        SandboxMode::Vendor => Mode::Vendor,
    };
    let sandbox = Sandbox::bind(bind, SandboxOptions::new(mode))?;
    writeln!(io::stdout(), "inbox: http://{}", sandbox.addr())?;
    Ok(sandbox.run(stop).await?)
}

/// Asks `/readyz`; a service that listens on all addresses is asked on the loopback one.
async fn healthcheck(admin: SocketAddr) -> Result<(), CliError> {
    let host = if admin.ip().is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        admin.ip().to_string()
    };
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(3))
        .no_proxy()
        .build()
        .map_err(CliError::NotReady)?;
    let url = format!("http://{host}:{}/readyz", admin.port());
    let answer = client
        .get(url)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    answer.map(|_| ()).map_err(CliError::NotReady)
}

fn deps() -> Deps {
    Deps {
        clock: Arc::new(SystemClock::default()),
        random: Arc::new(SystemRandom),
    }
}

/// Ends when the process is asked to: SIGTERM from a supervisor, SIGINT from a terminal.
fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    asked_times(1)
}

/// Ends when whoever asked will not wait.
fn asked_twice() -> io::Result<impl Future<Output = ()>> {
    asked_times(2)
}

fn asked_times(times: u32) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for _ in 0..times {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    })
}
