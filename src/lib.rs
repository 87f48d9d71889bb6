//! otp-auth: phone login beside Postgres.

pub mod clock;
pub mod random;
pub mod sandbox;
