//! Access tokens: JWTs after RFC 9068, and the keys that sign them.

pub mod claims;
pub mod issuer;
pub mod keys;
mod store;
