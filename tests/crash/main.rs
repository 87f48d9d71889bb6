//! The real program, killed with SIGKILL or stood still at one exact point between two writes, and
//! what a caller who repeats the call with its `Idempotency-Key` then gets.
//!
//! A point is reached by rows that the test holds locked, so that exactly one statement waits, or by
//! a provider that does its work and does not answer. PostgreSQL goes on with a statement whose
//! client died, so most points come in two: the statement was lost, or carried out all the same.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

mod lost_connection;
mod refresh;
mod sms;
mod stood_still;
mod verify;
