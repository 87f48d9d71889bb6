//! A circuit breaker: while a vendor fails, callers are told so at once instead of waiting for it.
//!
//! ```text
//!            too many failures, or an account fault
//!   Closed ──────────────────────────────────────────▶ Open ◀──┐
//!      ▲                                                 │     │ the probe fails
//!      │ the probe succeeds             open_for is over ▼     │
//!      └───────────────────────────────────────────── HalfOpen ┘
//! ```
//!
//! There is one breaker a vendor and process; replicas find out by themselves, which the vendor's own
//! advice takes for good enough. Whoever calls the vendor asks for a [`Permit`] first and then
//! records how the call went. A permit belongs to the time between two changes of state in which it
//! was given: what a call of an earlier time brings back is out of date and changes nothing.
//!
//! It is our own because `recloser` counts a number of calls instead of a span of time,
//! `tower-resilience-circuitbreaker` wraps tower services only, and both read the system's clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;

/// Parts of the window that fall out of it one by one (StartMessaging's advice, read 2026-11-23).
const PARTS: u32 = 10;
/// What a caller is told to wait while the probe is out. Our own figure, and a guess: nobody knows how
/// long the probe takes.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerPolicy {
    /// How far back calls count, to a tenth of it: at least nine tenths, at most all of it.
    pub window: Duration,
    /// Fewest counted calls in the window that can open it.
    pub min_calls: u32,
    /// Share of failed calls, in percent, from which on it opens.
    pub failure_percent: u32,
    /// How long nothing is let through before the first probe.
    pub open_for: Duration,
}

impl Default for BreakerPolicy {
    /// What StartMessaging advises those who call it (its post on the circuit breaker pattern for OTP
    /// services, read 2026-11-23): half of at least 20 calls in 30 s, open for 60 s.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            min_calls: 20,
            failure_percent: 50,
            open_for: Duration::from_mins(1),
        }
    }
}

/// How a call went, as far as it tells whether the vendor works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The vendor did what it was asked to.
    Success,
    /// It failed, throttled us, or did not answer in time.
    Failure,
    /// It refuses the account: no other call will fare better until a person has acted.
    AccountFault,
    /// The call says nothing: the vendor refused this one number, or the caller gave up.
    ///
    /// A refusal for the number is no success either, not even a probe's: the vendor makes it before
    /// it looks at the balance or talks to a carrier, so both may still be what they were. The
    /// probe's place is free for the next call then.
    Ignored,
}

/// What a breaker does with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// It lets every call through.
    Closed,
    /// It lets none through.
    Open,
    /// It lets one through at a time, until one tells whether the vendor works again.
    HalfOpen,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The name in logs, metrics and `/readyz`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A circuit breaker.
pub struct Breaker {
    policy: BreakerPolicy,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

/// What changes, under one lock; nobody waits for anything while holding it.
struct Inner {
    phase: Phase,
    /// Changes of state so far: a permit of an earlier one is out of date.
    generation: u64,
}

enum Phase {
    Closed(Window),
    Open { until: Duration },
    HalfOpen { probing: bool },
}

/// Leave to make one call. Dropped without a word from the caller, it counts as
/// [`Verdict::Ignored`], so that a cancelled probe keeps nobody out.
#[must_use = "a permit that is dropped at once guards no call"]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    generation: u64,
    verdict: Verdict,
}

impl Permit<'_> {
    /// Tells how the call went.
    pub fn record(mut self, verdict: Verdict) {
        self.verdict = verdict;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.breaker.settle(self.generation, self.verdict);
    }
}

