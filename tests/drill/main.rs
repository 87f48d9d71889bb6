//! The fault drill: real replicas of the service under faults, kills and a crashing database.
//!
//! ```text
//! ./test drill [--seed N] [--logins N] [--kills N] [--mode service|vendor]
//! ./test drill isolation
//! ```
//!
//! It is a program and no test (`harness = false`, `test = false`): it takes minutes, its figures are
//! worth reading, and what it finds hangs on timing. It exits with 1 when something that must be zero
//! is not.

mod checks;
mod client;
mod dice;
mod faults;
mod isolation;
mod load;
mod login;
mod plan;
mod proxy;
mod replica;
mod settings;
mod sql;
mod world;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use otp_auth::random::{SystemRandom, bytes};
use otp_auth::sandbox::Mode;
use tokio::signal::unix::{SignalKind, signal};

/// Why a drill could not be run to its end.
type Failure = Box<dyn Error + Send + Sync>;

/// The longest a drill may take.
const WITHIN: Duration = Duration::from_mins(15);

#[derive(Parser)]
#[command(
    name = "drill",
    about = "Logs in while everything around the service fails"
)]
struct Arguments {
    /// Repeats the decisions of a run; a new one is drawn and told without it.
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// How many logins.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    logins: u32,
    /// How often each of the two replicas is killed.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=100))]
    kills: u32,
    /// Who makes the codes.
    #[arg(long, value_enum, default_value = "service")]
    mode: CodeOwner,
    #[command(subcommand)]
    scenario: Option<Scenario>,
}

#[derive(Clone, Copy, ValueEnum)]
enum CodeOwner {
    Service,
    Vendor,
}

#[derive(Clone, Copy, Subcommand)]
enum Scenario {
    /// Measures verify and JWKS while 200 sends hang at the provider.
    Isolation,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(run(Arguments::parse())).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("the drill failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool, Failure> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        // Short enough to be typed again.
        None => u64::from(u32::from_be_bytes(bytes(&SystemRandom)?)),
    };
    let mode = match arguments.mode {
        CodeOwner::Service => Mode::Service,
        CodeOwner::Vendor => Mode::Vendor,
    };
    match arguments.scenario {
        Some(Scenario::Isolation) => isolation::run(seed).await,
        None => {
            say(&format!("seed {seed}, mode {mode:?}"));
            let size = faults::Size {
                seed,
                logins: usize::try_from(arguments.logins)?,
                kills: usize::try_from(arguments.kills)?,
                mode,
            };
            faults::run(size).await
        }
    }
}

/// Runs a scenario until its end, its time or a signal, whichever is first: the caller then still ends
/// what it started.
async fn in_time(scenario: impl Future<Output = Result<bool, Failure>>) -> Result<bool, Failure> {
    tokio::select! {
        ended = scenario => ended,
        () = tokio::time::sleep(WITHIN) => Err("not done in 15 minutes".into()),
        () = asked_to_stop() => Err("stopped".into()),
    }
}

/// Ends when somebody wants the drill to end.
async fn asked_to_stop() {
    let stop = async || -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    };
    if stop().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Writes one line.
fn say(line: &str) {
    // Nobody reads any more: there is nothing to be done about it.
    let _ = writeln!(io::stdout(), "{line}");
}
