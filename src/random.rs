//! Randomness, passed in so that tests can repeat it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A cryptographically secure source of random bytes.
pub trait Random: Send + Sync {
    /// Fills `buffer` with random bytes.
    ///
    /// # Errors
    /// [`RandomUnavailable`] when the source gave nothing; the caller must not go on.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable>;
}

/// The source of randomness failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomUnavailable;

/// The operating system's generator, through aws-lc.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the system"
    )]
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
        aws_lc_rs::rand::fill(buffer).map_err(|aws_lc_rs::error::Unspecified| RandomUnavailable)
    }
}

/// An array of random bytes.
pub fn bytes<const N: usize>(random: &dyn Random) -> Result<[u8; N], RandomUnavailable> {
    let mut buffer = [0; N];
    random.fill(&mut buffer)?;
    Ok(buffer)
}

/// A random UUID (version 4, RFC 9562 section 5.4), for ids that must tell nothing, not even when
/// they were made.
pub fn uuid_v4(random: &dyn Random) -> Result<Uuid, RandomUnavailable> {
    Ok(uuid::Builder::from_random_bytes(bytes(random)?).into_uuid())
}

/// A time-ordered UUID (version 7, RFC 9562 section 5.7), for rows that are inserted in time
/// order; 74 of its bits are random.
pub fn uuid_v7(random: &dyn Random, now: DateTime<Utc>) -> Result<Uuid, RandomUnavailable> {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &bytes(random)?).into_uuid())
}

/// Between half of a pause and all of it, so that replicas that began together spread out.
pub fn jittered(random: &dyn Random, pause: Duration) -> Duration {
    let [byte] = bytes::<1>(random).unwrap_or([u8::MAX]);
    pause / 2 + pause * u32::from(byte) / 510
}
