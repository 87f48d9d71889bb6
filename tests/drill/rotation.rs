//! Signing keys that rotate under load, with verifiers that never look twice.
//!
//! Each verifier keeps a key set for [`CACHED`], and in that time fetches no other, whatever token comes:
//! so Envoy does for 600 s. The service publishes a key [`AHEAD`] of its first signature; the usual 24 h
//! leave such a verifier 144 times as long, here it has one second to spare. Replicas are killed in the
//! middle, and so is the command that rotates.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use otp_auth::clock::{Clock as _, SystemClock};
use otp_auth::sandbox::{Mode, SandboxHandle};
use otp_auth::verifier::{Expected, KeySet, Refused, verify};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::{Api, Call, PATIENCE};
use crate::dice::{Dice, Stream};
use crate::world::{World, WorldOptions};
use crate::{Failure, in_time, report, say};

/// How long a verifier keeps a key set.
const CACHED: Duration = Duration::from_secs(5);
/// How long after the command a replica is killed at the earliest: a little before the promotion, which
/// is [`AHEAD`] of it.
const ALMOST: Duration = Duration::from_millis(5_600);
/// How long a key is published before it signs, in seconds.
const AHEAD: &str = "6";
const SETTINGS: &[(&str, &str)] = &[
    ("TOKENS__PUBLISH_AHEAD_SECONDS", AHEAD),
    ("TOKENS__REUSE_GRACE_SECONDS", "60"),
];
/// Users who refresh, and verifiers that check.
const USERS: u64 = 8;
const VERIFIERS: usize = 3;
/// Old tokens that are still checked now and then.
const REMEMBERED: usize = 512;
/// How long a promotion may take beyond [`AHEAD`] on a loaded machine.
const PROMOTED_WITHIN: Duration = Duration::from_secs(20);

/// Rotates this often; whether all is well.
pub(crate) async fn run(rotations: u16, seed: u64) -> Result<bool, Failure> {
    let mut world = World::new(WorldOptions {
        mode: Mode::Service,
        seed,
        replicas: 2,
        provider_timeout_ms: 5_000,
        settings: SETTINGS,
    })
    .await?;
    let ran = in_time(rotate_under_load(&mut world, rotations, seed)).await;
    let all_is_well = matches!(ran, Ok(true));
    if !all_is_well {
        say(&format!("the replicas' logs are in {}", world.logs()));
    }
    world.end(all_is_well).await?;
    ran
}

/// What was seen.
#[derive(Default)]
struct Counts {
    logins: AtomicU64,
    refreshes: AtomicU64,
    checks: AtomicU64,
    /// Good tokens that a verifier refused.
    refused: AtomicU64,
    /// Calls of users that did not end well.
    lost: AtomicU64,
    faults: Mutex<BTreeSet<String>>,
}

impl Counts {
    fn count(&self, what: impl Fn(&Self) -> &AtomicU64) {
        what(self).fetch_add(1, Ordering::Relaxed);
    }

    fn fault(&self, what: impl Fn(&Self) -> &AtomicU64, why: String) {
        self.count(what);
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.insert(why);
    }
}

/// What users and verifiers share.
struct Shared {
    api: Arc<Api>,
    sandbox: SandboxHandle,
    tokens: Mutex<Vec<String>>,
    caches: Vec<Mutex<Arc<KeySet>>>,
    expected: Expected,
    counts: Counts,
    is_over: AtomicBool,
}

