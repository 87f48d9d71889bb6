//! Seeded chance.
//!
//! Every login, every proxied request and every plan draws from a stream of its own, so that what
//! it draws does not depend on how the others happened to run. What happens in between still does:
//! a seed repeats the decisions of a run, not its timing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use otp_auth::random::{Random, RandomUnavailable};

/// Who draws.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Plan,
    Login(u64),
    Proxied(u64),
    Sandbox,
}

/// One stream of decisions.
pub(crate) struct Dice(fastrand::Rng);

impl Dice {
    pub(crate) fn new(seed: u64, stream: Stream) -> Self {
        let (kind, index) = match stream {
            Stream::Plan => (1, 0),
            Stream::Login(index) => (2, index),
            Stream::Proxied(index) => (3, index),
            Stream::Sandbox => (4, 0),
        };
        // Odd constants spread neighbouring numbers over all bits (Knuth's multiplicative hashing).
        let spread = |number: u64, by: u64| number.wrapping_add(1).wrapping_mul(by);
        Self(fastrand::Rng::with_seed(
            spread(seed, 0x9e37_79b9_7f4a_7c15)
                ^ spread(kind, 0xbf58_476d_1ce4_e5b9)
                ^ spread(index, 0x94d0_49bb_1331_11eb),
        ))
    }

    /// Whether something happens that has this probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// A number from `range`.
    pub(crate) fn within(&mut self, range: std::ops::Range<usize>) -> usize {
        self.0.usize(range)
    }

    /// A time below `millis`.
    pub(crate) fn millis_below(&mut self, millis: u64) -> Duration {
        Duration::from_millis(self.0.u64(0..millis))
    }

    /// One of several.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        self.0.choice(choices).copied()
    }
}

/// The sandbox's source: it decides by it which fault strikes.
pub(crate) struct SandboxDice(Mutex<Dice>);

impl SandboxDice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(Dice::new(seed, Stream::Sandbox)))
    }
}

impl Random for SandboxDice {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dice.0.fill(buffer);
        Ok(())
    }
}
