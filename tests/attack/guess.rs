//! Guessing the code of one phone, from many addresses, for a week.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;

use crate::places::{attacker, household, phone};
use crate::report::Report;
use crate::sim::{self, Queue};
use crate::user::{Habits, Login, Tally};
use crate::world::{Lab, World};
use crate::{Failure, Size};

/// Addresses that the attacker has, used in turn.
const ADDRESSES: u32 = 10_000;
/// Days that it goes on.
const DAYS: i64 = 7;
/// A day in seconds.
const DAY: i64 = 86_400;
/// How many codes there are.
const CODES: f64 = 1e6;

/// Guesses the codes of one phone.
struct Guesser {
    phone: String,
    rng: fastrand::Rng,
    address: u32,
}

/// What all of them got.
#[derive(Default)]
struct Loot {
    sms: AtomicU64,
    compared: AtomicU64,
    hits: AtomicU64,
}

enum Actor<'a> {
    Guesser(Guesser),
    Owner(Login<'a>),
}

impl Guesser {
    fn next_address(&mut self) -> std::net::Ipv4Addr {
        self.address = (self.address + 1) % ADDRESSES;
        attacker(self.address)
    }

    /// Asks for codes and guesses them until it must wait, and says for how many seconds.
    async fn step(mut self, world: &World, loot: &Loot) -> Result<(i64, Self), Failure> {
        loop {
            let from = self.next_address();
            let sent = world.api.send(from, &self.phone, None).await?;
            if sent.status != 201 {
                return Ok((sent.wait(), self));
            }
            loot.sms.fetch_add(1, Ordering::Relaxed);
            let request = sent.text("request_id").ok_or("a send has no id")?;
            while self.guess(world, loot, &request).await? {}
        }
    }

    /// Whether it may guess once more.
    async fn guess(&mut self, world: &World, loot: &Loot, request: &str) -> Result<bool, Failure> {
        let code = format!("{:06}", self.rng.u32(0..1_000_000));
        let from = self.next_address();
        let answer = world.api.verify(from, (request, &code), None).await?;
        let hit = answer.status == 200;
        let compared = hit || answer.status == 401;
        loot.compared
            .fetch_add(u64::from(compared), Ordering::Relaxed);
        loot.hits.fetch_add(u64::from(hit), Ordering::Relaxed);
        Ok(compared && !hit)
    }
}

pub(crate) async fn run(lab: &Lab, size: Size) -> Result<Report, Failure> {
    let world = lab.world("guess", &[]).await?;
    let phones = if size.short { 2 } else { 20 };
    let (known, stranger) = (Tally::default(), Tally::default());
    let mut rng = size.rng("guess");

    let mut first = Queue::new(1);
    for n in 0..phones {
        let habits = Habits::prompt(&mut rng);
        let login = Login::new((&world, &known), &phone(n), household(low(n)), habits);
        first.push(world.start, login);
    }
    let begin = world.start + TimeDelta::hours(1);
    sim::run(&world, first, begin, Login::step).await?;

    let mut queue = Queue::new(1);
    for n in 0..phones {
        queue.push(
            begin,
            Actor::Guesser(Guesser {
                phone: phone(n),
                rng: rng.fork(),
                address: rng.u32(0..ADDRESSES),
            }),
        );
        for day in 0..DAYS {
            for receipt in [true, false] {
                let tally = if receipt { &known } else { &stranger };
                let (habits, home) = (Habits::prompt(&mut rng), household(low(n)));
                let mut login = Login::new((&world, tally), &phone(n), home, habits);
                if receipt {
                    login = login.with_receipt();
                }
                let at = begin + TimeDelta::seconds(day * DAY + rng.i64(0..DAY));
                queue.push(at, Actor::Owner(login));
            }
        }
    }
    let loot = Loot::default();
    let end = begin + TimeDelta::days(DAYS);
    sim::run(&world, queue, end, async |actor| {
        Ok(match actor {
            Actor::Guesser(guesser) => {
                let (wait, guesser) = guesser.step(&world, &loot).await?;
                Some((wait, Actor::Guesser(guesser)))
            }
            Actor::Owner(login) => login
                .step()
                .await?
                .map(|(wait, login)| (wait, Actor::Owner(login))),
        })
    })
    .await?;

    let (sms, compared) = (loot.sms.into_inner(), loot.compared.into_inner());
    let mut report = Report::new("guess", &world, sms, &[&known, &stranger]);
    let each = compared / phones;
    report.figure("phones", phones);
    report.figure("codes compared", compared);
    report.figure("for each phone in the week", each);
    report.figure("chance for one phone", chance(each));
    report.figure("chance for any of them", chance(compared));
    report.figure("hits", loot.hits.into_inner());
    report.figure("owners without receipt refused", of_all(&stranger));
    report.reasons(&stranger);
    report.zero("owners with a receipt refused", known.refused());
    report.equal(
        "owners with a receipt signed in",
        known.signed_in(),
        known.tried(),
    );
    world.end().await?;
    Ok(report)
}

/// Refused ones of those who tried.
pub(crate) fn of_all(tally: &Tally) -> String {
    format!("{} of {}", tally.refused(), tally.tried())
}

/// Chance that one of so many guesses is right.
fn chance(guesses: u64) -> String {
    let guesses = i32::try_from(guesses).unwrap_or(i32::MAX);
    let percent = 100.0 * (1.0 - (1.0 - 1.0 / CODES).powi(guesses));
    format!("{percent:.4} %")
}

fn low(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
