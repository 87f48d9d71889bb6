//! A database that refuses all connections.

use crate::bursts::{Sent, sent};
use crate::places::{household, phone};
use crate::report::Report;
use crate::sim::at_once;
use crate::world::Lab;
use crate::{Failure, Size};

/// Sends, and as many verifies, without a database.
const CALLS: u32 = 100;

pub(crate) async fn run(lab: &Lab, _size: Size) -> Result<Report, Failure> {
    // Callers wait as long as they do in production.
    let settings = [("DATABASE__ACQUIRE_TIMEOUT_MS", "1000")];
    let world = lab.world("outage", &settings).await?;
    let before = sent(&world, 0).await?;
    let typed = (before.request.as_str(), before.code.as_str());

    let name = &world.name;
    lab.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        .await?;
    lab.execute(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    ))
    .await?;
    let phones: Vec<String> = (1..=CALLS).map(|n| phone(n.into())).collect();
    let sends = phones.iter().zip(1..);
    let sends = sends.map(|(phone, n)| world.api.send(household(n), phone, None));
    let mut answers = at_once(sends).await?;
    let verifies = (1..=CALLS).map(|n| world.api.verify(household(n), typed, None));
    answers.extend(at_once(verifies).await?);
    world.inbox.read();
    let sms = world.inbox.count("").saturating_sub(1);

    lab.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        .await?;
    let kept = world.api.verify(household(0), typed, None).await?;
    let mut well = u64::from(kept.status == 200);
    for n in 1..=10 {
        let Ok(Sent { request, code }) = sent(&world, n).await else {
            continue;
        };
        let home = household(u32::try_from(n)?);
        let answer = world.api.verify(home, (&request, &code), None).await?;
        well += u64::from(answer.status == 200);
    }

    let told = |answer: &&crate::api::Answer| answer.status == 503 && answer.retry_after.is_some();
    let told = u64::try_from(answers.iter().filter(told).count())?;
    let calls = u64::from(2 * CALLS);
    let mut report = Report::new("database", &world, 0, &[]);
    report.figure("503 with Retry-After", format!("{told} of {calls}"));
    report.equal("calls told to come back (503)", told, calls);
    report.zero("SMS meanwhile", sms);
    report.equal("logins right after it", well, 11);
    world.end().await?;
    Ok(report)
}
