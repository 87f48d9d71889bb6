//! What a request is at a given moment: pure, without I/O.

use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Policy;
use super::phone_state::{By, PhoneState};

/// The public handle of a request for a code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub Uuid);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signing in.
    Login,
}

impl Purpose {
    /// The name callers use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
        }
    }

    /// Reads the name callers use.
    pub fn parse(name: &str) -> Option<Self> {
        (name == "login").then_some(Self::Login)
    }
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A code is out and can be used.
    Pending,
    /// The code was used.
    Verified,
    /// Too old, or superseded by a newer send.
    Expired,
    /// Too many wrong codes, for this request or for the phone.
    Locked,
    /// The SMS surely never left.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Verified,
        Self::Expired,
        Self::Locked,
        Self::Failed,
    ];

    /// The name callers see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verified => "verified",
            Self::Expired => "expired",
            Self::Locked => "locked",
            Self::Failed => "failed",
        }
    }
}

/// What is known of the latest SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Stored; the provider has not answered yet.
    Queued,
    /// The provider took it.
    Sent,
    /// It reached the phone.
    Delivered,
    /// It surely did not.
    Failed,
    /// The provider gave no clear answer.
    Unknown,
}

impl Delivery {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Sent,
        Self::Delivered,
        Self::Failed,
        Self::Unknown,
    ];

    /// The name in the database and for callers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Reads the name in the database.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|delivery| delivery.name() == name)
    }
}

/// All that decides where a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// End of the code's life.
    pub expires_at: DateTime<Utc>,
    /// When the code was used.
    pub verified_at: Option<DateTime<Utc>>,
    /// When the first send was known to have failed.
    pub failed_at: Option<DateTime<Utc>>,
    /// Whether this is still the phone's live request.
    pub live: bool,
    /// SMS sent for it; 0 when it is not live.
    pub sends: i32,
    /// Wrong codes tried; 0 when it is not live.
    pub attempts: i32,
    /// The phone itself.
    pub phone: PhoneState,
}

impl Standing {
    /// Of a request whose first SMS has just been let through.
    pub(super) fn begun(expires_at: DateTime<Utc>, phone: PhoneState) -> Self {
        Self {
            expires_at,
            verified_at: None,
            failed_at: None,
            live: true,
            sends: 1,
            attempts: 0,
            phone,
        }
    }

    /// Where the request stands at `now`, for this caller.
    pub fn status(&self, by: By, policy: &Policy, now: DateTime<Utc>) -> Status {
        if self.verified_at.is_some() {
            Status::Verified
        } else if self.failed_at.is_some() {
            Status::Failed
        } else if !self.live || now >= self.expires_at {
            Status::Expired
        } else if self.attempts >= policy.max_attempts
            || self.phone.locked_until(by, policy, now).is_some()
        {
            Status::Locked
        } else {
            Status::Pending
        }
    }

    /// Codes that may still be tried.
    pub fn attempts_remaining(&self, policy: &Policy, now: DateTime<Utc>) -> i32 {
        match self.status(By::Anybody, policy, now) {
            Status::Pending => policy.max_attempts - self.attempts,
            Status::Verified | Status::Expired | Status::Locked | Status::Failed => 0,
        }
    }

    /// SMS that may still be sent for it.
    pub fn sends_remaining(&self, by: By, policy: &Policy, now: DateTime<Utc>) -> i32 {
        match self.status(by, policy, now) {
            Status::Pending => (policy.max_sends - self.sends).max(0),
            Status::Verified | Status::Expired | Status::Locked | Status::Failed => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otp::tests::{at, phone, policy};

    fn pending() -> Standing {
        Standing::begun(at(300), phone())
    }

    fn status(change: impl FnOnce(&mut Standing), now: i64) -> &'static str {
        let mut standing = pending();
        change(&mut standing);
        standing.status(By::Anybody, &policy(), at(now)).name()
    }

    #[test]
    fn a_request_expires_at_its_last_second_and_not_before() {
        assert_eq!(status(|_| {}, 299), "pending");
        assert_eq!(status(|_| {}, 300), "expired");
        assert_eq!(status(|_| {}, 301), "expired");
    }

    #[test]
    fn the_last_wrong_code_locks_a_request() {
        assert_eq!(status(|s| s.attempts = 4, 1), "pending");
        assert_eq!(status(|s| s.attempts = 5, 1), "locked");
        assert_eq!(status(|s| s.attempts = 6, 1), "locked");
    }

    #[test]
    fn a_phone_lock_holds_until_its_last_second() {
        assert_eq!(status(|s| s.phone.locked_until = Some(at(10)), 9), "locked");
        assert_eq!(
            status(|s| s.phone.locked_until = Some(at(10)), 10),
            "pending"
        );
        assert_eq!(
            status(|s| s.phone.locked_until = Some(at(10)), 11),
            "pending"
        );
    }

    #[test]
    fn an_end_is_an_end_whatever_else_is_true() {
        assert_eq!(status(|s| s.verified_at = Some(at(5)), 999), "verified");
        assert_eq!(status(|s| s.failed_at = Some(at(5)), 999), "failed");
        assert_eq!(status(|s| s.live = false, 1), "expired");
    }

    #[test]
    fn nothing_remains_once_a_request_has_ended() {
        let policy = policy();
        let mut standing = pending();
        assert_eq!(standing.attempts_remaining(&policy, at(1)), 5);
        assert_eq!(standing.sends_remaining(By::Anybody, &policy, at(1)), 2);

        standing.live = false;

        assert_eq!(standing.attempts_remaining(&policy, at(1)), 0);
        assert_eq!(standing.sends_remaining(By::Anybody, &policy, at(1)), 0);
    }

    #[test]
    fn every_delivery_name_reads_back() {
        for name in ["queued", "sent", "delivered", "failed", "unknown"] {
            assert_eq!(Delivery::parse(name).map(Delivery::name), Some(name));
        }
        assert_eq!(Delivery::parse("initiated"), None);
    }
}
