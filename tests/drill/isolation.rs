//! How much the rest of the service feels of a provider that hangs.
//!
//! In interleaved rounds of one run, verifies and key sets are measured with nothing else going on, and
//! with as many sends hanging at the provider as [`HANGING`] says. The ratios are told, not judged:
//! they are those of this machine. What is judged: no answer is a 503, and the service holds no
//! transaction open meanwhile. The service makes the codes here: where the provider checks them, a
//! verify hangs with it.

use std::time::Duration;

use otp_auth::sandbox::{Fault, FaultKind, Mode};
use secrecy::ExposeSecret;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::load::{Load, Prepared, Samples};
use crate::sql::Questions;
use crate::world::{World, WorldOptions};
use crate::{Failure, in_time, report, say};

/// Sends that hang at once.
const HANGING: usize = 200;
/// Rounds with and rounds without.
const ROUNDS: u64 = 5;
/// Verifies in one round, each of a request of its own.
const VERIFIES: usize = 400;
/// Longer than a round, so that nothing but the drill ends the hang.
const PROVIDER_TIMEOUT_MS: u64 = 60_000;
/// How long the sends may take to hang, and to be answered when they are let go.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// Measures, and tells what came out; whether all is well.
pub(crate) async fn run() -> Result<bool, Failure> {
    let world = World::new(WorldOptions {
        mode: Mode::Service,
        // Nothing but the sandbox's ids is drawn here.
        seed: 0,
        replicas: 1,
        provider_timeout_ms: PROVIDER_TIMEOUT_MS,
        settings: &[],
    })
    .await?;
    let ran = in_time(measure(&world)).await;
    let all_is_well = matches!(ran, Ok(true));
    if !all_is_well {
        say(&format!("the replica's log is in {}", world.logs()));
    }
    world.end(all_is_well).await?;
    ran
}

/// What must not have been seen during the hangs.
#[derive(Default)]
struct Seen {
    not_hanging: usize,
    unavailable: usize,
    idle_in_transaction: u64,
    long_transactions: u64,
}

async fn measure(world: &World) -> Result<bool, Failure> {
    let base = world.replicas.first().ok_or("there is no replica")?.public;
    let load = Load::new(&format!("http://{base}"), &world.sandbox)?;
    let mut questions = Questions::connect(world.postgres.url().expose_secret()).await?;
    let (mut calm, mut hung) = (Samples::default(), Samples::default());
    let mut seen = Seen::default();
    // Not measured: connections are opened, pages are read for the first time.
    let warm_up = load.prepare(VERIFIES).await?;
    load.round(warm_up, &mut Samples::default()).await?;
    for round in 0..ROUNDS {
        // Which comes first alternates, so that a machine that slows down slows down both.
        for hangs in [round % 2 == 0, round % 2 == 1] {
            let prepared = load.prepare(VERIFIES).await?;
            if hangs {
                let found = hung_round(world, &load, prepared, &mut hung, &mut questions).await?;
                seen.not_hanging += found.not_hanging;
                seen.unavailable += found.unavailable;
                seen.idle_in_transaction += found.idle_in_transaction;
                seen.long_transactions += found.long_transactions;
            } else {
                load.round(prepared, &mut calm).await?;
            }
        }
    }
    seen.unavailable += calm.unavailable + hung.unavailable;
    Ok(tell(&mut calm, &mut hung, &seen))
}

/// One round while [`HANGING`] sends hang.
async fn hung_round(
    world: &World,
    load: &Load,
    prepared: Vec<Prepared>,
    samples: &mut Samples,
    questions: &mut Questions,
) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    world.sandbox.arm(Fault::always(FaultKind::Hang));
    let mut sends = JoinSet::new();
    for _ in 0..HANGING {
        let send = load.send();
        sends.spawn(async move { send.await.map(|response| response.status().as_u16()) });
    }
    // Where they do not all hang, what is told below says why.
    drop(until(|| world.sandbox.held_replies() == HANGING).await);
    // Nothing but the hanging sends is under way now.
    seen.long_transactions += questions.long_transactions().await?;
    seen.idle_in_transaction += questions.idle_in_transaction().await?;
    let mut most_idle = 0;
    let watch = async {
        loop {
            sleep(Duration::from_millis(50)).await;
            match questions.idle_in_transaction().await {
                Ok(idle) => most_idle = most_idle.max(idle),
                Err(error) => return error,
            }
        }
    };
    tokio::select! {
        measured = load.round(prepared, samples) => measured?,
        error = watch => return Err(error.into()),
    }
    seen.idle_in_transaction += most_idle;
    seen.not_hanging = HANGING.saturating_sub(world.sandbox.held_replies());
    world.sandbox.disarm_all();
    world.proxy.cut_all();
    while let Some(answer) = sends.join_next().await {
        seen.unavailable += usize::from(answer?? == 503);
    }
    until(|| world.sandbox.held_replies() == 0).await?;
    Ok(seen)
}

/// Waits for a condition.
async fn until(holds: impl Fn() -> bool) -> Result<(), Failure> {
    let end = Instant::now() + SETTLED_WITHIN;
    while !holds() {
        if Instant::now() > end {
            return Err(format!("not so in {} s", SETTLED_WITHIN.as_secs()).into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn tell(calm: &mut Samples, hung: &mut Samples, seen: &Seen) -> bool {
    say(&format!(
        "{HANGING} sends hanging, {ROUNDS} rounds with and {ROUNDS} without"
    ));
    say(&format!(
        "{:<26} {:>7} {:>10} {:>10} {:>10} {:>10} {:>7}",
        "", "calls", "p50", "p99", "p50 hung", "p99 hung", "ratio"
    ));
    for (name, calm, hung) in [
        (
            "POST /v1/otp/verify",
            &mut calm.verifies,
            &mut hung.verifies,
        ),
        (
            "GET /.well-known/jwks.json",
            &mut calm.key_sets,
            &mut hung.key_sets,
        ),
    ] {
        let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        let (calm_99, hung_99) = (calm.percentile(99), hung.percentile(99));
        say(&format!(
            "{name:<26} {:>7} {:>10} {:>10} {:>10} {:>10} {:>7.2}",
            calm.len().min(hung.len()),
            ms(calm.percentile(50)),
            ms(calm_99),
            ms(hung.percentile(50)),
            ms(hung_99),
            hung_99.as_secs_f64() / calm_99.as_secs_f64(),
        ));
    }
    for (what, count) in [
        ("sends that did not hang", count(seen.not_hanging)),
        ("answers 503", count(seen.unavailable)),
        (
            "measured answers that were not 200",
            count(calm.failed + hung.failed),
        ),
        (
            "connections idle in a transaction",
            seen.idle_in_transaction,
        ),
        ("transactions of more than a second", seen.long_transactions),
    ] {
        say(&format!("{what:<40} {count:>5}"));
    }
    let all_is_well = seen.not_hanging == 0
        && seen.unavailable == 0
        && calm.failed + hung.failed == 0
        && seen.idle_in_transaction == 0
        && seen.long_transactions == 0;
    report::verdict(all_is_well);
    all_is_well
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}
