//! Limits: who may ask how often.
//!
//! [`per_phone`] is the one that counts: it lives in Postgres and holds over all replicas.
//! [`per_ip`] is the first line in each process and keeps floods away from the database.

pub mod budget;
pub mod counter;
pub mod per_address;
pub mod per_ip;
pub mod per_phone;
pub mod spend;

use std::sync::Arc;
use std::time::Duration;

use governor::nanos::Nanos;

use crate::clock::Clock;

/// Which limit refused a caller; the `limit` member of a `rate_limited` problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The pause between two sends to one phone.
    Cooldown,
    /// Sends to one phone in 5 minutes, an hour or a day.
    Phone,
    /// Calls from one address.
    Ip,
    /// A budget that all callers share.
    Service,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cooldown, Self::Phone, Self::Ip, Self::Service];

    /// The name callers see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cooldown => "cooldown",
            Self::Phone => "phone",
            Self::Ip => "ip",
            Self::Service => "service",
        }
    }
}

/// A limit's refusal: which one, and how long to wait for it to let the caller through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that holds longest.
    pub limit: Limit,
    /// Time until the same call passes.
    pub wait: Duration,
}

/// How much of a limit is left, for the `RateLimit` fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Names the limit in both fields.
    pub name: String,
    /// Calls allowed in the window.
    pub most: u32,
    /// The window's length.
    pub window: Duration,
    /// Calls left now.
    pub remaining: u32,
    /// Time until at least one more call is left.
    pub reset: Duration,
}

/// governor's view of our clock.
#[derive(Clone)]
pub struct GovernorClock(Arc<dyn Clock>);

impl GovernorClock {
    /// Follows the monotonic time of this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(clock)
    }
}

impl governor::clock::Clock for GovernorClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.monotonic().into()
    }
}
