//! otp-auth: phone login beside Postgres.

pub mod clock;
pub mod config;
pub mod phone;
pub mod random;
