//! The soak: a hundred days of logins in minutes, to see that nothing grows for ever.
//!
//! ```text
//! ./test soak [--requests N] [--days N] [--seed N] [--plot FILE]
//! ```
//!
//! One real instance of the service runs in this process, on a database of its own and a provider that
//! answers at once. Time is simulated: it moves on with every login, and at night to the next morning. After
//! each night what is left in the database is weighed, and searched for rows that should have left.
//!
//! It is a program and no test (`harness = false`): its figures are worth reading. Run along with the tests
//! it does nothing. It exits with 1 when a row stays too long, or when the last days need more room or time
//! than the ones before.

mod day;
mod figures;
mod plot;
mod vendor;
mod world;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use otp_auth::random::{SystemRandom, bytes};

use figures::Figures;
use world::World;

/// Why a soak could not be run to its end.
type Failure = Box<dyn Error + Send + Sync>;

#[derive(Clone, Parser)]
#[command(name = "soak")]
struct Arguments {
    /// Calls in all.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    requests: u32,
    /// Days over which they are spread. The audit log, which is kept for 30 days and the rest of a month here,
    /// stops to grow after 62.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(2..=400))]
    days: u16,
    /// Repeats the decisions of a run; without it new ones are drawn, and told.
    #[arg(long)]
    seed: Option<u64>,
    /// Where to write the plot, as SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo test` and `cargo nextest` run every test target, with arguments of their own.
    let mut arguments = std::env::args().collect::<Vec<_>>();
    if arguments.get(1).is_none_or(|first| first != "run") {
        if arguments.iter().all(|argument| argument != "--list") {
            say("nothing is soaked here; ./test soak does that");
        }
        return ExitCode::SUCCESS;
    }
    arguments.remove(1);
    match Box::pin(run(Arguments::parse_from(arguments))).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("the soak failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool, Failure> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => u64::from(u32::from_be_bytes(bytes(&SystemRandom)?)),
    };
    say(&format!("seed {seed}"));
    let world = World::start(arguments.days).await?;
    let soaked = tokio::select! {
        soaked = soak(&world, &arguments, seed) => soaked,
        signal = tokio::signal::ctrl_c() => Err(signal.map_or_else(Failure::from, |()| "stopped".into())),
    };
    world.end().await?;
    let figures = soaked?;
    if let Some(file) = arguments.plot {
        std::fs::write(file, plot::svg(&figures))?;
    }
    Ok(figures.verdict())
}

async fn soak(world: &World, arguments: &Arguments, seed: u64) -> Result<Figures, Failure> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut figures = Figures::default();
    let calls = arguments.requests.div_ceil(u32::from(arguments.days));
    for number in 1..=arguments.days {
        let day = day::live(world, calls, &mut rng).await?;
        world.sleep_until_morning().await?;
        figures.add(number, day, world.weigh().await?);
    }
    Ok(figures)
}

/// Tells the person who runs it.
fn say(line: &str) {
    // Nobody to tell is no reason to stop.
    let _ = writeln!(io::stderr(), "{line}");
}
