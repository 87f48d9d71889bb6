//! The service from outside: real sockets, a real PostgreSQL database for each test, the sandbox as
//! the SMS provider, and a clock that the test moves.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

mod admin;
mod admin_audit;
mod admin_door;
mod admin_export;
mod admin_phones;
mod admin_roles;
mod alerts;
mod audit;
mod authorize;
mod authorize_options;
mod budgets;
mod client_limits;
mod client_tokens;
mod clients;
mod concurrency;
mod connections;
mod deliveries;
mod doctor_database;
mod doctor_gateway;
mod doctor_issuer;
mod doctor_report;
mod doctor_revoked;
mod doctor_tokens;
mod doctor_vendor;
mod enumeration;
mod erasure;
mod failures;
mod framework;
mod guard;
mod hang_up;
mod hook_first;
mod idempotency;
mod introspection;
mod keys_admin;
mod keys_command;
mod known_devices;
mod leases;
mod limits;
mod master_key;
mod master_key_resealing;
mod master_key_start;
mod metadata;
mod metrics;
mod model;
mod oauth;
mod openapi;
mod overload;
mod provider;
mod refresh;
mod refresh_races;
mod resend;
mod retention;
mod retention_partitions;
mod revocation_feed;
mod revocations;
mod routes;
mod rules;
mod rules_api;
mod send;
mod session_ends;
mod sessions;
mod signing_keys;
mod slow_callers;
mod status;
mod stopping;
mod switches;
mod test_numbers;
mod together;
mod tokens;
mod traces;
mod tutorial;
mod vendor_bytes;
mod vendor_checks;
mod vendor_gateway;
mod vendor_lost_sends;
mod vendor_mode;
mod vendor_secrets;
mod vendor_sends;
mod vendors;
mod verifiers;
mod verify;
