//! One-time codes: making them, sending them, checking them.
//!
//! ```text
//!            send                    right code
//!   (none) --------> pending ------------------------> verified
//!                      | | \_ 5 wrong codes ---------> locked
//!                      | \___ 300 s, or a newer send -> expired
//!                      \_____ the SMS surely never left -> failed
//! ```
//!
//! Invariants, each held by one SQL statement under the phone's row lock:
//! - a phone has at most one live request, whose code is used at most once;
//! - wrong tries count for the request and for the phone, and a new code resets neither the
//!   phone's count nor its lock (NIST SP 800-63B-4 section 3.2.2);
//! - a code is never sent unless it is stored, and no connection is held while the provider talks;
//! - an operation that is done over (its process died) sends nothing a second time: it finds its id
//!   in the request, and whoever's lease ended is taken for dead.
//!
//! This module knows no HTTP and no concrete provider; what a right code is worth is
//! [`crate::sign_in`]'s business.

mod ask;
pub mod code;
mod deliver;
pub mod deliveries;
mod guarded;
mod outcomes;
pub mod phone_state;
pub mod recent;
pub mod refusals;
pub mod request;
pub mod resend;
pub mod send;
pub mod status;
pub mod store;
pub mod test_numbers;
pub mod verify;
pub mod weigh;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use crate::alerts::Alerts;
use crate::audit::Audit;
use crate::client::Clients;
use crate::clock::Clock;
use crate::database::StoreError;
use crate::device_receipt::DeviceReceipt;
use crate::limit::per_phone::SendPolicy;
use crate::metrics::Metrics;
use crate::provider::guard::Provider;
use crate::random::Random;
use crate::rules::{Rules, Verdict};
use crate::seats::shared::Group;
use crate::seats::{Class, Seats};
use crate::secrets::{Keyring, PhoneIndex, SealError};
use outcomes::Outcomes;
use recent::Recent;
use refusals::Refusals;
use request::RequestId;
use store::{Acceptances, Admissions, Readings, Store, StoredRequest};
use test_numbers::TestNumbers;
use weigh::GuardPolicy;

/// The rules requests live by.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long a code can be used.
    pub ttl: TimeDelta,
    /// Wrong codes allowed for one request.
    pub max_attempts: i32,
    /// SMS allowed for one request, the first included.
    pub max_sends: i32,
    /// The per-phone send limits.
    pub sends: SendPolicy,
    /// The per-phone failure limit.
    pub failures: FailurePolicy,
    /// What devices that logged in before may do where those two refuse them.
    pub device: DevicePolicy,
    /// What holds beside the limits of the phone.
    pub guard: GuardPolicy,
    /// How long whoever works on a send or a check has it for himself: longer than the longest call
    /// takes, so that after it he is dead.
    pub lease: TimeDelta,
}

/// When too many wrong codes lock a phone.
#[derive(Clone, Copy, Debug)]
pub struct FailurePolicy {
    /// Wrong codes in 24 hours that lock the phone; `i32::MAX` switches the limit off.
    pub per_day: i32,
    /// Wrong codes in a row, over any time, that stop the phone.
    pub in_row: i32,
    /// The first lock; each further one is twice as long.
    pub lock: Duration,
    /// The longest lock.
    pub lock_max: Duration,
}

impl FailurePolicy {
    /// [`Self::lock`] in whole seconds.
    pub(crate) fn lock_seconds(&self) -> i64 {
        whole_seconds(self.lock)
    }

    /// [`Self::lock_max`] in whole seconds.
    pub(crate) fn lock_max_seconds(&self) -> i64 {
        whole_seconds(self.lock_max)
    }
}

fn whole_seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

/// The allowance of devices that logged in with a phone before.
#[derive(Clone, Debug)]
pub struct DevicePolicy {
    /// Their send limits.
    pub sends: SendPolicy,
    /// Wrong codes in 24 hours.
    pub failures_per_day: i32,
    /// How long a receipt is good.
    pub receipt_life: TimeDelta,
}

