//! SMS pumping: codes for numbers of a few blocks, which nobody verifies, among honest users.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;

use crate::guess::of_all;
use crate::places::{attacker, household, phone, time_of_day};
use crate::report::Report;
use crate::sim::{self, Queue};
use crate::user::{Habits, Login, Tally};
use crate::world::{Lab, Setting, World};
use crate::{Failure, Size};

/// The blocks of one carrier, and those of a whole numbering plan. A block is the numbers that differ in
/// their last four digits only.
const FEW_BLOCKS: u32 = 3;
const MANY_BLOCKS: u32 = 1_000;
/// What the few may leave unused in a day: each has no history (`limits.pumping.least_per_day`).
const MOST_PUMPED: u64 = 60;
/// What a country may leave unused in a day that is expected to log in 600 times: 30 %.
const MOST_PUMPED_IN_COUNTRY: u64 = 180;
/// What one address may leave unused in a day (`limits.pumping.address_least_per_day`).
const MOST_PUMPED_FROM_ADDRESS: u64 = 30;
/// Addresses of the attacker.
const ADDRESSES: u32 = 5_000;
/// Honest users who log in for the first time, and those who did the day before.
const NEW_USERS: u32 = 500;
const KNOWN_USERS: u32 = 100;
/// Calls meet within so many seconds.
const TICK: i64 = 5;

/// Ceilings of an operator who expects 600 logins a day and 54 in the best hour: four times as many.
const CEILINGS: [Setting; 2] = [
    ("LIMITS__SPEND__MESSAGES_PER_DAY", "2400"),
    ("LIMITS__SPEND__MESSAGES_PER_HOUR", "216"),
];

/// How somebody pumps, and whether the guard refuses.
struct Pumping {
    mode: &'static str,
    blocks: u32,
    addresses: u32,
}

/// As it is mostly done, against the guard as it is shipped.
const PUMPING: Pumping = Pumping {
    mode: "enforce",
    blocks: FEW_BLOCKS,
    addresses: ADDRESSES,
};

enum Actor<'a> {
    Pump { phone: String, address: u32 },
    Honest(Login<'a>),
}

/// Three blocks, and the guard that refuses.
pub(crate) async fn enforced(lab: &Lab, size: Size) -> Result<Report, Failure> {
    let (mut report, outcome) = run(lab, size, "pumping", PUMPING).await?;
    report.zero("new users refused", outcome.new_refused);
    report.at_most("SMS to the pumped blocks", outcome.pumped, MOST_PUMPED);
    Ok(report)
}

/// The same with the guard that only records, for comparison: the ceilings alone stop anything.
pub(crate) async fn recorded(lab: &Lab, size: Size) -> Result<Report, Failure> {
    let how = Pumping {
        mode: "record_only",
        ..PUMPING
    };
    Ok(run(lab, size, "pumping_record_only", how).await?.0)
}

/// So many blocks that the budget of the whole country is spent. That new users pay for it is a figure
/// worth knowing, and no fault.
pub(crate) async fn wide(lab: &Lab, size: Size) -> Result<Report, Failure> {
    let how = Pumping {
        blocks: MANY_BLOCKS,
        ..PUMPING
    };
    let (mut report, outcome) = run(lab, size, "pumping_wide", how).await?;
    report.at_most(
        "SMS to the pumped blocks",
        outcome.pumped,
        MOST_PUMPED_IN_COUNTRY,
    );
    Ok(report)
}

/// As many blocks from a single address, which must not close the country to new users.
pub(crate) async fn one_address(lab: &Lab, size: Size) -> Result<Report, Failure> {
    let how = Pumping {
        blocks: MANY_BLOCKS,
        addresses: 1,
        ..PUMPING
    };
    let (mut report, outcome) = run(lab, size, "pumping_one_address", how).await?;
    report.zero("new users refused", outcome.new_refused);
    report.at_most(
        "SMS to the pumped blocks",
        outcome.pumped,
        MOST_PUMPED_FROM_ADDRESS,
    );
    Ok(report)
}

/// What the checks of one variant need.
struct Outcome {
    pumped: u64,
    new_refused: u64,
}

async fn run(
    lab: &Lab,
    size: Size,
    name: &str,
    how: Pumping,
) -> Result<(Report, Outcome), Failure> {
    let [of_day, of_hour] = CEILINGS;
    let settings = [of_day, of_hour, ("LIMITS__PUMPING__MODE", how.mode)];
    let world = lab.world(name, &settings).await?;
    let (new, known) = (Tally::default(), Tally::default());
    let mut rng = size.rng("pumping");

    let mut queue = Queue::new(TICK);
    for n in 0..KNOWN_USERS {
        let at = time_of_day(world.start, &mut rng);
        queue.push(at, user((&world, &known), n, Habits::prompt(&mut rng)));
    }
    let begin = world.start + TimeDelta::days(1);
    sim::run(&world, queue, begin, Login::step).await?;

    let mut queue = Queue::new(TICK);
    let asked = if size.short { 2_000 } else { 50_000 };
    for _ in 0..asked {
        let (block, last) = (rng.u32(0..how.blocks), rng.u32(0..10_000));
        let pump = Actor::Pump {
            phone: format!("+91970{block:03}{last:04}"),
            address: rng.u32(0..how.addresses),
        };
        // Not rounded up into the next day, which has budgets of its own.
        let seconds = rng.i64(0..=86_400 - TICK);
        queue.push(begin + TimeDelta::seconds(seconds), pump);
    }
    for n in 0..NEW_USERS {
        let login = user(
            (&world, &new),
            KNOWN_USERS + n,
            Habits::of_a_crowd(&mut rng),
        );
        queue.push(time_of_day(begin, &mut rng), Actor::Honest(login));
    }
    for n in 0..KNOWN_USERS {
        let mut login = user((&world, &known), n, Habits::prompt(&mut rng));
        // The others come with a new device: only their numbers are known.
        if n % 2 == 0 {
            login = login.with_receipt();
        }
        queue.push(time_of_day(begin, &mut rng), Actor::Honest(login));
    }
    let pumped = AtomicU64::new(0);
    let end = begin + TimeDelta::hours(25);
    sim::run(&world, queue, end, async |actor| match actor {
        Actor::Pump { phone, address } => {
            let answer = world.api.send(attacker(address), &phone, None).await?;
            pumped.fetch_add(u64::from(answer.status == 201), Ordering::Relaxed);
            Ok(None)
        }
        Actor::Honest(login) => {
            let next = login.step().await?;
            Ok(next.map(|(wait, login)| (wait, Actor::Honest(login))))
        }
    })
    .await?;

    let pumped = pumped.into_inner();
    let mut report = Report::new(name, &world, pumped, &[&new, &known]);
    report.figure("numbers asked for", asked);
    report.figure("SMS to the pumped blocks", pumped);
    report.figure("new users refused", of_all(&new));
    report.figure("known users refused", of_all(&known));
    report.reasons(&new);
    report.zero("known users refused", known.refused());
    report.equal("known users signed in", known.signed_in(), known.tried());
    let new_refused = new.refused();
    world.end().await?;
    let outcome = Outcome {
        pumped,
        new_refused,
    };
    Ok((report, outcome))
}

fn user<'a>(of: (&'a World, &'a Tally), n: u32, habits: Habits) -> Login<'a> {
    Login::new(of, &phone(n.into()), household(n), habits)
}
