//! What holds of anything at all that comes from outside: one target for each way in.
//!
//! A target takes bytes, hands them to the code that reads them in the service, and panics unless what that made of
//! them is what it must be. `./test fuzz TARGET` searches for bytes that break one; what it learnt, in
//! `fuzz/corpus/`, is gone through by an ordinary test.
//!
//! The properties of [`body`], [`cookie`] and [`vendor`] stand beside what they are about, which is private there.

#![expect(
    clippy::unwrap_used,
    reason = "what cannot fail on any input fails the target when it does"
)]

pub mod forwarded;
pub mod phone;
pub mod token;

#[cfg(test)]
mod tests;

use std::sync::Mutex;

use secrecy::SecretBox;

use crate::random::{Random, RandomUnavailable};
use crate::secrets::Keyring;

pub use crate::http::fuzzing::{body, cookie};
pub use crate::provider::startmessaging::fuzzing as vendor;

/// A target: its name, and what must not panic, whatever it is given.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("body", body::check),
    ("cookie", cookie::check),
    ("forwarded", forwarded::check),
    ("phone", phone::check),
    ("token", token::check),
    ("vendor", vendor::check),
];

/// Working keys, always the same, so that a corpus can hold what was made with them.
pub(crate) fn keyring(byte: u8) -> Keyring {
    Keyring::derive(&SecretBox::new(Box::new([byte; 32]))).unwrap()
}

/// Bytes in place of random ones: these, and then zeros.
pub(crate) struct Drawn(Mutex<Vec<u8>>);

impl Drawn {
    pub(crate) fn from(bytes: &[u8]) -> Self {
        Self(Mutex::new(bytes.iter().rev().copied().collect()))
    }
}

impl Random for Drawn {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
        let mut left = self.0.lock().unwrap();
        buffer.fill_with(|| left.pop().unwrap_or_default());
        Ok(())
    }
}
