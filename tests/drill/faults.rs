//! The drill itself: logins, while the provider fails, replicas are killed and the database crashes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use otp_auth::sandbox::{Message, Mode, SandboxHandle};
use secrecy::ExposeSecret;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::checks::{self, Zero};
use crate::client::Api;
use crate::login::{Login, Record};
use crate::plan::{On, Plan};
use crate::sql::Questions;
use crate::world::{World, WorldOptions};
use crate::{Failure, in_time, report, say};

/// Logins at once.
const CONCURRENCY: usize = 40;
/// The longest a login may take, all its patience included.
const LOGIN_WITHIN: Duration = Duration::from_mins(2);
/// Long enough to be answered by a provider that is merely slow, so that a drill sees many timeouts
/// in little time.
const PROVIDER_TIMEOUT_MS: u64 = 800;
/// How long the leases of what was cut off last are waited for.
const LEASES_WITHIN: Duration = Duration::from_secs(15);
/// How long each key is tried at the end, when nothing is broken any more.
const LAST_PATIENCE: Duration = Duration::from_secs(10);
/// What the sandbox remembers at most; beyond that its record is not the truth.
const SANDBOX_REMEMBERS: usize = 10_000;

/// How big a drill is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) seed: u64,
    pub(crate) logins: usize,
    pub(crate) kills: usize,
    pub(crate) mode: Mode,
}

/// Runs the drill and tells what came out; whether all is well.
pub(crate) async fn run(size: Size) -> Result<bool, Failure> {
    let started = Instant::now();
    let mut world = World::new(WorldOptions {
        mode: size.mode,
        seed: size.seed,
        replicas: 2,
        provider_timeout_ms: PROVIDER_TIMEOUT_MS,
        settings: &[],
    })
    .await?;
    let ran = in_time(drill(&mut world, size, started)).await;
    let all_is_well = matches!(ran, Ok(true));
    if !all_is_well {
        say(&format!("the replicas' logs are in {}", world.logs()));
    }
    world.end(all_is_well).await?;
    ran
}

async fn drill(world: &mut World, size: Size, started: Instant) -> Result<bool, Failure> {
    world.proxy.set_cutting(true);
    let (begun, see_begun) = watch::channel(0);
    let (may_begin, see_may_begin) = watch::channel(0);
    let plan = Plan::new(size.seed, size.logins, size.kills);
    let on = On {
        postgres: &mut world.postgres,
        replicas: &mut world.replicas,
        sandbox: &world.sandbox,
    };
    let logins = all_logins(&world.api, &world.sandbox, size, begun, see_may_begin);
    let (done, records) =
        tokio::join!(plan.carry_out(on, size.seed, see_begun, &may_begin), logins);
    let (mut done, mut records) = (done?, records?);
    done.note_fired(&world.sandbox);
    world.sandbox.disarm_all();
    world.proxy.set_cutting(false);

    let mut questions = Questions::connect(world.postgres.url().expose_secret()).await?;
    wait_for_leases(&mut questions).await?;
    let Repeated {
        changed,
        spent,
        unfinished,
    } = repeat_all(&world.api, &mut records).await?;
    wait_for_leases(&mut questions).await?;

    let sms = by_phone(&world.sandbox)?;
    let mut zeros = checks::of_logins(&records, &sms);
    if size.mode == Mode::Service {
        zeros.push(checks::of_spent(&records));
    }
    let master_key = world.master_key;
    zeros.extend(checks::of_database(&mut questions, master_key, &records, &sms, spent).await?);
    zeros.push(unfinished);
    report::figures(world, &records, &done, &sms);
    report::line("answers a last repeat changed", changed);
    report::line("requests still queued", questions.queued_requests().await?);
    report::line("elapsed, in seconds", started.elapsed().as_secs());
    report::line("seed", size.seed);
    Ok(report::judge(&zeros))
}

