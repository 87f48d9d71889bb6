//! Checks access tokens: for the service's own endpoints, and for sibling services in Rust.
//!
//! It knows the issuer only by its name and its JWK set, as any other service would. Nothing here
//! reads the clock: `now` is passed in.
//!
//! A token is read in one order, and the first fault is the answer ([`Refused`]): size and form,
//! header, key, signature, and only then what it claims. Nothing of an unsigned payload is ever
//! looked at. The one algorithm of a key comes from the key set, never from the token.

#[cfg(feature = "verifier-actix")]
pub mod actix;
mod check;
mod claims;
mod denied;
mod json;
mod jws;
mod keys;
mod remote;
pub mod tower;

pub use check::{Expected, ExpectedError, MAX_LEEWAY, Refused, verify};
pub use claims::{Claims, PhoneNumber};
pub use denied::Denied;
pub use jws::MAX_TOKEN_BYTES;
pub use keys::{KeySet, KeySetError};
pub use remote::{
    BuildError, Builder, CheckError, DEFAULT_AGE, MAX_AGE, MAX_SET_BYTES, MIN_AGE, RETRY,
    RETRY_WITHOUT_KEYS, Verifier,
};

#[cfg(test)]
mod testing;
