//! The master key can be replaced while the service runs.
//!
//! ```text
//! secrets.master_key          seals and opens
//! secrets.other_master_keys   open
//! carried_keys                what hashes: sealed under a master key, the same for ever
//! master_keys                 the ids of the keys under which rows may be sealed
//! ```
//!
//! Invariants:
//! - no program starts that cannot open what is stored: not with a wrong key, and not without one that rows
//!   still need;
//! - every sealed column is named in `store/count.rs`, and is sealed anew (`resealing.rs`) or gone within a day;
//! - sealing anew never undoes what a call wrote meanwhile.
//!
//! Three deploys replace a key: the new one among the others, the new one as the master key and the old one
//! among the others, the old one away once `otp_auth_master_key_rows_left` is 0. So no replica ever meets a
//! value that it cannot open, also while half of them have the settings of before.

mod resealing;
mod store;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::database::StoreError;
use crate::random::Random;
use crate::secrets::{
    CarriedKey, CarriedKeys, DeriveError, KeyId, Keyring, MasterKeys, OpenError, SealError,
};
pub use resealing::Resealing;
pub use store::count::Left;
use store::count::rows_under_others;
use store::{carried, used};

/// The keys do not fit the database.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// None of the keys of the settings opens what is stored.
    #[error(
        "the rows of this database were sealed with another secrets.master_key; start with that one (beside \
         a new one it belongs into secrets.other_master_keys), or with an empty database"
    )]
    Wrong,
    /// A key was taken away too early.
    #[error(
        "rows need a master key that is no longer in the settings: {0}; put it back into \
         secrets.other_master_keys until otp_auth_master_key_rows_left is 0"
    )]
    Needed(Left),
    /// No key could be made of a master key.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// A carried key could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database failed.
    #[error("the carried keys could not be read")]
    Store(#[from] StoreError),
}

/// The working keys for this database: what a process that serves begins with. The first that ever does
/// stores the carried keys, and each notes the key that it seals with.
pub async fn load(
    pool: &PgPool,
    masters: MasterKeys,
    random: &dyn Random,
    now: DateTime<Utc>,
) -> Result<Keyring, MasterKeyError> {
    if carried::all(pool).await?.is_empty() {
        store_carried(pool, &masters, random, now).await?;
    }
    let (_, gone) = used_and_gone(pool, &masters).await?;
    used::forget(pool, &gone).await?;
    used::note(pool, masters.current(), now).await?;
    read(pool, masters).await
}

/// What is sealed under another key than the one that seals: for who looks at a deployment.
pub async fn look(pool: &PgPool, masters: MasterKeys) -> Result<Left, MasterKeyError> {
    let own = masters.current();
    let (used, _) = used_and_gone(pool, &masters).await?;
    read(pool, masters).await?;
    if used.iter().all(|id| *id == own) {
        return Ok(Left::default());
    }
    Ok(rows_under_others(pool, own).await?)
}

/// The working keys for this database as it is: for commands, which change nothing of it.
pub async fn read(pool: &PgPool, masters: MasterKeys) -> Result<Keyring, MasterKeyError> {
    let stored = carried::all(pool).await?;
    let Some(origin) = stored.first().map(|key| key.origin) else {
        let carried = masters.carried_from_current()?;
        return Ok(Keyring::new(masters, &carried)?);
    };
    let keys = CarriedKeys::collect(origin, |wanted| {
        let found = stored.iter().find(|key| key.name == wanted.name());
        let found = found.ok_or(StoreError::Corrupt("set of carried keys"))?;
        let opened = masters.open_carried(wanted, &found.sealed);
        opened.map_err(|OpenError| MasterKeyError::Wrong)
    })?;
    Ok(Keyring::new(masters, &keys)?)
}

/// The keys that were ever used and not forgotten since, and those of them that are not in the settings and that
/// no row needs.
async fn used_and_gone(
    pool: &PgPool,
    masters: &MasterKeys,
) -> Result<(Vec<KeyId>, Vec<KeyId>), MasterKeyError> {
    let ours = masters.ids();
    let used = used::all(pool).await?;
    let gone: Vec<KeyId> = used
        .iter()
        .copied()
        .filter(|id| !ours.contains(id))
        .collect();
    if gone.len() == used.len() && !used.is_empty() {
        return Err(MasterKeyError::Wrong);
    }
    if !gone.is_empty() {
        let left = store::count::rows_under(pool, &gone).await?;
        if !left.is_empty() {
            return Err(MasterKeyError::Needed(left));
        }
    }
    Ok((used, gone))
}

/// Stores the carried keys as the version that had none derives them: from the one master key it had.
async fn store_carried(
    pool: &PgPool,
    masters: &MasterKeys,
    random: &dyn Random,
    now: DateTime<Utc>,
) -> Result<(), MasterKeyError> {
    let origin = match carried::signing_key(pool).await? {
        Some((kid, sealed)) if masters.opens_signing_key(&kid, &sealed) => KeyId::of(&sealed),
        Some(_) => None,
        None => Some(masters.current()),
    };
    let origin = origin.ok_or(MasterKeyError::Wrong)?;
    let keys = masters
        .carried_from(origin)
        .ok_or(MasterKeyError::Wrong)??;
    let mut sealed = Vec::new();
    for key in CarriedKey::ALL {
        sealed.push((key.name(), masters.seal_carried(&keys, key, random)?));
    }
    used::note(pool, origin, now).await?;
    used::note(pool, masters.current(), now).await?;
    Ok(carried::store(pool, origin, &sealed).await?)
}

/// The working keys without a look at the database: they open what is sealed, but what they hash is found
/// only where the master key was never replaced.
pub fn unread(masters: MasterKeys) -> Result<Keyring, MasterKeyError> {
    let carried = masters.carried_from_current()?;
    Ok(Keyring::new(masters, &carried)?)
}