async fn rotate_under_load(world: &mut World, rotations: u16, seed: u64) -> Result<bool, Failure> {
    let first = key_set(world, 0).await?;
    let caches = (0..VERIFIERS).map(|_| Mutex::new(Arc::clone(&first)));
    let shared = Arc::new(Shared {
        api: Arc::clone(&world.api),
        sandbox: world.sandbox.clone(),
        tokens: Mutex::default(),
        caches: caches.collect(),
        expected: Expected::new("http://127.0.0.1:8080", ["api"], Duration::ZERO)?,
        counts: Counts::default(),
        is_over: AtomicBool::new(false),
    });
    let mut tasks = JoinSet::new();
    for index in 0..USERS {
        let shared = Arc::clone(&shared);
        tasks.spawn(async move { user(&shared, seed, index).await });
    }
    for index in 0..VERIFIERS {
        let shared = Arc::clone(&shared);
        let base = format!(
            "http://{}",
            world.replicas.first().ok_or("no replica")?.public
        );
        let other = format!(
            "http://{}",
            world.replicas.get(1).ok_or("no replica")?.public
        );
        tasks.spawn(async move { keep_fetching(&shared, index, [base, other]).await });
    }
    let mut dice = Dice::new(seed, Stream::Plan);
    let mut signed = BTreeSet::from([active(world).await?]);
    for _ in 0..rotations {
        let before = active(world).await?;
        let doomed = dice.millis_below(400);
        if dice.happens(0.5) {
            drop(tokio::time::timeout(doomed, keys(world, &["rotate"])).await);
        }
        keys(world, &["rotate"]).await?;
        // Somewhere around the promotion, which no process does alone.
        sleep(ALMOST + dice.millis_below(800)).await;
        let at = dice.within(0..2);
        if let Some(replica) = world.replicas.get_mut(at) {
            replica.kill_and_restart().await?;
        }
        signed.insert(promoted(world, &before).await?);
    }
    // Old tokens and new ones, at verifiers that have all keys by now.
    sleep(CACHED).await;
    shared.is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    let same = key_text(world, 0).await? == key_text(world, 1).await?;
    Ok(tell(&shared.counts, rotations, signed.len(), same))
}

/// One user: a login, and refreshes without a pause.
async fn user(shared: &Shared, seed: u64, index: u64) {
    let mut dice = Dice::new(seed, Stream::Login(index));
    let phone = format!("+9198765{:05}", 10_000 + index);
    let counts = &shared.counts;
    let answer = match log_in(shared, &phone).await {
        Ok(answer) => answer,
        Err(why) => return counts.fault(|counts| &counts.lost, why),
    };
    counts.count(|counts| &counts.logins);
    let Some(mut token) = shared.took(&answer, &mut dice) else {
        return counts.fault(|counts| &counts.lost, "a login without tokens".to_owned());
    };
    while !shared.is_over.load(Ordering::Relaxed) {
        let body = json!({"refresh_token": token});
        let refreshed = shared.post("/v1/token/refresh", body).await;
        let next = refreshed
            .as_ref()
            .ok()
            .map(|body| shared.took(body, &mut dice));
        let Some(next) = next.flatten() else {
            let why = refreshed.err().unwrap_or_default();
            return counts.fault(|counts| &counts.lost, why);
        };
        token = next;
        counts.count(|counts| &counts.refreshes);
    }
}

async fn log_in(shared: &Shared, phone: &str) -> Result<Value, String> {
    let sent = json!({"phone_number": phone});
    let sent = shared.post("/v1/otp/send", sent).await?;
    let messages = shared.sandbox.messages_to(phone);
    let code = messages.first().map(|message| message.code.clone());
    let body = json!({"request_id": sent.get("request_id"), "code": code});
    shared.post("/v1/otp/verify", body).await
}

impl Shared {
    /// Makes a call until it is answered, over both replicas.
    async fn post(&self, path: &'static str, body: Value) -> Result<Value, String> {
        let key = otp_auth::random::uuid_v4(&otp_auth::random::SystemRandom);
        let key = key.map_err(|error| error.to_string())?.to_string();
        let call = Call { path, key, body };
        let answer = self.api.until_final(&call, PATIENCE).await?;
        let body = serde_json::from_str(&answer.body).ok();
        let good = (200..300).contains(&answer.status);
        body.filter(|_| good)
            .ok_or_else(|| format!("{path}: {}", answer.name()))
    }

    /// Checks the access token that came, and an older one, and returns the refresh token.
    fn took(&self, body: &Value, dice: &mut Dice) -> Option<String> {
        let access = body.get("access_token")?.as_str()?.to_owned();
        let old = {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            if tokens.len() >= REMEMBERED {
                let at = dice.within(0..REMEMBERED);
                tokens.swap_remove(at);
            }
            tokens.push(access.clone());
            let at = dice.within(0..tokens.len());
            tokens.get(at).cloned()
        };
        for token in std::iter::once(access).chain(old) {
            self.check(&token, dice.within(0..VERIFIERS));
        }
        Some(body.get("refresh_token")?.as_str()?.to_owned())
    }

