//! The local `StartMessaging`, seen over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod counters;
mod faults;
mod inbox;
mod lifecycle;
mod messages;
mod send;
mod support;
mod verify;
