//! Who texts: whether it is there, whether it is what the settings say, and whether it takes the key. No
//! call here has an SMS sent or costs anything.

use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;

use super::drift::{Reading, timed};
use super::report::Finding;
use super::{web, within};
use crate::app::{self, Deps};
use crate::config::{ProviderKind, Settings, StartMessaging, Webhook};
use crate::provider::probe::{self, Seen};
use crate::provider::startmessaging::probe::{Key, Probe};
use crate::provider::{BuildError, CodeOwner, ProviderError};
use crate::random;

const REACH: &str = "vendor.reach";
const MODE: &str = "vendor.mode";
const KEY: &str = "vendor.key";
const CLOCK: &str = "vendor.clock";

/// Checks whichever vendor the settings choose.
pub(super) async fn check(
    settings: &Settings,
    deps: &Deps,
    deadline: Duration,
) -> Result<Vec<Finding>, BuildError> {
    match &settings.provider.kind {
        ProviderKind::StartMessaging => {
            startmessaging(&settings.startmessaging, deps, deadline).await
        }
        ProviderKind::Webhook(own) => Ok(webhook(own, deps, deadline).await),
    }
}

/// What is said without settings.
pub(super) fn unknown(why: &str) -> Vec<Finding> {
    [REACH, MODE, KEY, CLOCK]
        .map(|name| Finding::skip(name, why))
        .to_vec()
}

async fn startmessaging(
    own: &StartMessaging,
    deps: &Deps,
    deadline: Duration,
) -> Result<Vec<Finding>, BuildError> {
    let resolver = app::resolver(&deps.clock);
    let probe = Probe::new(&app::startmessaging(own), &resolver)?;
    let mode = async {
        let asked = timed(deps.clock.as_ref(), probe.code_owner());
        match tokio::time::timeout(deadline, asked).await {
            Ok((Ok((seen, owner)), from, to)) => vec![
                reached(&own.base_url, &seen),
                judge_mode(owner, own.code_owner),
                judge_clock(seen.date, from, to),
            ],
            Ok((Err(error), ..)) => unreached(unanswered(&error)),
            Err(_) => unreached(Finding::late(REACH, deadline)),
        }
    };
    let key = within(deadline, KEY, async {
        match random::uuid_v4(deps.random.as_ref()) {
            Ok(made_up) => match probe.key(made_up).await {
                Ok((seen, key)) => judge_key(key, seen.status),
                Err(_) => Finding::skip(KEY, "needs the vendor"),
            },
            Err(error) => Finding::fail(KEY, error.to_string(), "look at this machine"),
        }
    });
    let (mut findings, key) = tokio::join!(mode, key);
    findings.push(key);
    Ok(findings)
}

/// Only whether it is there: whatever it answers to a HEAD, it is.
async fn webhook(own: &Webhook, deps: &Deps, deadline: Duration) -> Vec<Finding> {
    let resolver = app::resolver(&deps.clock);
    let head = probe::head(&own.url, app::webhook_timeouts(own), resolver);
    let reach = within(deadline, REACH, async {
        match head.await {
            Ok(Ok(seen)) => reached(&own.url, &seen),
            Ok(Err(error)) => unanswered(&error),
            Err(error) => Finding::fail(REACH, error.to_string(), "look at [webhook]"),
        }
    });
    let others = [MODE, KEY, CLOCK];
    let skip = |name| Finding::skip(name, "a gateway of your own is not asked");
    let mut findings = vec![reach.await];
    findings.extend(others.map(skip));
    findings
}

fn reached(url: &Url, seen: &Seen) -> Finding {
    let said = format!("{} answers", url.origin().ascii_serialization());
    match seen.status {
        500.. => Finding::warn(
            REACH,
            format!("{said} {}", seen.status),
            "it fails by itself: look at the vendor's status page",
        ),
        300..=399 => Finding::fail(
            REACH,
            format!("{said} {}", seen.status),
            "it sends callers elsewhere: correct the address",
        ),
        429 => Finding::warn(
            REACH,
            format!("{said} 429"),
            "too many calls come from here: wait, or call less",
        ),
        _ => Finding::ok(REACH, said),
    }
}

fn unanswered(error: &ProviderError) -> Finding {
    let (ProviderError::Unreachable(cause) | ProviderError::Broken(cause)) = error else {
        let advice = "look at firewalls, and at the vendor's status page";
        return Finding::fail(REACH, error.to_string(), advice);
    };
    let (seen, advice) = web::explain(cause);
    Finding::fail(REACH, seen, advice)
}

fn unreached(reach: Finding) -> Vec<Finding> {
    let skip = |name| Finding::skip(name, "needs the vendor");
    vec![reach, skip(MODE), skip(CLOCK)]
}

fn judge_mode(seen: Option<CodeOwner>, wanted: CodeOwner) -> Finding {
    match (seen, wanted) {
        (Some(CodeOwner::Service), CodeOwner::Service) => Finding::ok(
            MODE,
            "it only delivers codes, as startmessaging.code_owner says",
        ),
        (Some(CodeOwner::Vendor), CodeOwner::Vendor) => {
            Finding::ok(MODE, "it checks codes, as startmessaging.code_owner says")
        }
        (Some(CodeOwner::Service), CodeOwner::Vendor) => Finding::fail(
            MODE,
            "it does not check codes, so nobody can log in",
            "set startmessaging.code_owner = \"service\"",
        ),
        (Some(CodeOwner::Vendor), CodeOwner::Service) => Finding::warn(
            MODE,
            "it can check codes itself; startmessaging.code_owner has them checked here",
            "that works as long as it delivers the codes that it is given: log in once",
        ),
        (None, _) => Finding::warn(MODE, "its answer does not tell", "log in once"),
    }
}

fn judge_key(key: Key, status: u16) -> Finding {
    let fail = |seen: &str, advice| Finding::fail(KEY, format!("{seen} ({status})"), advice);
    match key {
        Key::Good => Finding::ok(KEY, "it is taken"),
        Key::Unknown => fail(
            "it is refused",
            "copy the key of your account again, or make a new one",
        ),
        Key::WrongAddress => fail(
            "it is not taken from this machine's address",
            "add the address that this machine calls from to the key's list",
        ),
        Key::Suspended => fail("the account is suspended", "talk to the vendor"),
        Key::Onboarding => fail(
            "the account may not send yet",
            "finish verification and KYC in the vendor's dashboard",
        ),
        Key::Balance => fail("the account has no money left", "top it up"),
        Key::Throttled => Finding::warn(
            KEY,
            "it was not looked at: too many calls come from here (429)",
            "wait ten seconds and ask again",
        ),
        Key::Unclear => Finding::warn(
            KEY,
            format!("the answer does not tell ({status})"),
            "log in once; a wrong startmessaging.base_url looks like that too",
        ),
    }
}

fn judge_clock(
    said: Option<DateTime<Utc>>,
    asked: DateTime<Utc>,
    answered: DateTime<Utc>,
) -> Finding {
    let Some(said) = said else {
        return Finding::skip(CLOCK, "it does not tell its time");
    };
    let reading = Reading::of_date(said, asked, answered);
    let advice = "if the database and the issuer are off by the same, it is this machine's clock: \
                  have it follow a time server";
    reading.judge(CLOCK, "the vendor's clock", advice)
}
