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
pub mod request;
pub mod resend;
pub mod send;
pub mod status;
pub mod store;
pub mod verify;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;
use crate::limit::per_phone::SendPolicy;
use crate::metrics::Metrics;
use crate::provider::guard::Provider;
use crate::random::Random;
use crate::rules::{Rules, Verdict};
use crate::secrets::{Keyring, PhoneIndex};
use code::OtpCode;
use store::{Store, StoredRequest};

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
    /// How long whoever works on a send or a check has it for himself: longer than the longest call
    /// takes, so that after it he is dead.
    pub lease: TimeDelta,
}

/// When too many wrong codes lock a phone.
#[derive(Clone, Copy, Debug)]
pub struct FailurePolicy {
    /// Wrong codes in 24 hours that lock the phone; `i32::MAX` switches the limit off.
    pub per_day: i32,
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

/// The codes of numbers that are never texted, by blind index.
pub type TestNumbers = HashMap<PhoneIndex, OtpCode>;

/// The use cases of this module, with what they need.
pub struct Otp {
    pub(crate) store: Store,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) policy: Policy,
    pub(crate) provider: Arc<Provider>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) test_numbers: TestNumbers,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rules: Arc<Rules>,
}

impl Otp {
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
