//! What a process has of the keys in memory.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::JwkSet;
use sqlx::PgPool;

use super::key::PrivateKey;
use super::schedule::{KeyRecord, State, in_state};
use super::store::{self, SealedKey};
use super::{KeyError, SigningAlgorithm, SigningKey};
use crate::database::StoreError;
use crate::secrets::{Keyring, OpenError, Purpose};
use crate::verifier::KeySet;

/// The keys at one moment, and their public halves ready to serve.
#[derive(Debug)]
pub struct Published {
    active: Arc<SigningKey>,
    keys: Vec<(KeyRecord, Arc<SigningKey>)>,
    jwks: Vec<u8>,
    etag: String,
    verifying: KeySet,
}

impl Published {
    /// Puts these keys together; those of `old` need not be opened again.
    pub(super) async fn read(
        records: Vec<KeyRecord>,
        old: Option<&Self>,
        pool: &PgPool,
        keyring: &Keyring,
    ) -> Result<Self, KeyError> {
        let is_known = |record: &KeyRecord| old.and_then(|old| old.key(record)).is_some();
        let sealed = if records.iter().all(is_known) {
            Vec::new()
        } else {
            store::sealed(pool).await?
        };
        let keys = records.into_iter().map(|record| {
            let key = match old.and_then(|old| old.key(&record)) {
                Some(key) => Arc::clone(key),
                None => Arc::new(find_and_open(&record.kid, &sealed, keyring)?),
            };
            Ok((record, key))
        });
        Self::new(keys.collect::<Result<_, KeyError>>()?)
    }

    pub(super) fn new(keys: Vec<(KeyRecord, Arc<SigningKey>)>) -> Result<Self, KeyError> {
        let active = keys
            .iter()
            .find(|(record, _)| record.state == State::Active)
            .map(|(_, key)| Arc::clone(key))
            .ok_or(KeyError::NoActive)?;
        let set = JwkSet {
            keys: keys.iter().map(|(_, key)| key.public().clone()).collect(),
        };
        let jwks = serde_json::to_vec(&set).map_err(KeyError::Publish)?;
        let etag = URL_SAFE_NO_PAD.encode(digest(&SHA256, &jwks));
        let verifying = KeySet::parse(&jwks).map_err(KeyError::Verify)?;
        Ok(Self {
            active,
            keys,
            jwks,
            etag,
            verifying,
        })
    }

    /// The key of this record. A name may come back with another key, if one is revoked and then imported.
    fn key(&self, record: &KeyRecord) -> Option<&Arc<SigningKey>> {
        let known = self
            .keys
            .iter()
            .find(|(known, _)| known.kid == record.kid && known.created_at == record.created_at);
        known.map(|(_, key)| key)
    }

    /// Whether it is made of these.
    pub(super) fn is_of(&self, records: &[KeyRecord]) -> bool {
        self.keys.iter().map(|(known, _)| known).eq(records)
    }

    /// The key that signs.
    pub fn active(&self) -> &Arc<SigningKey> {
        &self.active
    }

    /// What is stored of the keys, in the order of the JWK set: active, next, retiring.
    pub fn records(&self) -> impl Iterator<Item = &KeyRecord> {
        self.keys.iter().map(|(record, _)| record)
    }

    /// How many keys there are of each state.
    pub fn by_state(&self) -> [(&'static str, u32); 3] {
        State::ALL.map(|state| {
            let count = self.records().filter(|key| key.state == state).count();
            (state.name(), u32::try_from(count).unwrap_or(u32::MAX))
        })
    }

    /// Seconds until the next key is to sign; negative while it waits for verifiers.
    pub fn promotion_in(&self, now: DateTime<Utc>) -> Option<f64> {
        let promote_at = self.records().find_map(|key| key.promote_at)?;
        Some((promote_at - now).as_seconds_f64())
    }

    /// Seconds for which the oldest key of each state has been in it.
    pub fn ages(&self, now: DateTime<Utc>) -> [(&'static str, Option<f64>); 3] {
        State::ALL.map(|state| {
            let keys = self.records().filter(|key| key.state == state);
            let since = keys.map(KeyRecord::in_state_since).min();
            (
                state.name(),
                since.map(|since| (now - since).as_seconds_f64()),
            )
        })
    }

    /// The JWK set (RFC 7517 section 5) as JSON.
    pub fn jwks(&self) -> &[u8] {
        &self.jwks
    }

    /// What tokens are checked with.
    pub fn verifying(&self) -> &KeySet {
        &self.verifying
    }

    /// Changes exactly when [`Self::jwks`] does.
    pub fn etag(&self) -> &str {
        &self.etag
    }
}

fn find_and_open(
    kid: &str,
    sealed: &[SealedKey],
    keyring: &Keyring,
) -> Result<SigningKey, KeyError> {
    let found = sealed.iter().find(|key| key.kid == kid);
    open(found.ok_or(KeyError::Moved)?, keyring)
}

/// Opens a stored key.
pub(super) fn open(sealed: &SealedKey, keyring: &Keyring) -> Result<SigningKey, KeyError> {
    let kid = sealed.kid.as_str();
    let der = keyring.open(Purpose::SigningKey, kid.as_bytes(), &sealed.private_sealed);
    let algorithm = SigningAlgorithm::parse(&sealed.algorithm);
    let key = PrivateKey {
        algorithm: algorithm.ok_or(StoreError::Corrupt("algorithm"))?,
        der: der.map_err(|OpenError| KeyError::WrongMasterKey)?,
    };
    SigningKey::read(&key, Some(kid))
}

/// Whether no key signs.
pub(super) fn nobody_signs(records: &[KeyRecord]) -> bool {
    in_state(records, State::Active).is_none()
}

#[cfg(test)]
mod tests;
