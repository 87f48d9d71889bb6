//! Signing keys: made and changed in the database, kept sealed there, published as a JWK set.
//!
//! ```text
//! every process, each 500 ms: due? (schedule) -> one transaction: lock, plan again, change, audit event
//!                             other than in memory? -> read -> Published, served without the database
//! ```
//!
//! Invariants:
//! - one key signs, at most one follows it; both are published, and every key that signed a token that
//!   may still be valid;
//! - a key is published for `tokens.publish_ahead_seconds` before it signs, unless an operator wants
//!   otherwise or the active key is revoked;
//! - a key has one algorithm, from when it is made to when it is gone.
//!
//! While the database is away the last keys stay in force.

#[cfg(feature = "benching")]
mod benching;
mod der;
mod import;
mod jwk;
mod keeper;
mod key;
mod operator;
mod published;
mod schedule;
mod sightings;
mod store;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::{Mutex, watch};
use tokio::time::sleep;

use crate::database::StoreError;
use crate::metrics::KeyTimes;
use crate::random;
use crate::secrets::SealError;
use crate::telemetry::Chain;
use crate::verifier::KeySetError;
pub use import::{Import, ImportError};
pub use keeper::{By, Keeper};
pub use key::{SigningAlgorithm, SigningKey};
pub use operator::{EARLY, ListedKey, Losses, LostSession, Revocation, Rotation};
pub use published::Published;
pub use schedule::{KeyPolicy, KeyRecord, State};
pub use sightings::Sighting;
use sightings::Sightings;