impl Breaker {
    /// A closed breaker that has seen nothing.
    pub fn new(policy: BreakerPolicy, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            phase: Phase::Closed(Window::default()),
            generation: 0,
        };
        Self {
            policy,
            clock,
            inner: Mutex::new(inner),
        }
    }

    /// Leave for one call, or the time until a call may get it. That is exact while the breaker is
    /// open, and a guess while a probe is out.
    pub fn admit(&self) -> Result<Permit<'_>, Duration> {
        let now = self.clock.monotonic();
        let mut inner = self.lock(now);
        match &mut inner.phase {
            Phase::Closed(_) => {}
            Phase::Open { until } => return Err(until.saturating_sub(now)),
            Phase::HalfOpen { probing: true } => return Err(PROBE_WAIT),
            Phase::HalfOpen { probing } => *probing = true,
        }
        Ok(Permit {
            breaker: self,
            generation: inner.generation,
            verdict: Verdict::Ignored,
        })
    }

    /// What the breaker does with a call now.
    pub fn state(&self) -> BreakerState {
        self.lock(self.clock.monotonic()).phase.state()
    }

    /// The memory as it is now: an open breaker whose time is over is half-open.
    fn lock(&self, now: Duration) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(inner.phase, Phase::Open { until } if until <= now) {
            inner.change(Phase::HalfOpen { probing: false });
        }
        inner
    }

    fn settle(&self, generation: u64, verdict: Verdict) {
        let now = self.clock.monotonic();
        let mut inner = self.lock(now);
        if inner.generation != generation {
            return;
        }
        let next = match (&mut inner.phase, verdict) {
            // No permit has this generation: an open breaker gives none.
            (Phase::Open { .. }, _) | (Phase::Closed(_), Verdict::Ignored) => None,
            (Phase::Closed(window), Verdict::Success | Verdict::Failure) => {
                window.count(&self.policy, now, verdict == Verdict::Failure);
                window.fails(&self.policy).then(|| self.open(now))
            }
            (Phase::HalfOpen { probing }, Verdict::Ignored) => {
                *probing = false;
                None
            }
            (Phase::HalfOpen { .. }, Verdict::Success) => Some(Phase::Closed(Window::default())),
            (_, Verdict::AccountFault) | (Phase::HalfOpen { .. }, Verdict::Failure) => {
                Some(self.open(now))
            }
        };
        if let Some(next) = next {
            inner.change(next);
        }
    }

    fn open(&self, now: Duration) -> Phase {
        Phase::Open {
            until: now.saturating_add(self.policy.open_for),
        }
    }
}

impl Inner {
    /// Makes all permits out of date and says what happened, once.
    fn change(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
        let state = self.phase.state();
        let name = state.name();
        match state {
            BreakerState::Closed => {
                tracing::info!(breaker.state = name, "the SMS provider works again");
            }
            BreakerState::Open => {
                tracing::warn!(
                    breaker.state = name,
                    "the SMS provider fails: not calling it"
                );
            }
            BreakerState::HalfOpen => {
                tracing::info!(
                    breaker.state = name,
                    "trying the SMS provider with one call"
                );
            }
        }
    }
}

impl Phase {
    fn state(&self) -> BreakerState {
        match self {
            Self::Closed(_) => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

/// The counted calls of the last while, at most [`PARTS`] entries however many they are.
#[derive(Default)]
struct Window(VecDeque<Part>);

/// The calls that ended in one part of the window.
struct Part {
    /// Parts since the clock's beginning.
    number: u128,
    calls: u64,
    failures: u64,
}

impl Window {
    fn count(&mut self, policy: &BreakerPolicy, now: Duration, failed: bool) {
        let length = policy.window / PARTS;
        let number = now.as_nanos() / length.as_nanos().max(1);
        self.0
            .retain(|part| part.number.saturating_add(u128::from(PARTS)) > number);
        if self.0.back().is_none_or(|newest| newest.number < number) {
            self.0.push_back(Part {
                number,
                calls: 0,
                failures: 0,
            });
        }
        if let Some(newest) = self.0.back_mut() {
            newest.calls += 1;
            newest.failures += u64::from(failed);
        }
    }

    fn fails(&self, policy: &BreakerPolicy) -> bool {
        let calls: u64 = self.0.iter().map(|part| part.calls).sum();
        let failures: u64 = self.0.iter().map(|part| part.failures).sum();
        calls >= u64::from(policy.min_calls)
            && failures * 100 >= calls * u64::from(policy.failure_percent)
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
