//! Faults on demand: what may go wrong between a caller and the provider, and which of it is armed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::random::{self, Random};

/// Delay of [`FaultKind::Slow`] when none is given: longer than a hasty client's timeout of 1 s,
/// shorter than the 4 to 10 s that the vendor's own tutorials use.
const DEFAULT_DELAY_MS: u64 = 2_000;
/// The longest delay: 10 minutes, the time a [`FaultKind::Hang`] is held at most.
const MAX_DELAY_MS: u64 = 600_000;
/// The largest `times`.
const MAX_TIMES: u32 = 1_000_000;

/// A route of the real server that the sandbox has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// `POST /otp/send`
    Send,
    /// `POST /otp/verify`
    Verify,
    /// `GET /messages/:id`; faults never touch it, so that a poller does not use them up.
    Message,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The work is done (the SMS goes out), the answer comes late.
    Slow,
    /// The work is done (the SMS goes out), the answer never comes: the connection is held until
    /// the caller leaves, the sandbox stops or 10 minutes are over.
    Hang,
    /// The connection is reset and nothing is done.
    ResetBefore,
    /// The work is done (the SMS goes out), then the connection is reset without an answer.
    ResetAfterSend,
    /// 500 `Internal server error`; nothing is done.
    #[serde(rename = "http_500")]
    Http500,
    /// The front proxy's 502 page, HTML; nothing is done.
    #[serde(rename = "http_502_html")]
    Http502Html,
    /// 429 with `Retry-After: 10`; nothing is done.
    Throttled,
    /// 400 `RATE_LIMIT_EXCEEDED`, as if others had used up the number's three sends.
    NumberCooling,
    /// 400 `INSUFFICIENT_BALANCE`; as on the real server the refused send counts for the number.
    InsufficientBalance,
    /// 401 `Invalid API key`, as after a revoked key.
    Unauthorized,
    /// 401 `Account is suspended`.
    Suspended,
    /// 401 `Authentication required`, as for a key that is used from an address not on its list.
    AddressNotAllowed,
    /// 403 `KYC approval pending`, as before the account may send.
    KycPending,
    /// 400 `VALIDATION_ERROR`, as for a number that breaks a rule.
    ValidationError,
    /// 400 `INVALID_INPUT`, as for a body that is not JSON.
    InvalidInput,
    /// 400 `OTP_SEND_FAILED`, no SMS.
    SendFailed,
    /// 400 `OTP_SEND_FAILED` although the SMS went out.
    SendFailedAfterSend,
    /// The work is done (the SMS goes out), the answer is 2xx with bytes that are no envelope.
    Garbage,
    /// `POST /otp/verify` answers 404 as on the real server, also in vendor mode.
    #[serde(rename = "verify_404")]
    Verify404,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Slow,
        Self::Hang,
        Self::ResetBefore,
        Self::ResetAfterSend,
        Self::Http500,
        Self::Http502Html,
        Self::Throttled,
        Self::NumberCooling,
        Self::InsufficientBalance,
        Self::Unauthorized,
        Self::Suspended,
        Self::AddressNotAllowed,
        Self::KycPending,
        Self::ValidationError,
        Self::InvalidInput,
        Self::SendFailed,
        Self::SendFailedAfterSend,
        Self::Garbage,
        Self::Verify404,
    ];

    fn touches(self, route: Route) -> bool {
        match self {
            Self::Slow
            | Self::Hang
            | Self::ResetBefore
            | Self::ResetAfterSend
            | Self::Http500
            | Self::Http502Html
            | Self::Throttled
            | Self::Unauthorized
            | Self::Suspended
            | Self::AddressNotAllowed
            | Self::KycPending
            | Self::Garbage => route != Route::Message,
            Self::NumberCooling
            | Self::ValidationError
            | Self::InvalidInput
            | Self::InsufficientBalance
            | Self::SendFailed
            | Self::SendFailedAfterSend => route == Route::Send,
            Self::Verify404 => route == Route::Verify,
        }
    }
}

/// A fault, how often and how likely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// The share of requests it strikes, 0 to 1.
    pub probability: f64,
    /// How many more requests it strikes; `None` means until disarmed.
    pub times: Option<u32>,
    /// How late a slow answer comes; the other kinds do not use it.
    pub delay: Duration,
}

impl Fault {
    /// A fault that strikes every request until disarmed; a slow one is 2 s late.
    pub fn always(kind: FaultKind) -> Self {
        let delay = Duration::from_millis(DEFAULT_DELAY_MS);
        Self {
            kind,
            probability: 1.0,
            times: None,
            delay,
        }
    }

    /// A fault that strikes the next request only.
    pub fn once(kind: FaultKind) -> Self {
        Self {
            times: Some(1),
            ..Self::always(kind)
        }
    }
}

/// The body of `PUT /sandbox/faults`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    kind: FaultKind,
    #[serde(default)]
    probability: Option<f64>,
    #[serde(default)]
    times: Option<u32>,
    #[serde(default)]
    delay_ms: Option<u64>,
}

