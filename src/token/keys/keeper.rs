//! Changes the stored keys, by itself when something is due and for operators. It keeps nothing in
//! memory; processes see what it did when they look again.
//!
//! Every change is planned twice: once to learn whether a key must be made, which is slow, and once
//! more under the lock, where it counts. So no key is made while others wait, and of replicas that find
//! the same thing due one does it.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::key::PrivateKey;
use super::published::{self, Published};
use super::schedule::{self, KeyPolicy, KeyRecord, State, Step, in_state};
use super::store::{self, Locked, NewKey, Place};
use super::{KeyError, SigningKey};
use crate::audit::{Action, Actor, Event, Outcome, Remark};
use crate::clock::{Clock, rfc3339};
use crate::database::StoreError;
use crate::operator::OperatorId;
use crate::random::{self, Random};
use crate::secrets::{Keyring, Purpose};

/// Who changes something.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// This service, because it is due.
    Service,
    /// An operator.
    Operator {
        /// Who; `None` is the holder of the settings or of `secrets.admin_token`.
        id: Option<&'a OperatorId>,
        /// Why, in his words.
        reason: Option<&'a Remark>,
        /// The call in which he did it; none if it was a command.
        trace_id: Option<&'a str>,
    },
}

impl By<'_> {
    pub(super) fn event(self, action: Action, kid: &str) -> Event {
        let done = |actor| Event::new(action, Outcome::Success, actor).with("kid", kid);
        match self {
            Self::Service => done(Actor::Service),
            Self::Operator {
                id,
                reason,
                trace_id,
            } => {
                let event = done(Actor::Admin(id.cloned()));
                let event = match trace_id {
                    Some(trace_id) => event.trace(trace_id),
                    None => event.with("by", "command"),
                };
                match reason {
                    Some(reason) => event.with("reason", reason.as_str()),
                    None => event,
                }
            }
        }
    }
}

/// Looks after the stored keys.
#[derive(Clone)]
pub struct Keeper {
    /// Where they are.
    pub pool: PgPool,
    /// Seals them.
    pub keyring: Arc<Keyring>,
    /// Ids and nonces.
    pub random: Arc<dyn Random>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long what lasts.
    pub policy: Arc<KeyPolicy>,
}

impl Keeper {
    /// The same over other connections.
    pub(super) fn over(&self, pool: PgPool) -> Self {
        Self {
            pool,
            ..self.clone()
        }
    }

