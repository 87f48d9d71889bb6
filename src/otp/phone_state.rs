//! What a phone's row says of its limits: pure, without I/O.

use chrono::{DateTime, TimeDelta, Utc};

use super::Policy;
use crate::limit::per_phone::{KnownHistory, SendHistory, SendPolicy};

/// What a phone's limits are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneState {
    /// Its sends.
    pub history: SendHistory,
    /// End of its lock.
    pub locked_until: Option<DateTime<Utc>>,
    /// Wrong codes since the last right one.
    pub failures_in_row: i32,
    /// The allowance of its known devices.
    pub known: KnownHistory,
}

/// Who asks, as far as a phone's limits care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Whoever. The phone's own limits hold.
    Anybody,
    /// A device that logged in with this phone before. Where the phone's own limits refuse it, it has an
    /// allowance.
    KnownDevice,
    /// Whoever, and the phone is a test number. No SMS is sent, so only the lock holds.
    TestNumber,
}

impl By {
    /// The limits on sends.
    pub(super) fn limits(self, policy: &Policy) -> &SendPolicy {
        match self {
            Self::Anybody => &policy.sends,
            Self::KnownDevice => &policy.device.sends,
            Self::TestNumber => SendPolicy::NONE,
        }
    }
}

impl PhoneState {
    /// Until when too many wrong codes keep this caller from trying more; `None` if they do not. A
    /// phone that is stopped stays so for as long as anybody can tell.
    pub fn locked_until(
        &self,
        by: By,
        policy: &Policy,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let lock_max = TimeDelta::from_std(policy.failures.lock_max).unwrap_or(TimeDelta::MAX);
        let stopped = (self.failures_in_row >= policy.failures.in_row).then_some(now + lock_max);
        let ordinary = stopped
            .max(self.locked_until)
            .filter(|until| *until > now)?;
        let allowance = match by {
            By::Anybody | By::TestNumber => None,
            By::KnownDevice => self.allowance_opens(policy, now),
        };
        let until = allowance.map_or(ordinary, |opens| opens.min(ordinary));
        (until > now).then_some(until)
    }

    /// When the known devices may try a code again; `None` if they have used up their tries in a row.
    fn allowance_opens(&self, policy: &Policy, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let day = TimeDelta::days(1);
        let mut recent: Vec<_> = self
            .known
            .failure_log
            .iter()
            .filter(|at| **at > now - day)
            .collect();
        recent.sort_unstable_by(|a, b| b.cmp(a));
        let most = usize::try_from(policy.device.failures_per_day).unwrap_or(0);
        if most == 0 || self.known.failures_in_row >= policy.failures.in_row {
            return None;
        }
        Some(
            recent
                .get(most.saturating_sub(1))
                .map_or(now, |at| **at + day),
        )
    }

    /// When this caller may be sent the next code.
    pub fn next_send_at(&self, by: By, policy: &Policy, now: DateTime<Utc>) -> DateTime<Utc> {
        let lock = self.locked_until(By::Anybody, policy, now).unwrap_or(now);
        let ordinary = policy.sends.next_send_at(&self.history, now).max(lock);
        match by {
            By::KnownDevice if self.known.failures_in_row < policy.failures.in_row => {
                let history = self.known_history();
                policy
                    .device
                    .sends
                    .next_send_at(&history, now)
                    .min(ordinary)
            }
            By::KnownDevice | By::Anybody => ordinary,
            By::TestNumber => lock,
        }
    }

    fn known_history(&self) -> SendHistory {
        SendHistory {
            send_log: self.known.send_log.clone(),
            cooldown_until: DateTime::UNIX_EPOCH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otp::tests::{at, phone, policy};

    fn locked(phone: &PhoneState, by: By, now: i64) -> Option<i64> {
        let until = phone.locked_until(by, &policy(), at(now))?;
        Some((until - at(0)).num_seconds())
    }

    #[test]
    fn a_lock_holds_for_strangers_and_leaves_known_devices_their_allowance() {
        let mut phone = phone();
        phone.locked_until = Some(at(1800));
        assert_eq!(locked(&phone, By::Anybody, 1799), Some(1800));
        assert_eq!(locked(&phone, By::Anybody, 1800), None);
        assert_eq!(locked(&phone, By::TestNumber, 1), Some(1800));
        assert_eq!(locked(&phone, By::KnownDevice, 1), None);

        phone.known.failure_log = vec![at(-86_000), at(1)];
        assert_eq!(
            locked(&phone, By::KnownDevice, 2),
            Some(400),
            "the first of two is forgotten"
        );
        phone.known.failure_log = vec![at(1), at(2)];
        assert_eq!(
            locked(&phone, By::KnownDevice, 3),
            Some(1800),
            "the lock ends before the day"
        );
    }

    #[test]
    fn a_stopped_phone_stays_so_but_for_known_devices() {
        let mut phone = phone();
        phone.failures_in_row = 99;
        assert_eq!(locked(&phone, By::Anybody, 5), None);
        phone.failures_in_row = 100;

        assert_eq!(locked(&phone, By::Anybody, 5), Some(86_405));
        assert_eq!(locked(&phone, By::KnownDevice, 5), None);
        phone.known.failures_in_row = 100;
        assert_eq!(locked(&phone, By::KnownDevice, 5), Some(86_405));
    }

    #[test]
    fn whoever_may_pass_two_limits_waits_for_the_sooner() {
        let next = |phone: &PhoneState, by| {
            (phone.next_send_at(by, &policy(), at(1)) - at(0)).num_seconds()
        };
        let mut phone = phone();
        assert_eq!(next(&phone, By::Anybody), 30);
        assert_eq!(next(&phone, By::KnownDevice), 1);
        assert_eq!(next(&phone, By::TestNumber), 1);

        phone.known.send_log = vec![at(0)];
        phone.history.cooldown_until = at(20);
        assert_eq!(next(&phone, By::KnownDevice), 20);
        phone.history.cooldown_until = at(600);
        assert_eq!(next(&phone, By::KnownDevice), 30);
    }
}
