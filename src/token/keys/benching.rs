//! A signing key that is in no database, for benches/.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use super::key::PrivateKey;
use super::sightings::Sightings;
use super::{Keeper, KeyError, KeyRecord, Published, SigningKey, SigningKeys, State};

impl SigningKeys {
    /// A new key that signs, of the policy's algorithm. The keeper's database is not asked.
    pub fn made_up(keeper: Keeper) -> Result<Self, KeyError> {
        let algorithm = keeper.policy.algorithm;
        let key = Arc::new(SigningKey::read(&PrivateKey::generate(algorithm)?, None)?);
        let record = KeyRecord {
            kid: key.kid().to_owned(),
            algorithm,
            state: State::Active,
            created_at: keeper.clock.now(),
            promote_at: None,
            active_at: None,
            retired_at: None,
            gone_at: None,
        };
        let published = Published::new(vec![(record, key)])?;
        Ok(Self {
            sightings: Sightings::new(keeper.policy.verifiers.clone()),
            keeper,
            published: watch::Sender::new(Arc::new(published)),
            looking: Mutex::new(()),
        })
    }
}
