//! The attack drill: what attackers get out of real instances of the service, and what it costs its
//! users.
//!
//! ```text
//! ./test attack [SCENARIO...] [--seed N] [--short]
//! ```
//!
//! Replicas run in this process, on a database of their own and a sandbox that limits nothing by
//! itself; the limits are those of `config/default.toml`. Time is simulated: the clock moves on when
//! everybody is answered.
//!
//! It is a program and no test (`harness = false`): its figures are worth reading. Run along with the
//! tests it does nothing. It exits with 1 when something does not hold that must.

mod api;
mod bursts;
mod clock;
mod day;
mod flood;
mod guess;
mod inbox;
mod outage;
mod places;
mod pumping;
mod report;
mod sim;
mod tricks;
mod user;
mod world;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use otp_auth::random::{SystemRandom, bytes};

use report::Report;
use world::Lab;

/// Why a scenario could not be run to its end.
type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
#[command(name = "attack")]
struct Arguments {
    /// Which of them; all when none is named, in a short run without the comparisons.
    scenarios: Vec<Scenario>,
    /// Repeats the decisions of a run; without it new ones are drawn, and told.
    #[arg(long)]
    seed: Option<u64>,
    /// Fewer phones, addresses and logins: a minute instead of ten.
    #[arg(long)]
    short: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scenario {
    /// Guesses the codes of a phone for a week.
    Guess,
    /// Floods a phone with SMS for a day.
    Flood,
    /// Pumps SMS into three blocks of numbers for a day.
    Pumping,
    /// The same, but the guard only records.
    PumpingRecordOnly,
    /// The same in a thousand blocks.
    PumpingWide,
    /// The same from one address.
    PumpingOneAddress,
    /// Forges addresses.
    Headers,
    /// Uses codes and keys again.
    Replay,
    /// Guesses wrong 200 times at once.
    Verify,
    /// Asks for 60 codes at once.
    Send,
    /// Takes the database away.
    Database,
    /// Only honest users.
    Day,
}

impl Scenario {
    /// Whether it only shows another one in its light. A short run leaves these out.
    fn compares(self) -> bool {
        matches!(self, Self::PumpingRecordOnly | Self::PumpingWide)
    }
}

/// How large a run is, and what its decisions are drawn from.
#[derive(Clone, Copy)]
struct Size {
    short: bool,
    seed: u64,
}

impl Size {
    /// A source for one scenario: what it draws does not depend on which others are run.
    fn rng(self, scenario: &str) -> fastrand::Rng {
        let spread = |seed: u64, byte: u8| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        fastrand::Rng::with_seed(scenario.bytes().fold(self.seed, spread))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo test` and `cargo nextest` run every test target, with arguments of their own.
    let mut arguments = std::env::args().collect::<Vec<_>>();
    if arguments.get(1).is_none_or(|first| first != "scenarios") {
        if arguments.iter().all(|argument| argument != "--list") {
            say("nothing is attacked here; ./test attack does that");
        }
        return ExitCode::SUCCESS;
    }
    arguments.remove(1);
    match Box::pin(run(Arguments::parse_from(arguments))).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("the attack failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool, Failure> {
    // Short enough to be typed again.
    let drawn = u64::from(u32::from_be_bytes(bytes(&SystemRandom)?));
    let size = Size {
        seed: arguments.seed.unwrap_or(drawn),
        short: arguments.short,
    };
    say(&format!("seed {}", size.seed));
    let mut scenarios = arguments.scenarios;
    if scenarios.is_empty() {
        let all = Scenario::value_variants().iter().copied();
        scenarios = all.filter(|one| !(size.short && one.compares())).collect();
    }
    let lab = Lab::start().await?;
    let outcome = tokio::select! {
        outcome = attack(&lab, size, scenarios) => outcome,
        stopped = tokio::signal::ctrl_c() => Err(stopped.err().map_or("stopped".into(), Into::into)),
    };
    lab.stop().await?;
    outcome
}

/// Runs the scenarios one after the other; whether all that must hold does.
async fn attack(lab: &Lab, size: Size, scenarios: Vec<Scenario>) -> Result<bool, Failure> {
    let (mut reports, mut all_is_well) = (Vec::new(), true);
    for scenario in scenarios {
        let start = Instant::now();
        let mut report = Box::pin(one(lab, size, scenario)).await?;
        report.seconds = start.elapsed().as_secs();
        say(&format!("{} ({} s)", report.name, report.seconds));
        all_is_well &= report.judge();
        reports.push(report);
    }
    report::table(&reports);
    say(if all_is_well {
        "all is well"
    } else {
        "FAILED: see the lines above"
    });
    Ok(all_is_well)
}

async fn one(lab: &Lab, size: Size, scenario: Scenario) -> Result<Report, Failure> {
    match scenario {
        Scenario::Guess => guess::run(lab, size).await,
        Scenario::Flood => flood::run(lab, size).await,
        Scenario::Pumping => pumping::enforced(lab, size).await,
        Scenario::PumpingRecordOnly => pumping::recorded(lab, size).await,
        Scenario::PumpingWide => pumping::wide(lab, size).await,
        Scenario::PumpingOneAddress => pumping::one_address(lab, size).await,
        Scenario::Headers => tricks::headers(lab, size).await,
        Scenario::Replay => tricks::replay(lab, size).await,
        Scenario::Verify => bursts::verify(lab, size).await,
        Scenario::Send => bursts::send(lab, size).await,
        Scenario::Database => outage::run(lab, size).await,
        Scenario::Day => day::run(lab, size).await,
    }
}

/// Writes one line.
fn say(line: &str) {
    // Nobody reads any more: there is nothing to be done about it.
    let _ = writeln!(io::stdout(), "{line}");
}
