//! What operators ask of the keys, by command or by call.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::import::Import;
use super::keeper::{By, Keeper, retiring};
use super::schedule::{KeyRecord, State, in_state};
use super::store::{self, Locked, NewKey, Place};
use super::{KeyError, Sighting, SigningAlgorithm};
use crate::audit::{Action, Event};
use crate::clock::rfc3339;
use crate::database::StoreError;

/// What a key that signs before it was published for long brings about.
pub const EARLY: &str = "Whoever has a cached JWKS without the new key refuses its tokens until he fetches \
                         it again: for up to 300 s by its Cache-Control, for up to 600 s with Envoy.";

/// A key, and which verifier has seen it.
#[derive(Clone, Debug)]
pub struct ListedKey {
    /// What is stored of it.
    pub record: KeyRecord,
    /// Who of the verifiers that the settings name, or named, has seen it.
    pub seen: Vec<Sighting>,
}

/// The key that follows, or just followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The key.
    pub kid: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// When it begins to sign; `None` = it does already.
    pub promote_at: Option<DateTime<Utc>>,
    /// Whether it signs although it was not published for as long as the settings say; see [`EARLY`].
    pub is_early: bool,
}

/// Whose tokens of a key a client's verifiers no longer accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Losses {
    /// The client.
    pub client_id: String,
    /// Sessions with a live token of the key.
    pub sessions: i64,
    /// Users of these.
    pub users: i64,
    /// When the last of these tokens would have ended by itself.
    pub latest_expiry: DateTime<Utc>,
}

/// A session with a live token of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostSession {
    /// The token's `sub`.
    pub user_id: Uuid,
    /// The token's `sid`.
    pub session_id: Uuid,
    /// The client.
    pub client_id: String,
    /// When the token would have ended by itself.
    pub expires_at: DateTime<Utc>,
}

/// What a revocation did, or would do.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// Where the key stood.
    pub state: State,
    /// The key that signs from now on, if it was the active one; `None` in a rehearsal in which it would
    /// have to be made.
    pub successor: Option<String>,
    /// Whether that key was not published for as long as the settings say; see [`EARLY`].
    pub is_early: bool,
    /// Whose tokens it ended, by client.
    pub losses: Vec<Losses>,
}

impl Keeper {
    /// Every key.
    pub async fn list(&self) -> Result<Vec<ListedKey>, StoreError> {
        let sightings = store::sightings(&self.pool).await?;
        let keys = self.keys().await?.into_iter().map(|record| ListedKey {
            seen: sightings
                .iter()
                .filter(|seen| seen.kid == record.kid)
                .cloned()
                .collect(),
            record,
        });
        Ok(keys.collect())
    }

    /// Brings the next rotation forward: to when the next key has been published for as long as the
    /// settings say, or to now. Whoever has a cached JWKS without the key refuses its tokens in the
    /// latter case, until he fetches it again.
    pub async fn rotate(&self, at_once: bool, by: By<'_>) -> Result<Rotation, KeyError> {
        self.check_master_key(None).await?;
        let fresh = match self.wanted_next(&self.keys().await?) {
            Some(_) => None,
            None => Some(self.fresh().await?),
        };
        let mut locked = Locked::begin(&self.pool).await?;
        let keys = locked.keys().await?;
        let rotation = match (self.wanted_next(&keys), fresh) {
            (Some(next), _) => {
                let soon = next.created_at + self.policy.publish_ahead;
                let promote_at = next.promote_at.map_or(soon, |planned| planned.min(soon));
                if at_once {
                    self.promote(&mut locked, &keys, &next.kid, by).await?;
                } else {
                    locked.schedule(&next.kid, promote_at).await?;
                    let event = by.event(Action::SigningKeyRotate, &next.kid);
                    let event = event.with("promote_at", rfc3339(promote_at));
                    self.record(&mut locked, &event).await?;
                }
                Rotation {
                    kid: next.kid.clone(),
                    algorithm: next.algorithm,
                    promote_at: (!at_once).then_some(promote_at),
                    is_early: at_once && self.is_early(Some(next)),
                }
            }
            (None, Some(fresh)) => {
                let event = by.event(Action::SigningKeyCreate, &fresh.kid);
                self.succeed(&mut locked, &keys, fresh, event, at_once, by)
                    .await?
            }
            // It was there a moment ago.
            (None, None) => return Err(KeyError::Moved),
        };
        locked.commit().await?;
        Ok(rotation)
    }

    /// Makes a key of the operator's the next one, or lets it sign at once.
    pub async fn import(
        &self,
        import: Import,
        at_once: bool,
        by: By<'_>,
    ) -> Result<Rotation, KeyError> {
        let wanted = self.policy.algorithm;
        if import.algorithm() != wanted {
            return Err(KeyError::OtherAlgorithm {
                given: import.algorithm(),
                wanted,
            });
        }
        self.check_master_key(None).await?;
        let new = self.seal(import.kid.clone(), &import.key)?;
        let mut locked = Locked::begin(&self.pool).await?;
        let keys = locked.keys().await?;
        if keys.iter().any(|key| key.kid == new.kid) {
            return Err(KeyError::KidTaken(new.kid));
        }
        let event = by.event(Action::SigningKeyImport, &new.kid);
        let rotation = self
            .succeed(&mut locked, &keys, new, event, at_once, by)
            .await?;
        locked.commit().await?;
        Ok(rotation)
    }

