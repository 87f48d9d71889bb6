//! Everything the workers share: built once per sandbox, outside the server's worker factory.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use super::envelope::{Granted, Reply};
use super::events::{Event, Events};
use super::faults::{Fault, FaultKind, Faults, Route};
use super::messages::{Message, Messages};
use super::refusal::Refusal;
use super::throttle::{Allowance, FIRST_RETRY_AFTER, NumberCounter, Throttle};
use super::validate;
use super::vendor::Verifications;
use super::{ApiKeyRule, Mode, SandboxOptions};
use crate::clock::Clock;
use crate::random::{self, Random, RandomUnavailable};

/// Price of a delivered SMS: 0.25 rupees (the provider's price list), in paise.
const PRICE_PAISE: i64 = 25;

/// What a request brings along beside its body.
pub(super) struct Caller {
    /// The peer's address.
    pub(super) address: IpAddr,
    /// The header `X-API-Key`.
    pub(super) api_key: Option<String>,
}

/// How many requests came, faulted and refused ones too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Requests {
    /// To `POST /otp/send`.
    pub send: u64,
    /// To `POST /otp/verify`.
    pub verify: u64,
    /// To `GET /messages/:id`.
    pub message: u64,
}

/// The sandbox's memory and its sources of time, randomness and stop signals.
pub(super) struct State {
    pub(super) random: Arc<dyn Random>,
    pub(super) events: Events,
    clock: Arc<dyn Clock>,
    api_key: ApiKeyRule,
    inner: Mutex<Inner>,
    stop: watch::Sender<bool>,
    send_requests: AtomicU64,
    verify_requests: AtomicU64,
    message_requests: AtomicU64,
    held: AtomicUsize,
}

/// What changes, under one lock; nobody waits for anything while holding it.
pub(super) struct Inner {
    pub(super) mode: Mode,
    pub(super) messages: Messages,
    pub(super) verifications: Verifications,
    pub(super) faults: Faults,
    /// Hundredths of a rupee; a burst can outrun it, so it may go below zero.
    pub(super) balance_paise: i64,
    throttle: Throttle,
    numbers: Option<NumberCounter>,
}

