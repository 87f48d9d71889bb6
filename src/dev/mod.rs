//! What a developer's machine needs and production never runs: a private PostgreSQL and a command
//! that lends one to tests. Knows nothing of one-time codes, tokens or HTTP.

pub mod command;
pub mod postgres;
pub mod test_database;
