//! Keeps the key set: who fetches when, and who waits for it.
//!
//! All of it is in one [`State`], and to begin a fetch is one step in it. So there is at most one fetch
//! at a time, and whoever needs its outcome waits for the `fetches` to be counted on.

use std::sync::{Arc, Weak};
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::CheckError;
use super::fetch::{Answer, FetchError, Fetcher};
use crate::clock::Clock;
use crate::verifier::keys::KeySet;

/// How often at most the issuer is asked because of an unknown `kid`, or again while it is down.
pub const RETRY: Duration = Duration::from_secs(30);

/// How often at most while there are no keys at all: this service has just started, perhaps a moment
/// before the issuer.
pub const RETRY_WITHOUT_KEYS: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Kept {
    keys: Arc<KeySet>,
    etag: Option<HeaderValue>,
    /// When it is to be renewed, on the monotonic clock.
    fresh_until: Duration,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    fetching: bool,
    /// When the last fetch began, on the monotonic clock.
    began: Option<Duration>,
    /// How many fetches have ended.
    fetches: u64,
    /// The last fetch failed.
    down: bool,
}

pub(super) struct Keeper {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    max_stale: Option<Duration>,
    runtime: Handle,
    state: watch::Sender<State>,
}

impl Keeper {
    pub(super) fn new(
        fetcher: Fetcher,
        clock: Arc<dyn Clock>,
        max_stale: Option<Duration>,
        runtime: Handle,
    ) -> Self {
        Self {
            fetcher,
            clock,
            max_stale,
            runtime,
            state: watch::Sender::new(State::default()),
        }
    }

    /// The keys there are; waits only where there are none that may be used.
    pub(super) async fn keys(self: &Arc<Self>) -> Result<Arc<KeySet>, CheckError> {
        self.renew();
        if let Some(keys) = self.usable() {
            return Ok(keys);
        }
        self.fetch(RETRY_WITHOUT_KEYS).await;
        self.usable().ok_or(CheckError::KeysUnavailable)
    }

    /// The keys, after a fetch if this `kid` is not among them and the issuer may be asked again.
    pub(super) async fn keys_with(self: &Arc<Self>, kid: &str) -> Result<Arc<KeySet>, CheckError> {
        // Somebody else's fetch may just have brought it.
        if !self.usable().is_some_and(|keys| keys.contains(kid)) {
            self.fetch(RETRY).await;
        }
        self.usable().ok_or(CheckError::KeysUnavailable)
    }

    fn usable(&self) -> Option<Arc<KeySet>> {
        let now = self.clock.monotonic();
        let state = self.state.borrow();
        let kept = state.kept.as_ref()?;
        let in_time = self
            .max_stale
            .is_none_or(|limit| now < kept.fresh_until.saturating_add(limit));
        in_time.then(|| Arc::clone(&kept.keys))
    }

    /// Begins a fetch if the set's time is over. Returns when to look again, from now.
    fn renew(self: &Arc<Self>) -> Duration {
        let now = self.clock.monotonic();
        let due = {
            let state = self.state.borrow();
            state.kept.as_ref().map(|kept| kept.fresh_until)
        };
        match due {
            Some(due) if now < due => due.saturating_sub(now),
            Some(_) => {
                self.begin(RETRY);
                RETRY
            }
            // The first fetch is the first caller's.
            None => RETRY,
        }
    }

    async fn fetch(self: &Arc<Self>, pause: Duration) {
        if let Some(fetch) = self.begin(pause) {
            let mut state = self.state.subscribe();
            // It fails when the sender is gone, which `self` holds.
            let _ = state.wait_for(|state| state.fetches >= fetch).await;
        }
    }

    /// Begins a fetch, unless one is under way or began less than `pause` ago. Returns which one to
    /// wait for.
    fn begin(self: &Arc<Self>, pause: Duration) -> Option<u64> {
        let now = self.clock.monotonic();
        let mut wait_for = None;
        let begun = self.state.send_if_modified(|state| {
            if state.fetching {
                wait_for = Some(state.fetches + 1);
                return false;
            }
            if state
                .began
                .is_some_and(|began| now.saturating_sub(began) < pause)
            {
                return false;
            }
            state.fetching = true;
            state.began = Some(now);
            wait_for = Some(state.fetches + 1);
            true
        });
        if begun {
            // A task of its own: whoever began it may hang up, and the others still get its outcome.
            let flight = Flight(Arc::clone(self));
            self.runtime.spawn(async move {
                let etag = {
                    let state = flight.0.state.borrow();
                    state.kept.as_ref().and_then(|kept| kept.etag.clone())
                };
                let outcome = flight.0.fetcher.fetch(etag).await;
                flight.0.take(outcome);
            });
        }
        wait_for
    }

    fn take(&self, outcome: Result<Answer, FetchError>) {
        let now = self.clock.monotonic();
        self.state.send_modify(|state| match outcome {
            Ok(answer) => {
                if state.down {
                    tracing::info!(url = %self.fetcher.url(), "the issuer's keys can be had again");
                }
                state.down = false;
                match answer {
                    Answer::Same { age } => {
                        if let Some(kept) = &mut state.kept {
                            kept.fresh_until = now + age;
                        }
                    }
                    Answer::New { keys, etag, age } => {
                        state.kept = Some(Kept {
                            keys: Arc::new(keys),
                            etag,
                            fresh_until: now + age,
                        });
                    }
                }
            }
            Err(error) => {
                // Once an outage.
                if !state.down {
                    let cause: &dyn std::error::Error = &error;
                    tracing::warn!(
                        error = cause,
                        url = %self.fetcher.url(),
                        keys = state.kept.is_some(),
                        "the issuer's keys cannot be fetched; the ones that are there stay in use"
                    );
                }
                state.down = true;
            }
        });
    }
}

/// A fetch under way. However it ends, also with its runtime, those who wait are told.
struct Flight(Arc<Keeper>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| {
            state.fetching = false;
            state.fetches += 1;
        });
    }
}

/// Renews the set whenever its time is over, for as long as somebody has the keeper.
pub(super) async fn keep_fresh(keeper: Weak<Keeper>) {
    while let Some(again) = keeper.upgrade().map(|keeper| keeper.renew()) {
        tokio::time::sleep(again).await;
    }
}
