//! otp-auth: phone login beside Postgres.

pub mod app;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod database;
pub mod dev;
pub mod http;
pub mod idempotency;
pub mod limit;
pub mod otp;
pub mod phone;
pub mod provider;
pub mod random;
pub mod sandbox;
pub mod secrets;
pub mod sign_in;
pub mod telemetry;
pub mod token;
