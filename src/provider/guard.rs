//! Stands between the use cases and a [`Vendor`]: how often, how long and whether at all it is
//! called.
//!
//! ```text
//! breaker open? -> fewer waiting than there are places? -> a free place within max_wait? -> room in the rate within max_wait?
//!   -> one call, within what is left of the caller's budget -> breaker and metrics are told
//!   -> again, only if it certainly did nothing and the budget allows
//! ```
//!
//! No connection to the database is held by anybody who waits here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::breaker::{self, Breaker};
use super::{Accepted, CodeOwner, Fault, Message, Progress, ProviderError, Vendor, Verdict};
use crate::clock::Clock;
use crate::limit::GovernorClock;
use crate::metrics::{self, Metrics};
use crate::otp::code::Guess;
use crate::telemetry::traces::{self, Calling};

/// Calls for one SMS or one check at most, the first one counted: enough to outlive one broken
/// connection attempt, too few to be a storm.
const MOST_CALLS: u32 = 3;
/// Pause before a call that found no connection is made again.
const PAUSE: Duration = Duration::from_millis(100);
/// What a caller is told to wait when every place is taken: longer than most calls last.
const SHORTLY: Duration = Duration::from_secs(1);

/// How a vendor may be used.
#[derive(Clone, Copy, Debug)]
pub struct GuardOptions {
    /// Longest time one caller waits, retries and pauses included.
    pub total: Duration,
    /// Calls of this process at the same time.
    pub max_in_flight: usize,
    /// Longest wait for a free place and for room in the rate, together.
    pub max_wait: Duration,
    /// The vendor's own limit, for each kind of call; `None` for no limit.
    pub rate: Option<Quota>,
}

/// Until when the vendor may be waited for. One caller has one, whatever it needs of the vendor.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// Whether nothing may be waited for any more.
    pub fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

type Rate = RateLimiter<NotKeyed, InMemoryState, GovernorClock, NoOpMiddleware<Nanos>>;

/// One rate for each kind of call, since the vendor counts by route.
struct Rates {
    send: Rate,
    check: Rate,
    delivery: Rate,
}

impl Rates {
    fn of(&self, call: metrics::Call) -> &Rate {
        match call {
            metrics::Call::Send => &self.send,
            metrics::Call::Check => &self.check,
            metrics::Call::Delivery => &self.delivery,
        }
    }
}

/// A vendor with its guard.
pub struct Provider {
    vendor: Box<dyn Vendor>,
    options: GuardOptions,
    places: Semaphore,
    /// As many again may wait for a place.
    queue: Semaphore,
    rates: Option<Rates>,
    breaker: Breaker,
    clock: GovernorClock,
    metrics: Arc<Metrics>,
}

impl Provider {
    /// Guards a vendor.
    pub fn new(
        vendor: Box<dyn Vendor>,
        options: GuardOptions,
        breaker: Breaker,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let clock = GovernorClock::new(clock);
        let rate = |quota| RateLimiter::direct_with_clock(quota, clock.clone());
        let rates = options.rate.map(|quota| Rates {
            send: rate(quota),
            check: rate(quota),
            delivery: rate(quota),
        });
        Self {
            vendor,
            options,
            places: Semaphore::new(options.max_in_flight),
            queue: Semaphore::new(options.max_in_flight.saturating_mul(2)),
            rates,
            breaker,
            clock,
            metrics,
        }
    }