/// Pause between two looks at the keys, half of it drawn anew each time: a change holds everywhere within
/// a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Signing keys could not be made, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No key pair could be made.
    #[error("no signing key could be made")]
    Generate,
    /// The making of a key was cut short.
    #[error("no signing key could be made")]
    Interrupted(#[source] tokio::task::JoinError),
    /// The key is not one that tokens can be signed with.
    #[error("the signing key cannot be used")]
    Unusable(#[source] jsonwebtoken::errors::Error),
    /// A key for RS256 is not an RSA key.
    #[error("the signing key is no RSA key")]
    NotRsa,
    /// The key could not be sealed.
    #[error("the signing key cannot be sealed")]
    Seal(#[from] SealError),
    /// The stored key does not open: `secrets.master_key` is not the one it was sealed with.
    #[error(
        "a signing key in the database was sealed with another secrets.master_key; \
         start with that one, or with an empty database"
    )]
    WrongMasterKey,
    /// No stored key is the active one.
    #[error("no signing key is active")]
    NoActive,
    /// The keys were changed by somebody else meanwhile: trying again helps.
    #[error("the signing keys were changed by somebody else meanwhile; try again")]
    Moved,
    /// There is no such key, or no longer.
    #[error("there is no signing key with the kid {0:?}")]
    Unknown(String),
    /// A key to import has the name of another.
    #[error("there is a signing key with the kid {0:?} already; give another one with --kid")]
    KidTaken(String),
    /// A key to import is not of the algorithm that the settings name, which the next start would change.
    #[error(
        "it is a key for {}, but tokens.algorithm is {}; change that first",
        given.name(),
        wanted.name()
    )]
    OtherAlgorithm {
        /// That of the key.
        given: SigningAlgorithm,
        /// That of the settings.
        wanted: SigningAlgorithm,
    },
    /// The JWK set could not be written.
    #[error("the JWK set cannot be written")]
    Publish(#[source] serde_json::Error),
    /// The JWK set cannot be read back.
    #[error("the JWK set cannot be read back")]
    Verify(#[source] KeySetError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The keys of this deployment as one process knows them.
pub struct SigningKeys {
    keeper: Keeper,
    published: watch::Sender<Arc<Published>>,
    /// One look at a time, or older keys could come after newer ones.
    looking: Mutex<()>,
    sightings: Sightings,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys")
            .field("published", &self.published())
            .finish_non_exhaustive()
    }
}

impl SigningKeys {
    /// Reads the keys over `startup`, after what is due there: the first process to find none makes one,
    /// under a lock that makes the others wait and read the same one. Later the keeper's own connections
    /// are used.
    pub async fn load(startup: &PgPool, keeper: Keeper) -> Result<Self, KeyError> {
        let first = keeper.over(startup.clone());
        first.check_master_key(None).await?;
        first.start().await?;
        let published = loop {
            let keys = first.keys().await?;
            match Published::read(keys, None, startup, &keeper.keyring).await {
                // Another process deleted a key between the two reads.
                Err(KeyError::Moved) => {}
                read => break read?,
            }
        };
        Ok(Self {
            sightings: Sightings::new(keeper.policy.verifiers.clone()),
            keeper,
            published: watch::Sender::new(Arc::new(published)),
            looking: Mutex::new(()),
        })
    }

    /// The key that signs now.
    pub fn active(&self) -> Arc<SigningKey> {
        Arc::clone(self.published.borrow().active())
    }

    /// All keys, and the JWK set.
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.borrow())
    }

    /// What is told of them at this moment.
    pub fn times(&self, now: DateTime<Utc>) -> KeyTimes {
        let published = self.published();
        let replaced_by = self.keeper.policy.replaced_by(published.records());
        KeyTimes {
            by_state: published.by_state(),
            ages: published.ages(now),
            promotion_in: published.promotion_in(now),
            // A key signs, or the service would not have begun.
            overdue_for: replaced_by.map_or(f64::NAN, |by| (now - by).as_seconds_f64()),
        }
    }

    /// Changes the stored keys for operators.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Notes that a verifier fetched these keys; one that the settings do not name is nobody.
    pub fn seen_by(&self, verifier: &str, published: &Published) {
        let now = self.keeper.clock.now();
        self.sightings.note(verifier, published, now);
    }

    /// Reads the keys again if they changed.
    pub async fn refresh(&self) -> Result<(), KeyError> {
        let _turn = self.looking.lock().await;
        self.publish(self.keeper.keys().await?).await
    }

    /// Writes who has seen which key, reads the keys again if they changed, and does what is due.
    pub async fn look(&self) -> Result<(), KeyError> {
        let _turn = self.looking.lock().await;
        let pool = &self.keeper.pool;
        let seen = self.sightings.unwritten();
        if !seen.is_empty() {
            store::note(pool, &seen).await?;
            self.sightings.wrote(seen);
        }
        let keys = self.keeper.keys().await?;
        let steps = self.keeper.due(&keys).await?;
        // First what there is: a process that cannot open the next key must not let it sign.
        if !published::nobody_signs(&keys) {
            self.publish(keys).await?;
        }
        if !steps.is_empty() {
            self.keeper.keep().await?;
            self.publish(self.keeper.keys().await?).await?;
        }
        Ok(())
    }

    async fn publish(&self, keys: Vec<KeyRecord>) -> Result<(), KeyError> {
        let old = self.published();
        if old.is_of(&keys) {
            return Ok(());
        }
        let (pool, keyring) = (&self.keeper.pool, &self.keeper.keyring);
        let published = match Published::read(keys, Some(&old), pool, keyring).await {
            // Another process deleted a key between the two reads; the next look sees what is left.
            Err(KeyError::Moved) => return Ok(()),
            read => read?,
        };
        self.sightings.keep_only(&published);
        self.published.send_replace(Arc::new(published));
        Ok(())
    }

    /// Looks every 500 ms or less until `stop` is done.
    pub async fn follow(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let look = async {
            let mut failed = false;
            loop {
                sleep(random::jittered(self.keeper.random.as_ref(), LOOK_EVERY)).await;
                let looked = self.look().await;
                // Told once an outage, not three times a second.
                if let Err(error) = &looked
                    && !failed
                {
                    tracing::error!(error = %Chain(error), "signing keys not looked after");
                }
                failed = looked.is_err();
            }
        };
        tokio::select! {
            () = stop => {}
            () = look => {}
        }
    }
}
