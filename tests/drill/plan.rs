//! What is done to the service while logins run: when, by progress and not by time.

use std::collections::BTreeMap;
use std::time::Duration;

use otp_auth::dev::postgres::PrivatePostgres;
use otp_auth::sandbox::{Fault, FaultKind, SandboxHandle};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::Failure;
use crate::dice::{Dice, Stream};
use crate::replica::Replica;

/// The probability of each: 18 of them touch a send, and 1 - (1 - 0.02)^18 is 0.30.
const EACH: f64 = 0.02;
/// How late slow answers are, in turn: the replicas' timeout is 800 ms.
const DELAYS_MS: [u64; 3] = [200, 500, 1_200];
/// How often in a run the delay changes.
const DELAY_CHANGES: usize = 20;
/// How many logins may begin while something is being done: those meet a service that has just lost
/// a replica or its database.
pub(crate) const HEAD_START: usize = 40;

/// Something that is done.
#[derive(Clone, Copy, Debug)]
enum Event {
    Kill(usize),
    RestartPostgres,
    Slow(Duration),
}

/// What is done, with the number of logins that must have begun before it.
pub(crate) struct Plan(Vec<(usize, Event)>);

impl Plan {
    /// Kills each of two replicas `kills` times, and restarts the database in the middle.
    pub(crate) fn new(seed: u64, logins: usize, kills: usize) -> Self {
        let mut dice = Dice::new(seed, Stream::Plan);
        let mut sometime = |from: usize, to: usize| {
            let range = logins * from / 100..(logins * to / 100).max(logins * from / 100 + 1);
            dice.within(range)
        };
        let mut events = vec![(sometime(45, 55), Event::RestartPostgres)];
        for replica in 0..2 {
            events.extend((0..kills).map(|_| (sometime(5, 95), Event::Kill(replica))));
        }
        let delays = DELAYS_MS
            .iter()
            .cycle()
            .map(|ms| Duration::from_millis(*ms));
        let changes = delays.take(DELAY_CHANGES).enumerate();
        events.extend(changes.map(|(n, delay)| (logins * n / DELAY_CHANGES, Event::Slow(delay))));
        events.sort_by_key(|(after, _)| *after);
        Self(events)
    }

    /// Does it all. `begun` counts the logins that have begun, and `may_begin` is told how many may.
    pub(crate) async fn carry_out(
        self,
        on: On<'_>,
        seed: u64,
        mut begun: watch::Receiver<usize>,
        may_begin: &watch::Sender<usize>,
    ) -> Result<Done, Failure> {
        let mut dice = Dice::new(seed.wrapping_add(1), Stream::Plan);
        let mut done = Done::default();
        for (after, event) in self.0 {
            may_begin.send_replace(after.saturating_add(HEAD_START));
            begun.wait_for(|begun| *begun >= after).await?;
            match event {
                Event::Slow(delay) => {
                    done.note_fired(on.sandbox);
                    arm_all(on.sandbox, delay);
                }
                Event::Kill(index) => {
                    sleep(dice.millis_below(50)).await;
                    if let Some(replica) = on.replicas.get_mut(index) {
                        replica.kill_and_restart().await?;
                        done.kills += 1;
                    }
                }
                Event::RestartPostgres => {
                    sleep(dice.millis_below(50)).await;
                    on.postgres.restart().await?;
                    done.restarts += 1;
                }
            }
        }
        may_begin.send_replace(usize::MAX);
        Ok(done)
    }
}

/// What a plan is carried out on.
pub(crate) struct On<'a> {
    pub(crate) postgres: &'a mut PrivatePostgres,
    pub(crate) replicas: &'a mut [Replica],
    pub(crate) sandbox: &'a SandboxHandle,
}

/// What was done.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) kills: u32,
    pub(crate) restarts: u32,
    /// How often each kind of fault struck.
    pub(crate) fired: BTreeMap<String, u32>,
}

impl Done {
    /// Adds what the armed faults did, before they are armed anew or disarmed.
    pub(crate) fn note_fired(&mut self, sandbox: &SandboxHandle) {
        for fault in sandbox.faults() {
            *self.fired.entry(format!("{:?}", fault.kind)).or_default() += fault.fired;
        }
    }
}

fn arm_all(sandbox: &SandboxHandle, delay: Duration) {
    for kind in FaultKind::ALL {
        sandbox.arm(Fault {
            kind,
            probability: EACH,
            times: None,
            delay,
        });
    }
}