/// What calls do together with others that come at the same time.
pub(crate) struct Together {
    admissions: Arc<Group<Admissions>>,
    outcomes: Arc<Outcomes>,
    readings: Arc<Group<Readings>>,
}

impl Together {
    /// Within the runtime that does it.
    pub(crate) fn new(
        pool: &PgPool,
        policy: &Policy,
        seats: &Arc<Seats>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let (store, acceptances) = (Store::new(pool.clone()), Acceptances::new(pool.clone()));
        let admissions = Admissions::new(pool.clone(), policy.clone());
        Self {
            admissions: Group::new(admissions, Arc::clone(seats), Class::Send),
            outcomes: Outcomes::new(store, acceptances, Arc::clone(metrics)),
            readings: Group::new(Readings::new(pool.clone()), Arc::clone(seats), Class::Login),
        }
    }
}

/// The use cases of this module, with what they need.
pub struct Otp {
    pub(crate) store: Store,
    pub(crate) together: Together,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) policy: Policy,
    pub(crate) provider: Arc<Provider>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) test_numbers: TestNumbers,
    pub(crate) clients: Arc<Clients>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) refusals: Refusals,
    pub(crate) recent: Recent,
}

impl Otp {
    /// The time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Waits until what this process knows is recorded.
    pub(crate) async fn recorded(&self) {
        self.together.outcomes.all().await;
    }

    /// Reads a request and where it stands, with all that this process knows of it.
    async fn up_to_date(&self, id: RequestId) -> Result<Option<StoredRequest>, StoreError> {
        self.together.outcomes.of(id).await;
        self.store.find(id).await
    }

    /// How long a receipt is good.
    pub fn receipt_life(&self) -> TimeDelta {
        self.policy.device.receipt_life
    }

    /// The receipt of a device that logs in with this phone.
    pub(crate) fn receipt(
        &self,
        phone: PhoneIndex,
        now: DateTime<Utc>,
    ) -> Result<DeviceReceipt, SealError> {
        DeviceReceipt::issue(phone, &self.keyring, self.random.as_ref(), now)
    }

    /// How long a new code can be used.
    pub fn ttl(&self) -> TimeDelta {
        self.policy.ttl
    }

    /// Whether an operator blocked the phone since the code was sent.
    fn is_blocked(&self, request: &StoredRequest, now: DateTime<Utc>) -> bool {
        if !self.rules.has_phone_rules() {
            return false;
        }
        match self.open_phone(request) {
            Ok(phone) => self.rules.phone(&phone, now) == Some(Verdict::Block),
            // Nobody can tell whether it is.
            Err(_) => true,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::phone_state::PhoneState;
    use super::*;
    use crate::limit::per_phone::{KnownHistory, SendHistory, Window};

    /// So many seconds after some moment.
    pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    /// A phone that was sent one code at that moment.
    pub(crate) fn phone() -> PhoneState {
        PhoneState {
            history: SendHistory {
                send_log: vec![at(0)],
                cooldown_until: at(30),
            },
            locked_until: None,
            failures_in_row: 0,
            known: KnownHistory::default(),
        }
    }

    /// Rules that leave out what most tests do not ask about.
    pub(crate) fn policy() -> Policy {
        let windows = [(30, 1), (3600, 3)];
        Policy {
            ttl: TimeDelta::seconds(300),
            max_attempts: 5,
            max_sends: 3,
            sends: SendPolicy {
                windows: Vec::new(),
                cooldowns: vec![30],
            },
            failures: FailurePolicy {
                per_day: 10,
                in_row: 100,
                lock: Duration::from_mins(30),
                lock_max: Duration::from_hours(24),
            },
            device: DevicePolicy {
                sends: SendPolicy {
                    windows: windows
                        .map(|(seconds, most)| Window { seconds, most })
                        .into(),
                    cooldowns: Vec::new(),
                },
                failures_per_day: 2,
                receipt_life: TimeDelta::days(180),
            },
            guard: GuardPolicy::off(),
            lease: TimeDelta::seconds(30),
        }
    }
}