/// Runs the logins, no more of them than may begin.
async fn all_logins(
    api: &Arc<Api>,
    sandbox: &SandboxHandle,
    size: Size,
    begun: watch::Sender<usize>,
    mut may_begin: watch::Receiver<usize>,
) -> Result<Vec<Record>, Failure> {
    let places = Arc::new(Semaphore::new(CONCURRENCY));
    let mut running = JoinSet::new();
    for index in 0..size.logins {
        // An error says that the sender is gone: nothing more is to be done, or can be. What is
        // returned holds a lock that the sender needs.
        drop(may_begin.wait_for(|may_begin| *may_begin > index).await);
        let place = Arc::clone(&places).acquire_owned().await?;
        begun.send_modify(|begun| *begun += 1);
        let (api, sandbox) = (Arc::clone(api), sandbox.clone());
        let index = u64::try_from(index)?;
        running.spawn(async move {
            let _place = place;
            let mut record = Record::default();
            let login = Login::new(&api, &sandbox, size.seed, index).run(&mut record);
            if timeout(LOGIN_WITHIN, Box::pin(login)).await.is_err() {
                record.gave_up = Some(format!("not done in {} s", LOGIN_WITHIN.as_secs()));
            }
            record
        });
    }
    let mut records = Vec::new();
    while let Some(record) = running.join_next().await {
        records.push(record?);
    }
    Ok(records)
}

/// Waits until nothing is being worked on any more; what is stuck is waited for in vain.
async fn wait_for_leases(questions: &mut Questions) -> Result<(), Failure> {
    let end = Instant::now() + LEASES_WITHIN;
    while Instant::now() < end {
        if questions.queued_requests().await? == 0 && questions.open_keys().await? == 0 {
            break;
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Uses every key once more, now that nothing is broken. This must send nothing and end every call;
/// how many answers are not what they were is told, since an answer that could not be kept is made
/// again.
async fn repeat_all(api: &Arc<Api>, records: &mut [Record]) -> Result<Repeated, Failure> {
    let places = Arc::new(Semaphore::new(CONCURRENCY));
    let mut running = JoinSet::new();
    for (index, record) in records.iter().enumerate() {
        for action in &record.actions {
            let (call, first) = (action.call.clone(), action.answer.clone());
            let place = Arc::clone(&places).acquire_owned().await?;
            let api = Arc::clone(api);
            running.spawn(async move {
                let _place = place;
                (index, first, api.until_final(&call, LAST_PATIENCE).await)
            });
        }
    }
    let (mut changed, mut spent, mut unfinished) = (0, 0, Vec::new());
    while let Some(repeated) = running.join_next().await {
        let (index, first, again) = repeated?;
        match again {
            Ok(again) => {
                spent += u64::from(again.is_spent());
                changed += usize::from(first.is_some_and(|first| first.body != again.body));
                if let Some(record) = records.get_mut(index) {
                    record.sessions.extend(again.text("session_id"));
                }
            }
            Err(last) => unfinished.push((1, last)),
        }
    }
    Ok(Repeated {
        changed,
        spent,
        unfinished: Zero::of("calls that no repeat can finish", unfinished),
    })
}

/// What came of repeating every call.
struct Repeated {
    /// Answers that are not what they were.
    changed: usize,
    /// Codes that may not be tried any more. This answer is not kept, so its key stays open.
    spent: u64,
    unfinished: Zero,
}

fn by_phone(sandbox: &SandboxHandle) -> Result<HashMap<String, Vec<Message>>, Failure> {
    let all = sandbox.messages();
    if all.len() >= SANDBOX_REMEMBERS {
        return Err("the sandbox has forgotten SMS; drill with fewer logins".into());
    }
    let mut by_phone: HashMap<_, Vec<_>> = HashMap::new();
    for message in all {
        let of_phone = by_phone.entry(message.phone_number.clone());
        of_phone.or_default().push(message);
    }
    Ok(by_phone)
}
