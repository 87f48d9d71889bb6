//! Forged headers, and codes and keys that are used again.

use std::net::Ipv4Addr;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use crate::api::{Path, forwarded};
use crate::bursts::{SENDS_OF_AN_ADDRESS, sent};
use crate::places::{attacker, household, phone};
use crate::report::Report;
use crate::sim::at_once;
use crate::world::Lab;
use crate::{Failure, Size};

/// A peer that no replica trusts.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Calls with forged headers.
const FORGED: u32 = 1_000;
/// Copies of one call at the same instant.
const COPIES: u32 = 50;

/// A new address in every header of every call.
pub(crate) async fn headers(lab: &Lab, _size: Size) -> Result<Report, Failure> {
    let world = lab.world("headers", &[]).await?;
    let api = world.api.as_peer(STRANGER)?;

    let calls = stream::iter(0..FORGED).map(async |n| {
        let address = attacker(n);
        let forged = [
            ("X-Forwarded-For", address.to_string()),
            ("Forwarded", format!("for={address}")),
            ("X-Real-IP", address.to_string()),
        ];
        let body = json!({"phone_number": phone(n.into())});
        api.call(Path::Send, &body, &forged).await
    });
    let answers: Vec<_> = calls.buffer_unordered(24).try_collect().await?;

    let passed = answers.iter().filter(|answer| answer.status == 201);
    let passed = u64::try_from(passed.count())?;
    let mut report = Report::new("headers", &world, passed, &[]);
    report.figure("passed", format!("{passed} of {FORGED}"));
    report.equal("sends that passed", passed, SENDS_OF_AN_ADDRESS);
    world.end().await?;
    Ok(report)
}

/// A used code, another request's code, and a used `Idempotency-Key`.
pub(crate) async fn replay(lab: &Lab, _size: Size) -> Result<Report, Failure> {
    let world = lab.world("replay", &[]).await?;
    let (used, other) = (sent(&world, 0).await?, sent(&world, 1).await?);

    let typed = (used.request.as_str(), used.code.as_str());
    let copies = (0..COPIES).map(|n| world.api.verify(attacker(n), typed, None));
    let mut answers = at_once(copies).await?;
    let mut n = COPIES;
    for seconds in [1, 59, 240, 3_600, 86_400] {
        world.advance(seconds);
        answers.push(world.api.verify(attacker(n), typed, None).await?);
        n += 1;
    }
    let used_times = answers.iter().filter(|answer| answer.status == 200);
    let used_times = u64::try_from(used_times.count())?;

    let (stolen, mine) = (sent(&world, 2).await?, sent(&world, 3).await?);
    let mut strange = 0;
    for code in [&mine.code, &other.code, &used.code] {
        // One in a million is the same by chance, and then right.
        if *code != stolen.code {
            let typed = (stolen.request.as_str(), code.as_str());
            let answer = world.api.verify(attacker(n), typed, None).await?;
            strange += u64::from(answer.status != 401);
        }
    }

    let [forwarded] = forwarded(household(9));
    let headers = [forwarded, ("Idempotency-Key", "the-same-key".to_owned())];
    let mut conflicts = 0;
    for n in [4, 5, 6] {
        let body = json!({"phone_number": phone(n)});
        let answer = world.api.call(Path::Send, &body, &headers).await?;
        conflicts += u64::from(answer.status == 422);
    }

    let mut report = Report::new("replay", &world, 0, &[]);
    let tried = answers.len();
    report.figure("one code taken", format!("{used_times} of {tried} times"));
    report.figure("answers 422 to a key with another body", conflicts);
    report.equal("times that one code was taken", used_times, 1);
    report.zero("another request's code not called wrong", strange);
    report.equal("422 for a used key with another body", conflicts, 2);
    let further = world.inbox.count(&phone(5)) + world.inbox.count(&phone(6));
    report.zero("SMS for a used key with another body", further);
    world.end().await?;
    Ok(report)
}
