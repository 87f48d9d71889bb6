//! otp-auth: phone login beside Postgres.

pub mod clock;
pub mod dev;
pub mod random;