    /// What is stored of the keys: active, next, retiring.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        store::keys(&self.pool).await
    }

    /// The stored keys as a process would have them. Nothing is done that is due.
    pub async fn published(&self) -> Result<Published, KeyError> {
        Published::read(self.keys().await?, None, &self.pool, &self.keyring).await
    }

    /// What is due, if these are the keys.
    pub(super) async fn due(&self, keys: &[KeyRecord]) -> Result<Vec<Step>, StoreError> {
        let is_asked = !self.policy.verifiers.is_empty() && in_state(keys, State::Next).is_some();
        let seen = if is_asked {
            store::seen_next(&self.pool).await?
        } else {
            BTreeSet::new()
        };
        Ok(schedule::due(keys, &seen, &self.policy, self.clock.now()))
    }

    /// Does what is due.
    pub(super) async fn keep(&self) -> Result<(), KeyError> {
        let steps = self.due(&self.keys().await?).await?;
        if steps.is_empty() {
            return Ok(());
        }
        let fresh = if steps.iter().any(Step::makes_a_key) {
            Some(self.fresh().await?)
        } else {
            None
        };
        let mut locked = Locked::begin(&self.pool).await?;
        // Not sooner: the lock may have been waited for.
        let now = self.clock.now();
        let keys = locked.keys().await?;
        let seen = locked.seen_next().await?;
        for step in schedule::due(&keys, &seen, &self.policy, now) {
            match step {
                Step::MakeFirst => {
                    self.add(&mut locked, fresh.as_ref(), Place::Active, now)
                        .await?;
                }
                Step::MakeNext { promote_at } => {
                    let place = Place::Next { promote_at };
                    self.add(&mut locked, fresh.as_ref(), place, now).await?;
                }
                Step::Promote { kid } => {
                    self.promote(&mut locked, &keys, &kid, By::Service).await?;
                }
                Step::Remove { kid } => {
                    locked.delete(&kid).await?;
                    let event = By::Service.event(Action::SigningKeyRemove, &kid);
                    self.record(&mut locked, &event).await?;
                }
            }
        }
        Ok(locked.commit().await?)
    }

    /// What a process does when it starts: what is due, and the change to another algorithm, which is
    /// not among what is due, or replicas with old and new settings would undo each other's keys for as
    /// long as a deployment takes.
    pub(super) async fn start(&self) -> Result<(), KeyError> {
        self.keep().await?;
        let (keys, now) = (self.keys().await?, self.clock.now());
        if schedule::switch(&keys, &self.policy, now).is_none() {
            return Ok(());
        }
        let fresh = self.fresh().await?;
        let mut locked = Locked::begin(&self.pool).await?;
        let now = self.clock.now();
        let Some(switch) = schedule::switch(&locked.keys().await?, &self.policy, now) else {
            return Ok(());
        };
        if let Some(kid) = &switch.drop {
            self.drop_next(&mut locked, kid, By::Service).await?;
        }
        let promote_at = switch.promote_at;
        let place = Place::Next { promote_at };
        self.add(&mut locked, Some(&fresh), place, now).await?;
        Ok(locked.commit().await?)
    }

    /// A key of the algorithm that the settings name, sealed. It is made off the threads that serve.
    pub(super) async fn fresh(&self) -> Result<NewKey, KeyError> {
        let algorithm = self.policy.algorithm;
        let made = tokio::task::spawn_blocking(move || PrivateKey::generate(algorithm)).await;
        let key = made.map_err(KeyError::Interrupted)??;
        let kid = SigningKey::read(&key, None)?.kid().to_owned();
        self.seal(kid, &key)
    }

    pub(super) fn seal(&self, kid: String, key: &PrivateKey) -> Result<NewKey, KeyError> {
        let random = self.random.as_ref();
        let sealed = self
            .keyring
            .seal(Purpose::SigningKey, kid.as_bytes(), &key.der, random)?;
        Ok(NewKey {
            kid,
            algorithm: key.algorithm,
            sealed,
        })
    }

    /// Refuses another master key than the stored keys were sealed with. `but` is one that leaves.
    pub(super) async fn check_master_key(&self, but: Option<&str>) -> Result<(), KeyError> {
        for key in store::sealed(&self.pool).await? {
            if but != Some(key.kid.as_str()) {
                published::open(&key, &self.keyring)?;
            }
        }
        Ok(())
    }

    /// Adds a key. Without one nothing is done: what is due changed since it was planned, and the next
    /// look finds it.
    async fn add(
        &self,
        locked: &mut Locked,
        fresh: Option<&NewKey>,
        place: Place,
        now: DateTime<Utc>,
    ) -> Result<(), KeyError> {
        match fresh {
            Some(fresh) => {
                let event = By::Service.event(Action::SigningKeyCreate, &fresh.kid);
                self.insert(locked, fresh, place, event, now).await
            }
            None => Ok(()),
        }
    }

    /// Stores a key, and says so in the event.
    pub(super) async fn insert(
        &self,
        locked: &mut Locked,
        key: &NewKey,
        place: Place,
        event: Event,
        now: DateTime<Utc>,
    ) -> Result<(), KeyError> {
        locked.insert(key, place, now).await?;
        let event = event.with("algorithm", key.algorithm.name());
        let event = match place {
            Place::Active => event.with("state", State::Active.name()),
            Place::Next { promote_at } => event
                .with("state", State::Next.name())
                .with("promote_at", rfc3339(promote_at)),
        };
        self.record(locked, &event).await
    }

    /// Lets a key sign that did not, and retires the one that does.
    pub(super) async fn promote(
        &self,
        locked: &mut Locked,
        keys: &[KeyRecord],
        kid: &str,
        by: By<'_>,
    ) -> Result<(), KeyError> {
        let now = self.clock.now();
        let mut event = by.event(Action::SigningKeyPromote, kid);
        if let Some(active) = in_state(keys, State::Active) {
            let gone_at = self.policy.gone_at(now);
            locked.retire(&active.kid, now, gone_at).await?;
            event = retiring(event, active, gone_at);
        }
        locked.activate(kid, now).await?;
        self.record(locked, &event).await
    }

    /// Takes a next key away that another one takes the place of.
    pub(super) async fn drop_next(
        &self,
        locked: &mut Locked,
        kid: &str,
        by: By<'_>,
    ) -> Result<(), KeyError> {
        locked.delete(kid).await?;
        let event = by.event(Action::SigningKeyRemove, kid).reason("replaced");
        self.record(locked, &event).await
    }

    pub(super) async fn record(&self, locked: &mut Locked, event: &Event) -> Result<(), KeyError> {
        let now = self.clock.now();
        let id = random::uuid_v7(self.random.as_ref(), now).map_err(StoreError::from)?;
        Ok(locked.record(id, now, event).await?)
    }
}

/// Says which key ends to sign.
pub(super) fn retiring(event: Event, active: &KeyRecord, gone_at: DateTime<Utc>) -> Event {
    event
        .with("retired", active.kid.as_str())
        .with("gone_at", rfc3339(gone_at))
}