impl State {
    pub(super) fn new(options: SandboxOptions) -> Self {
        let SandboxOptions {
            mode,
            clock,
            random,
            api_key,
            ..
        } = options;
        let inner = Inner {
            mode,
            messages: Messages::new(options.delivery_delay),
            verifications: Verifications::default(),
            faults: Faults::default(),
            balance_paise: options.balance_paise,
            throttle: Throttle::new(options.throttle_limit),
            numbers: options.number_limit.then(NumberCounter::default),
        };
        Self {
            random,
            events: Events::new(),
            clock,
            api_key,
            inner: Mutex::new(inner),
            stop: watch::Sender::new(false),
            send_requests: AtomicU64::new(0),
            verify_requests: AtomicU64::new(0),
            message_requests: AtomicU64::new(0),
            held: AtomicUsize::new(0),
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The memory, with all deliveries that are due by now done.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        let now = self.now();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for id in inner.messages.deliver(now) {
            inner.balance_paise = inner.balance_paise.saturating_sub(PRICE_PAISE);
            self.events.tell(&Event::Delivered(id));
        }
        inner
    }

    /// Which dialect is spoken.
    pub(super) fn mode(&self) -> Mode {
        self.lock().mode
    }

    /// Counts a request.
    pub(super) fn count(&self, route: Route) {
        let counter = match route {
            Route::Send => &self.send_requests,
            Route::Verify => &self.verify_requests,
            Route::Message => &self.message_requests,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> Requests {
        Requests {
            send: self.send_requests.load(Ordering::Relaxed),
            verify: self.verify_requests.load(Ordering::Relaxed),
            message: self.message_requests.load(Ordering::Relaxed),
        }
    }

    /// The fault that strikes this request.
    pub(super) fn strike(&self, route: Route) -> Option<Fault> {
        let mut inner = self.lock();
        let fault = inner.faults.strike(route, self.random.as_ref())?;
        self.events.tell(&Event::Faults(&inner.faults.list()));
        Some(fault)
    }

    /// Changes the armed faults and tells the watchers.
    pub(super) fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        let mut inner = self.lock();
        change(&mut inner.faults);
        self.events.tell(&Event::Faults(&inner.faults.list()));
    }

    /// Empties the inbox and tells the watchers.
    pub(super) fn clear_messages(&self) {
        self.lock().messages.clear();
        self.events.tell(&Event::Cleared);
    }

    /// Passes a request through throttle and authentication to `work`.
    pub(super) fn answer(
        &self,
        route: Route,
        caller: &Caller,
        fault: Option<FaultKind>,
        work: impl FnOnce(&mut Inner, DateTime<Utc>) -> Result<Granted, Refusal>,
    ) -> Reply {
        let now = self.now();
        let mut inner = self.lock();
        let (allowance, outcome) = match admit(&mut inner, route, caller, fault, now) {
            Err(seconds) => (None, Err(Refusal::Throttled(seconds))),
            Ok(allowance) => {
                let outcome = self
                    .authenticate(caller, fault)
                    .and_then(|()| work(&mut inner, now));
                (Some(allowance), outcome)
            }
        };
        match outcome {
            Ok(granted) => Reply::granted(granted, allowance),
            Err(refusal) => self.refuse(&refusal, allowance),
        }
    }

    /// The reply to a request that is not granted.
    pub(super) fn refuse(&self, refusal: &Refusal, allowance: Option<Allowance>) -> Reply {
        Reply::refused(refusal, allowance, self.random.as_ref(), self.now())
    }

    fn authenticate(&self, caller: &Caller, fault: Option<FaultKind>) -> Result<(), Refusal> {
        let key = caller.api_key.as_deref().filter(|key| !key.is_empty());
        let key = key.ok_or(Refusal::AuthenticationRequired)?;
        if fault == Some(FaultKind::Unauthorized) || !self.api_key.accepts(key) {
            return Err(Refusal::InvalidApiKey);
        }
        match fault {
            Some(FaultKind::AddressNotAllowed) => Err(Refusal::AuthenticationRequired),
            Some(FaultKind::Suspended) => Err(Refusal::Suspended),
            Some(FaultKind::KycPending) => Err(Refusal::KycPending),
            Some(FaultKind::ValidationError) => Err(validate::broken_phone_rule()),
            Some(_) | None => Ok(()),
        }
    }

    /// A random id.
    pub(super) fn new_id(&self) -> Result<Uuid, Refusal> {
        random::uuid_v4(self.random.as_ref()).map_err(|RandomUnavailable| Refusal::Internal)
    }

    /// Remembers an SMS and tells the watchers.
    pub(super) fn deliver(&self, inner: &mut Inner, message: Message) {
        self.events.tell(&Event::Message(&message));
        inner.messages.push(message);
    }

    /// Counts a reply as held back until the guard is dropped.
    pub(super) fn hold(&self) -> Held<'_> {
        self.held.fetch_add(1, Ordering::Relaxed);
        Held(&self.held)
    }

    /// How many replies are held back.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Asks the sandbox to stop.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the sandbox is asked to stop.
    pub(super) async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _seen = stop.wait_for(|stop| *stop).await;
    }
}

/// A reply that is held back.
pub(super) struct Held<'a>(&'a AtomicUsize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    /// Counts a send for its number and checks the wallet, in the real server's order: a send
    /// refused for lack of money has been counted.
    pub(super) fn take_budget(
        &mut self,
        phone_number: &str,
        fault: Option<FaultKind>,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let within = self
            .numbers
            .as_mut()
            .is_none_or(|numbers| numbers.admit(phone_number, now));
        if !within || fault == Some(FaultKind::NumberCooling) {
            return Err(Refusal::NumberCooling);
        }
        if self.balance_paise < PRICE_PAISE || fault == Some(FaultKind::InsufficientBalance) {
            return Err(Refusal::InsufficientBalance);
        }
        Ok(())
    }

    /// Takes the count of a send back: the carrier failed.
    pub(super) fn give_back(&mut self, phone_number: &str, now: DateTime<Utc>) {
        if let Some(numbers) = &mut self.numbers {
            numbers.give_back(phone_number, now);
        }
    }
}

fn admit(
    inner: &mut Inner,
    route: Route,
    caller: &Caller,
    fault: Option<FaultKind>,
    now: DateTime<Utc>,
) -> Result<Allowance, u32> {
    if fault == Some(FaultKind::Throttled) {
        return Err(FIRST_RETRY_AFTER);
    }
    inner.throttle.admit(route, caller.address, now)
}