    /// Deletes a key, so that nothing that it signed is accepted any longer once the JWKS without it is
    /// fetched. Sessions live on: their refresh tokens get tokens of another key. A rehearsal only tells.
    pub async fn revoke(
        &self,
        kid: &str,
        rehearsal: bool,
        by: By<'_>,
    ) -> Result<Revocation, KeyError> {
        let find = |keys: &[KeyRecord]| keys.iter().find(|key| key.kid == kid).cloned();
        let keys = self.keys().await?;
        let key = find(&keys).ok_or_else(|| KeyError::Unknown(kid.to_owned()))?;
        if rehearsal {
            let next = in_state(&keys, State::Next).filter(|_| key.state == State::Active);
            return Ok(Revocation {
                state: key.state,
                successor: next.map(|next| next.kid.clone()),
                is_early: key.state == State::Active && self.is_early(next),
                losses: self.losses(kid).await?,
            });
        }
        self.check_master_key(Some(kid)).await?;
        let needs_key = |keys: &[KeyRecord], key: &KeyRecord| {
            key.state == State::Active && in_state(keys, State::Next).is_none()
        };
        let fresh = if needs_key(&keys, &key) {
            Some(self.fresh().await?)
        } else {
            None
        };
        let mut locked = Locked::begin(&self.pool).await?;
        let keys = locked.keys().await?;
        let key = find(&keys).ok_or_else(|| KeyError::Unknown(kid.to_owned()))?;
        locked.delete(kid).await?;
        let event = by.event(Action::SigningKeyRevoke, kid);
        let event = event.with("state", key.state.name());
        self.record(&mut locked, &event).await?;
        let next = in_state(&keys, State::Next);
        let is_early = key.state == State::Active && self.is_early(next);
        let left: Vec<KeyRecord> = keys.into_iter().filter(|key| key.kid != kid).collect();
        let successor = match (in_state(&left, State::Active), in_state(&left, State::Next)) {
            (Some(_), _) => None,
            (None, Some(next)) => {
                self.promote(&mut locked, &left, &next.kid, by).await?;
                Some(next.kid.clone())
            }
            (None, None) => {
                let fresh = fresh.ok_or(KeyError::Moved)?;
                let event = by.event(Action::SigningKeyCreate, &fresh.kid);
                let now = self.clock.now();
                self.insert(&mut locked, &fresh, Place::Active, event, now)
                    .await?;
                Some(fresh.kid)
            }
        };
        locked.commit().await?;
        Ok(Revocation {
            state: key.state,
            successor,
            is_early,
            // Afterwards: what a replica signed that did not know yet is told too.
            losses: self.losses(kid).await?,
        })
    }

    /// Whose tokens of a key are alive, by client; also of a key that is revoked.
    pub async fn losses(&self, kid: &str) -> Result<Vec<Losses>, StoreError> {
        store::losses(&self.pool, kid, self.clock.now()).await
    }

    /// The sessions with a live token of a key, by id, from the one after `after` on.
    pub async fn lost_sessions(
        &self,
        kid: &str,
        after: Option<Uuid>,
        most: i64,
    ) -> Result<Vec<LostSession>, StoreError> {
        store::lost_sessions(&self.pool, kid, self.clock.now(), after, most).await
    }

    /// Whether this key, or one that is yet to be made, was not published for long enough to sign.
    fn is_early(&self, next: Option<&KeyRecord>) -> bool {
        let soon = next.map(|next| next.created_at + self.policy.publish_ahead);
        soon.is_none_or(|soon| self.clock.now() < soon)
    }

    /// The next key, if it is of the algorithm that the settings name.
    fn wanted_next<'a>(&self, keys: &'a [KeyRecord]) -> Option<&'a KeyRecord> {
        in_state(keys, State::Next).filter(|next| next.algorithm == self.policy.algorithm)
    }

    /// Stores a key that follows, or signs at once, as it does where nobody signs. A next key that never
    /// signed makes room, or the active one does.
    async fn succeed(
        &self,
        locked: &mut Locked,
        keys: &[KeyRecord],
        key: NewKey,
        event: Event,
        at_once: bool,
        by: By<'_>,
    ) -> Result<Rotation, KeyError> {
        let now = self.clock.now();
        if let Some(next) = in_state(keys, State::Next) {
            self.drop_next(locked, &next.kid, by).await?;
        }
        let active = in_state(keys, State::Active);
        let (place, event) = match active {
            None => (Place::Active, event),
            Some(active) if at_once => {
                let gone_at = self.policy.gone_at(now);
                locked.retire(&active.kid, now, gone_at).await?;
                (Place::Active, retiring(event, active, gone_at))
            }
            Some(_) => {
                let promote_at = now + self.policy.publish_ahead;
                (Place::Next { promote_at }, event)
            }
        };
        self.insert(locked, &key, place, event, now).await?;
        Ok(Rotation {
            kid: key.kid,
            algorithm: key.algorithm,
            promote_at: match place {
                Place::Active => None,
                Place::Next { promote_at } => Some(promote_at),
            },
            is_early: at_once && active.is_some(),
        })
    }
}