    /// What a verifier says to a good token, by the key set that it has.
    fn check(&self, token: &str, verifier: usize) {
        let Some(cache) = self.caches.get(verifier) else {
            return;
        };
        let keys = Arc::clone(&cache.lock().unwrap_or_else(PoisonError::into_inner));
        self.counts.count(|counts| &counts.checks);
        match verify(token, &keys, &self.expected, now()) {
            Ok(_) | Err(Refused::Expired) => {}
            Err(refused) => {
                let why = format!("a verifier refused a good token: {refused}");
                self.counts.fault(|counts| &counts.refused, why);
            }
        }
    }
}

/// A verifier: fetches the key set, keeps it for [`CACHED`], and fetches the next.
async fn keep_fetching(shared: &Shared, index: usize, bases: [String; 2]) {
    // They are not in step.
    sleep(CACHED / 3 * u32::try_from(index).unwrap_or(0)).await;
    while !shared.is_over.load(Ordering::Relaxed) {
        for base in &bases {
            if let Ok(keys) = fetch(base).await
                && let Some(cache) = shared.caches.get(index)
            {
                *cache.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                break;
            }
        }
        sleep(CACHED).await;
    }
}

async fn fetch(base: &str) -> Result<KeySet, Failure> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{base}/.well-known/jwks.json");
    let answer = http.get(url).send().await?.error_for_status()?;
    Ok(KeySet::parse(&answer.bytes().await?)?)
}

async fn key_set(world: &World, replica: usize) -> Result<Arc<KeySet>, Failure> {
    Ok(Arc::new(KeySet::parse(
        key_text(world, replica).await?.as_bytes(),
    )?))
}

async fn key_text(world: &World, replica: usize) -> Result<String, Failure> {
    let base = world
        .replicas
        .get(replica)
        .ok_or("there is no such replica")?;
    let url = format!("http://{}/.well-known/jwks.json", base.public);
    let http = reqwest::Client::builder().no_proxy().build()?;
    Ok(http.get(url).send().await?.text().await?)
}

/// Runs `otp-auth keys`, as an operator would.
async fn keys(world: &World, args: &[&str]) -> Result<String, Failure> {
    let replica = world.replicas.first().ok_or("there is no replica")?;
    let output = Command::new(env!("CARGO_BIN_EXE_otp-auth"))
        .arg("keys")
        .args(args)
        .env_clear()
        .envs(
            replica
                .environment()
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .stdin(Stdio::null())
        // Killed with SIGKILL where it is not waited for.
        .kill_on_drop(true)
        .output()
        .await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("otp-auth keys {}: {error}", args.join(" ")).into())
}

/// The key that signs, and that there is one.
async fn active(world: &World) -> Result<String, Failure> {
    let listed = keys(world, &["list"]).await?;
    let lines: Vec<&str> = listed.lines().collect();
    let active: Vec<&str> = lines
        .windows(2)
        .filter_map(|pair| match pair {
            [kid, state] if state.ends_with(", active") => Some(*kid),
            _ => None,
        })
        .collect();
    match active.as_slice() {
        [one] => Ok((*one).to_owned()),
        other => Err(format!("{} keys sign", other.len()).into()),
    }
}

/// Waits until another key than this one signs.
async fn promoted(world: &World, before: &str) -> Result<String, Failure> {
    let end = Instant::now() + PROMOTED_WITHIN;
    loop {
        let now = active(world).await?;
        if now != before {
            return Ok(now);
        }
        if Instant::now() > end {
            return Err("the next key was not promoted".into());
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn now() -> DateTime<Utc> {
    SystemClock::default().now()
}

fn tell(counts: &Counts, rotations: u16, signed: usize, same: bool) -> bool {
    let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (refused, lost) = (number(&counts.refused), number(&counts.lost));
    let kept = usize::from(rotations) + 1;
    for (what, count) in [
        (
            "rotations, each with a replica killed",
            u64::from(rotations),
        ),
        (
            "keys that signed",
            u64::try_from(signed).unwrap_or(u64::MAX),
        ),
        ("logins", number(&counts.logins)),
        ("refreshes", number(&counts.refreshes)),
        ("access tokens checked", number(&counts.checks)),
        ("good access tokens refused", refused),
        ("logins and refreshes lost", lost),
        ("replicas that publish other keys", u64::from(!same)),
    ] {
        say(&format!("{what:<40} {count:>7}"));
    }
    let faults = counts.faults.lock().unwrap_or_else(PoisonError::into_inner);
    for fault in faults.iter() {
        say(fault);
    }
    let all_is_well =
        refused == 0 && lost == 0 && same && signed == kept && number(&counts.checks) > 0;
    report::verdict(all_is_well);
    all_is_well
}
