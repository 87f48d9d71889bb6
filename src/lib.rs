//! otp-auth: phone login beside Postgres.

pub mod clock;
pub mod phone;
pub mod random;
