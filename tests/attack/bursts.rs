//! Many calls at the same instant, over all replicas.

use crate::places::{attacker, household, phone};
use crate::report::Report;
use crate::sim::at_once;
use crate::user::wrong;
use crate::world::{Lab, World};
use crate::{Failure, Size};

/// Wrong codes for one request that are compared (`otp.max_attempts`).
const TRIES: u64 = 5;
/// Sends of one address in a minute (`limits.ip.sends_per_minute`).
pub(crate) const SENDS_OF_AN_ADDRESS: u64 = 5;

/// A code on a phone.
pub(crate) struct Sent {
    pub(crate) request: String,
    pub(crate) code: String,
}

/// Sends a code that must go out.
pub(crate) async fn sent(world: &World, n: u64) -> Result<Sent, Failure> {
    let home = household(u32::try_from(n)?);
    let answer = world.api.send(home, &phone(n), None).await?;
    let request = answer.text("request_id");
    world.inbox.read();
    Ok(Sent {
        request: request.ok_or_else(|| format!("a first send got {}", answer.name()))?,
        code: world.inbox.code(&phone(n)).ok_or("no SMS came")?,
    })
}

/// Two hundred wrong codes for one request at once.
pub(crate) async fn verify(lab: &Lab, _size: Size) -> Result<Report, Failure> {
    let world = lab.world("verify", &[]).await?;
    let victim = sent(&world, 0).await?;
    let guess = wrong(&victim.code);

    let guesses = (0..200).map(|n| {
        let typed = (victim.request.as_str(), guess.as_str());
        world.api.verify(attacker(n), typed, None)
    });
    let answers = at_once(guesses).await?;

    let count = |status| answers.iter().filter(move |answer| answer.status == status);
    let compared = u64::try_from(count(401).count())?;
    let refused = u64::try_from(count(429).count())?;
    let mut report = Report::new("verify", &world, 0, &[]);
    report.figure("compared", format!("{compared} of 200"));
    report.equal("wrong codes compared", compared, TRIES);
    report.equal("wrong codes refused", refused, 200 - TRIES);
    world.end().await?;
    Ok(report)
}

/// Sixty sends to one phone at once, and from one address to sixty phones.
pub(crate) async fn send(lab: &Lab, _size: Size) -> Result<Report, Failure> {
    let world = lab.world("send", &[]).await?;
    let victim = phone(0);

    let one_phone = (0..60).map(|n| world.api.send(attacker(n), &victim, None));
    let answers = at_once(one_phone).await?;
    let passed = |answers: &[crate::api::Answer]| {
        u64::try_from(answers.iter().filter(|answer| answer.status == 201).count())
    };
    let to_one = passed(&answers)?;

    let phones: Vec<String> = (1..=60).map(phone).collect();
    let one_address = phones
        .iter()
        .map(|phone| world.api.send(attacker(1_000), phone, None));
    let answers = at_once(one_address).await?;
    let from_one = passed(&answers)?;

    let mut report = Report::new("send", &world, to_one + from_one, &[]);
    report.figure("to one phone", format!("{to_one} of 60"));
    report.figure("from one address", format!("{from_one} of 60"));
    report.equal("sends to one phone that passed", to_one, 1);
    report.equal("SMS on that phone", world.inbox.count(&victim), 1);
    report.equal(
        "sends of one address that passed",
        from_one,
        SENDS_OF_AN_ADDRESS,
    );
    world.end().await?;
    Ok(report)
}
