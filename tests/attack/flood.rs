//! Flooding one phone with SMS, from many addresses, for a day.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;

use crate::places::{attacker, household, phone};
use crate::report::Report;
use crate::sim::{self, Queue};
use crate::user::{Habits, Login, Tally};
use crate::world::Lab;
use crate::{Failure, Size};

/// Logins of the owner meanwhile, with the device that logged in before.
const LOGINS: u32 = 3;
/// The most SMS that strangers may send to one phone in 24 hours (`limits.phone.sends_per_day`).
const MOST_A_DAY: u64 = 10;

enum Actor<'a> {
    /// Calls once.
    Bot(u32),
    /// Calls whenever it was told to come back.
    Patient(u32),
    Owner(Login<'a>),
}

pub(crate) async fn run(lab: &Lab, size: Size) -> Result<Report, Failure> {
    let world = lab.world("flood", &[]).await?;
    let bots = if size.short { 1_000 } else { 10_000 };
    let (victim, home) = (phone(0), household(0));
    let owner = Tally::default();
    let mut rng = size.rng("flood");

    let login = |rng: &mut fastrand::Rng| {
        Login::new((&world, &owner), &victim, home, Habits::prompt(rng)).with_receipt()
    };
    let mut queue = Queue::new(1);
    queue.push(world.start, login(&mut rng));
    let begin = world.start + TimeDelta::hours(1);
    sim::run(&world, queue, begin, Login::step).await?;

    let end = begin + TimeDelta::days(1);
    let day = (end - begin).num_seconds();
    let mut queue = Queue::new(1);
    queue.push(begin, Actor::Patient(bots));
    for n in 0..bots {
        let at = begin + TimeDelta::seconds(rng.i64(0..day));
        queue.push(at, Actor::Bot(n));
    }
    for _ in 0..LOGINS {
        // Early enough to be done before the day is over.
        let at = begin + TimeDelta::seconds(rng.i64(0..day - 60));
        queue.push(at, Actor::Owner(login(&mut rng)));
    }
    let caused = AtomicU64::new(0);
    sim::run(&world, queue, end, async |actor| {
        let (n, patient) = match actor {
            Actor::Bot(n) => (n, false),
            Actor::Patient(n) => (n, true),
            Actor::Owner(login) => {
                let next = login.step().await?;
                return Ok(next.map(|(wait, login)| (wait, Actor::Owner(login))));
            }
        };
        let answer = world.api.send(attacker(n), &victim, None).await?;
        let sent = answer.status == 201;
        caused.fetch_add(u64::from(sent), Ordering::Relaxed);
        // At once again after an SMS: the refusal tells when the next one passes.
        let wait = if sent { 1 } else { answer.wait() };
        Ok(patient.then_some((wait, Actor::Patient(n + 1))))
    })
    .await?;

    let caused = caused.into_inner();
    let mut report = Report::new("flood", &world, caused, &[&owner]);
    report.figure("addresses", bots);
    report.figure("SMS at the victim that strangers caused", caused);
    report.at_most("SMS that strangers sent in 24 h", caused, MOST_A_DAY);
    report.zero("owner's logins refused", owner.refused());
    report.equal("owner's logins done", owner.signed_in(), owner.tried());
    world.end().await?;
    Ok(report)
}
