//! The verifier as another service uses it: against an issuer that is only HTTP.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(clippy::indexing_slicing, reason = "as above")]

mod actix;
mod keys;
mod outage;
mod settings;
mod support;
mod tower;
