//! Ids for requests that came without one.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use uuid::Builder;

use crate::random::{Random, RandomUnavailable};

/// Bytes that are drawn at once: asking for ten costs the generator as much as asking for hundreds.
const DRAWN: usize = 640;
/// Bytes of an id that are random (RFC 9562 section 5.7).
const OF_ONE: usize = 10;

/// Makes them. They are no secret, so that randomness for some may lie in memory.
pub struct RequestIds {
    random: Arc<dyn Random>,
    left: Mutex<Vec<u8>>,
}

impl RequestIds {
    /// From this source.
    pub fn new(random: Arc<dyn Random>) -> Self {
        Self {
            random,
            left: Mutex::default(),
        }
    }

    /// The next one: a `UUIDv7` as 32 hexadecimal digits.
    pub(super) fn next(&self, now: DateTime<Utc>) -> Result<String, RandomUnavailable> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() < OF_ONE {
            let mut drawn = vec![0; DRAWN];
            self.random.fill(&mut drawn)?;
            *left = drawn;
        }
        let mut bytes = [0; OF_ONE];
        for byte in &mut bytes {
            *byte = left.pop().unwrap_or_default();
        }
        drop(left);
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let id = Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid();
        Ok(id.simple().to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn no_two_are_the_same() {
        let ids = RequestIds::new(Arc::new(SystemRandom));
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();

        let drawn: BTreeSet<String> = (0..1000).map(|_| ids.next(now).unwrap()).collect();

        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().all(|id| id.len() == 32));
    }
}