    /// The vendor's name in metrics and logs.
    pub fn name(&self) -> &'static str {
        self.vendor.name()
    }

    /// Whether the vendor is called at present.
    pub fn breaker_state(&self) -> breaker::BreakerState {
        self.breaker.state()
    }

    /// Longest time one caller waits.
    pub fn total(&self) -> Duration {
        self.options.total
    }

    /// Who makes and checks the codes.
    pub fn code_owner(&self) -> CodeOwner {
        self.vendor.code_owner()
    }

    /// Whether the vendor can be asked how far an SMS has come.
    pub fn tells_deliveries(&self) -> bool {
        self.vendor.tells_deliveries()
    }

    /// Starts the time budget of one caller.
    pub fn deadline(&self) -> Deadline {
        Deadline(Instant::now() + self.options.total)
    }

    /// Has one SMS sent.
    pub async fn send(
        &self,
        message: Message<'_>,
        deadline: Deadline,
    ) -> Result<Accepted, ProviderError> {
        let call = || self.vendor.send(message);
        self.patiently(metrics::Call::Send, deadline, call).await
    }

    /// Asks whether a code that the vendor made is right.
    pub async fn check(
        &self,
        reference: &str,
        guess: &Guess,
        deadline: Deadline,
    ) -> Result<Verdict, ProviderError> {
        let call = || self.vendor.check(reference, guess);
        self.patiently(metrics::Call::Check, deadline, call).await
    }

    /// Asks how far an SMS has come. Nobody waits for this, so it takes no place from those who do,
    /// is not tried again, and is left alone while the breaker is not closed.
    pub async fn delivery(&self, message_id: &str) -> Result<Option<Progress>, ProviderError> {
        if self.breaker.state() != breaker::BreakerState::Closed {
            return Err(ProviderError::BreakerOpen {
                retry_after: SHORTLY,
            });
        }
        self.keep_to_rate(metrics::Call::Delivery, Duration::ZERO)
            .await?;
        let work = self.vendor.delivery(message_id);
        self.one_call(metrics::Call::Delivery, self.deadline(), work)
            .await
    }

    /// Calls, and calls again while that is safe and the budget allows.
    async fn patiently<'a, T>(
        &'a self,
        call: metrics::Call,
        deadline: Deadline,
        work: impl Fn() -> BoxFuture<'a, Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let mut calls = 1;
        loop {
            let error = match self.guarded(call, deadline, &work).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let pause = if let ProviderError::Throttled { retry_after } = &error {
                *retry_after
            } else {
                PAUSE * calls
            };
            let in_time = pause < deadline.left();
            if !error.nature().retryable || calls == MOST_CALLS || !in_time {
                return Err(error);
            }
            sleep(pause).await;
            calls += 1;
        }
    }

    /// One call behind breaker, places and rate.
    async fn guarded<'a, T>(
        &'a self,
        call: metrics::Call,
        deadline: Deadline,
        work: &impl Fn() -> BoxFuture<'a, Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let permit = self.breaker.admit();
        let permit = permit.map_err(|retry_after| ProviderError::BreakerOpen { retry_after })?;
        let patience = self.options.max_wait.min(deadline.left());
        let Ok(_queued) = self.queue.try_acquire() else {
            return Err(too_many());
        };
        let (_place, waited) = self.place(patience).await?;
        self.keep_to_rate(call, patience.saturating_sub(waited))
            .await?;
        if deadline.has_passed() {
            return Err(too_many());
        }
        let outcome = self.one_call(call, deadline, work()).await;
        permit.record(verdict(&outcome));
        outcome
    }

    async fn one_call<T>(
        &self,
        call: metrics::Call,
        deadline: Deadline,
        work: BoxFuture<'_, Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let _flying = self.metrics.provider_in_flight(self.vendor.name());
        let span = traces::calling(self.vendor.name(), call.name());
        let work = traces::within(span.as_ref().map(Calling::context), work);
        let started = Instant::now();
        let outcome = timeout_at(deadline.0, work).await;
        let outcome = outcome.unwrap_or(Err(ProviderError::TimedOut));
        let error = outcome.as_ref().err().map(ProviderError::kind);
        if let Some(span) = span {
            span.end(error);
        }
        self.metrics.provider_call(
            self.vendor.name(),
            call,
            error.unwrap_or("ok"),
            started.elapsed(),
        );
        outcome
    }

    /// A free place, and how long it was waited for.
    async fn place(
        &self,
        patience: Duration,
    ) -> Result<(SemaphorePermit<'_>, Duration), ProviderError> {
        let started = Instant::now();
        match timeout(patience, self.places.acquire()).await {
            Ok(Ok(place)) => Ok((place, started.elapsed())),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(too_many()),
        }
    }

    /// Waits until the rate has room, `patience` at most.
    async fn keep_to_rate(
        &self,
        call: metrics::Call,
        mut patience: Duration,
    ) -> Result<(), ProviderError> {
        let Some(rates) = &self.rates else {
            return Ok(());
        };
        while let Err(not_until) = rates.of(call).check() {
            let wait = not_until.wait_time_from(self.clock.now());
            if wait > patience {
                return Err(ProviderError::Busy { retry_after: wait });
            }
            // Others may take the room first; each round costs patience.
            patience = patience.saturating_sub(wait.max(Duration::from_millis(1)));
            sleep(wait).await;
        }
        Ok(())
    }
}

/// Every place is taken.
fn too_many() -> ProviderError {
    ProviderError::Busy {
        retry_after: SHORTLY,
    }
}

/// What the breaker makes of an outcome.
fn verdict<T>(outcome: &Result<T, ProviderError>) -> breaker::Verdict {
    match outcome.as_ref().err().map(|error| error.nature().fault) {
        None => breaker::Verdict::Success,
        Some(Fault::Provider) => breaker::Verdict::Failure,
        Some(Fault::Account) => breaker::Verdict::AccountFault,
        Some(Fault::Number | Fault::Caller | Fault::Guard) => breaker::Verdict::Ignored,
    }
}
