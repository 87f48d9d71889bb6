//! Access tokens: JWTs after RFC 9068, and the keys that sign them.

pub mod claims;
pub mod grant;
pub mod issuer;
pub mod keys;
pub mod own;
pub mod probe;
pub mod refresh;