/// Why a fault cannot be armed; the text is the answer to the caller.
#[derive(Debug, thiserror::Error)]
pub(super) enum FaultError {
    /// Not JSON, an unknown kind, an unknown member or a number of the wrong sort.
    #[error("{0}")]
    Unreadable(#[from] serde_json::Error),
    /// `probability` out of range.
    #[error("probability must be between 0 and 1")]
    Probability,
    /// `times` out of range.
    #[error("times must be between 1 and {MAX_TIMES}; leave it out for \"until disarmed\"")]
    Times,
    /// `delay_ms` out of range.
    #[error("delay_ms must be between 0 and {MAX_DELAY_MS}")]
    Delay,
}

impl Fault {
    /// Reads the body of `PUT /sandbox/faults`.
    pub(super) fn parse(body: &[u8]) -> Result<Self, FaultError> {
        let FaultRequest {
            kind,
            probability,
            times,
            delay_ms,
        } = serde_json::from_slice(body)?;
        let probability = probability.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&probability) {
            return Err(FaultError::Probability);
        }
        if times.is_some_and(|times| times == 0 || times > MAX_TIMES) {
            return Err(FaultError::Times);
        }
        let delay_ms = delay_ms.unwrap_or(DEFAULT_DELAY_MS);
        if delay_ms > MAX_DELAY_MS {
            return Err(FaultError::Delay);
        }
        Ok(Self {
            kind,
            probability,
            times,
            delay: Duration::from_millis(delay_ms),
        })
    }
}

/// A fault as `GET /sandbox/faults` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ArmedFault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// The share of requests it strikes, 0 to 1.
    pub probability: f64,
    /// How many more requests it strikes; `None` means until disarmed.
    pub times: Option<u32>,
    /// How late a slow answer comes, in milliseconds.
    pub delay_ms: u64,
    /// How many requests it has struck.
    pub fired: u32,
}

/// The armed faults, oldest first. One kind is armed at most once, so the list stays short.
#[derive(Default)]
pub(super) struct Faults(Vec<ArmedFault>);

impl Faults {
    /// Arms a fault; one of the same kind is replaced where it stands, by no times disarmed.
    pub(super) fn arm(&mut self, fault: Fault) {
        let Fault {
            kind,
            probability,
            times,
            delay,
        } = fault;
        if times == Some(0) {
            return self.disarm(Some(kind));
        }
        let delay_ms = u64::try_from(delay.as_millis())
            .unwrap_or(MAX_DELAY_MS)
            .min(MAX_DELAY_MS);
        let armed = ArmedFault {
            kind,
            probability,
            times,
            delay_ms,
            fired: 0,
        };
        match self.0.iter_mut().find(|old| old.kind == kind) {
            Some(old) => *old = armed,
            None => self.0.push(armed),
        }
    }

    /// Disarms one kind, or all.
    pub(super) fn disarm(&mut self, kind: Option<FaultKind>) {
        self.0
            .retain(|fault| kind.is_some_and(|kind| fault.kind != kind));
    }

    /// The first armed fault that strikes a request to `route`. A fault whose `times` are used up
    /// is gone; without randomness none strikes that is less than certain.
    pub(super) fn strike(&mut self, route: Route, random: &dyn Random) -> Option<Fault> {
        let hit = self
            .0
            .iter_mut()
            .find(|fault| fault.kind.touches(route) && happens(fault.probability, random))?;
        hit.fired = hit.fired.saturating_add(1);
        hit.times = hit.times.map(|times| times.saturating_sub(1));
        let ArmedFault {
            kind,
            probability,
            times,
            delay_ms,
            ..
        } = *hit;
        self.0.retain(|fault| fault.times != Some(0));
        Some(Fault {
            kind,
            probability,
            times,
            delay: Duration::from_millis(delay_ms),
        })
    }

    /// What is armed, oldest first.
    pub(super) fn list(&self) -> Vec<ArmedFault> {
        self.0.clone()
    }
}

fn happens(probability: f64, random: &dyn Random) -> bool {
    if probability >= 1.0 {
        return true;
    }
    let Ok(bytes) = random::bytes::<4>(random) else {
        return false;
    };
    f64::from(u32::from_be_bytes(bytes)) < probability * (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{RandomUnavailable, SystemRandom};

    struct NoRandom;

    impl Random for NoRandom {
        fn fill(&self, _: &mut [u8]) -> Result<(), RandomUnavailable> {
            Err(RandomUnavailable)
        }
    }

    fn armed(faults: &[Fault]) -> Faults {
        let mut armed = Faults::default();
        for fault in faults {
            armed.arm(*fault);
        }
        armed
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_was_armed_for() {
        for times in 1..=3 {
            let fault = Fault {
                times: Some(times),
                ..Fault::always(FaultKind::Http500)
            };
            let mut armed = armed(&[fault]);

            let struck = (0..10).filter(|_| armed.strike(Route::Send, &SystemRandom).is_some());

            assert_eq!(struck.count(), usize::try_from(times).unwrap());
            assert_eq!(armed.list(), []);
        }
    }

    #[test]
    fn arming_a_fault_for_no_times_disarms_it() {
        let fault = Fault::always(FaultKind::Hang);

        let armed = armed(&[
            fault,
            Fault {
                times: Some(0),
                ..fault
            },
        ]);

        assert_eq!(armed.list(), []);
    }

    #[test]
    fn without_randomness_only_certain_faults_strike() {
        let unlikely = Fault {
            probability: 0.999,
            ..Fault::always(FaultKind::Hang)
        };
        let mut armed = armed(&[unlikely, Fault::always(FaultKind::Http500)]);

        let struck = armed.strike(Route::Send, &NoRandom).map(|fault| fault.kind);

        assert_eq!(struck, Some(FaultKind::Http500));
    }

    #[test]
    fn faults_of_sending_leave_verify_alone_and_all_leave_messages_alone() {
        let mut all = armed(&[Fault::always(FaultKind::SendFailed)]);

        assert!(all.strike(Route::Verify, &SystemRandom).is_none());
        all.arm(Fault::always(FaultKind::Http500));
        assert!(all.strike(Route::Message, &SystemRandom).is_none());
        assert!(all.strike(Route::Verify, &SystemRandom).is_some());
    }
}
