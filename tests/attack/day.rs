//! An ordinary day of honest users behind the few addresses of their carriers.

use chrono::TimeDelta;

use crate::places::{carrier, phone, time_of_day};
use crate::report::Report;
use crate::sim::{self, Queue};
use crate::user::{Habits, Login, Tally};
use crate::world::Lab;
use crate::{Failure, Size};

/// Users for each login of the day: everybody logs in once a month.
const USERS_A_LOGIN: u32 = 30;
/// Users behind one address of a carrier.
const USERS_AN_ADDRESS: u32 = 2_000;
/// Calls meet within so many seconds.
const TICK: i64 = 5;

pub(crate) async fn run(lab: &Lab, size: Size) -> Result<Report, Failure> {
    let world = lab.world("day", &[]).await?;
    let logins: u32 = if size.short { 1_000 } else { 20_000 };
    let addresses = (logins * USERS_A_LOGIN).div_ceil(USERS_AN_ADDRESS);
    let crowd = Tally::default();
    let mut rng = size.rng("day");

    let mut queue = Queue::new(TICK);
    for n in 0..logins {
        let address = carrier(rng.u32(0..addresses));
        let habits = Habits::of_a_crowd(&mut rng);
        let login = Login::new((&world, &crowd), &phone(n.into()), address, habits);
        queue.push(time_of_day(world.start, &mut rng), login);
    }
    let end = world.start + TimeDelta::hours(25);
    sim::run(&world, queue, end, Login::step).await?;

    let mut report = Report::new("day", &world, 0, &[&crowd]);
    report.figure("signed in", crowd.signed_in());
    report.figure("carrier addresses", addresses);
    report.reasons(&crowd);
    report.zero("honest calls refused", crowd.refused());
    world.end().await?;
    Ok(report)
}
