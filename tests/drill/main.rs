//! The fault drill: real replicas of the service under faults, kills and a crashing database.
//!
//! ```text
//! ./test drill [--seed N] [--logins N] [--kills N] [--mode service|vendor]
//! ./test drill isolation
//! ./test drill rotation [--rotations N]
//! ```
//!
//! It is a program and no test (`harness = false`): it takes minutes, its figures are worth reading,
//! and what it finds hangs on timing. Run along with the tests it does nothing. It exits with 1 when
//! something that must be zero is not.

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
mod report;
mod rotation;
mod settings;
mod sql;
mod world;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use otp_auth::random::{SystemRandom, bytes};
use otp_auth::sandbox::Mode;
use tokio::signal::unix::{SignalKind, signal};

/// Why a drill could not be run to its end.
type Failure = Box<dyn Error + Send + Sync>;

/// The longest a drill may take.
const WITHIN: Duration = Duration::from_mins(15);

#[derive(Parser)]
#[command(name = "drill")]
enum Scenario {
    /// Logs in while everything around the service fails.
    Faults {
        /// Repeats the decisions of a run; without it new ones are drawn, and told.
        #[arg(long)]
        seed: Option<u64>,
        /// How many logins.
        #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u16).range(1..=5_000))]
        logins: u16,
        /// How often each of the two replicas is killed.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=100))]
        kills: u16,
        /// Who makes the codes.
        #[arg(long, value_enum, default_value = "service")]
        mode: CodeOwner,
    },
    /// Measures verify and JWKS while 200 sends hang at the provider.
    Isolation,
    /// Rotates the signing keys of two replicas under load.
    Rotation {
        /// How often.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=50))]
        rotations: u16,
        /// Repeats the decisions of a run.
        #[arg(long)]
        seed: Option<u64>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum CodeOwner {
    Service,
    Vendor,
}

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo test` and `cargo nextest` run every test target, with arguments of their own.
    match std::env::args().nth(1).as_deref() {
        Some("faults" | "isolation" | "rotation") => {}
        Some("--list") => return ExitCode::SUCCESS,
        _ => {
            say("nothing is drilled here; ./test drill does that");
            return ExitCode::SUCCESS;
        }
    }
    match Box::pin(run(Scenario::parse())).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("the drill failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(scenario: Scenario) -> Result<bool, Failure> {
    match scenario {
        Scenario::Isolation => isolation::run().await,
        Scenario::Rotation { rotations, seed } => {
            let seed = seed.map_or_else(drawn, Ok)?;
            say(&format!("seed {seed}"));
            rotation::run(rotations, seed).await
        }
        Scenario::Faults {
            seed,
            logins,
            kills,
            mode,
        } => {
            let size = faults::Size {
                seed: seed.map_or_else(drawn, Ok)?,
                logins: usize::from(logins),
                kills: usize::from(kills),
                mode: match mode {
                    CodeOwner::Service => Mode::Service,
                    CodeOwner::Vendor => Mode::Vendor,
                },
            };
            say(&format!("seed {}, mode {:?}", size.seed, size.mode));
            faults::run(size).await
        }
    }
}

/// A seed that is short enough to be typed again.
fn drawn() -> Result<u64, Failure> {
    Ok(u64::from(u32::from_be_bytes(bytes(&SystemRandom)?)))
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
