//! When keys come and go: what is due is decided here, from what is stored, and nowhere else.
//!
//! ```text
//!           publish_ahead, and the named verifiers
//!   next ----------------------------------------> active ----------> retiring ----------> gone
//!   published, does not sign                       signs              published            deleted
//! ```

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::SigningAlgorithm;

/// What a token may outlive its key's last signature by, beside its own life: 600 s for which Envoy
/// keeps a JWKS without asking again (its `cache_duration`), and 60 s of clock leeway, the most that a
/// verifier should give.
const SLACK: TimeDelta = TimeDelta::seconds(660);

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Published, and does not sign yet.
    Next,
    /// Signs.
    Active,
    /// Signed, and is still published.
    Retiring,
}

impl State {
    /// In the order in which a JWKS lists them after the active one.
    pub const ALL: [Self; 3] = [Self::Active, Self::Next, Self::Retiring];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retiring => "retiring",
        }
    }

    /// The state of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What is stored of a key, but for its private half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its name in tokens and the JWKS.
    pub kid: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// Where it stands.
    pub state: State,
    /// When it was made or imported, and published.
    pub created_at: DateTime<Utc>,
    /// When a next key is to begin to sign.
    pub promote_at: Option<DateTime<Utc>>,
    /// When it began to sign.
    pub active_at: Option<DateTime<Utc>>,
    /// When it ended to sign.
    pub retired_at: Option<DateTime<Utc>>,
    /// When a retiring key leaves the JWKS.
    pub gone_at: Option<DateTime<Utc>>,
}

impl KeyRecord {
    /// When it came into its state.
    pub(super) fn in_state_since(&self) -> DateTime<Utc> {
        match self.state {
            State::Next => self.created_at,
            State::Active => self.signs_since(),
            State::Retiring => self.retired_at.unwrap_or_else(|| self.signs_since()),
        }
    }

    /// When it began to sign; the version that knew one key only did not note it.
    fn signs_since(&self) -> DateTime<Utc> {
        self.active_at.unwrap_or(self.created_at)
    }
}

/// How long what lasts, and for whom a promotion waits.
#[derive(Clone, Debug)]
pub struct KeyPolicy {
    /// What new keys sign with.
    pub algorithm: SigningAlgorithm,
    /// How long a key signs.
    pub rotate_every: TimeDelta,
    /// How long a key is published before it signs.
    pub publish_ahead: TimeDelta,
    /// How long a key stays published after its last signature, at least.
    pub keep_after: TimeDelta,
    /// The longest life of an access token of any client.
    pub longest_token: TimeDelta,
    /// Who must have seen a key before it signs.
    pub verifiers: BTreeSet<String>,
    /// How long a promotion waits for them at most.
    pub verifier_deadline: TimeDelta,
}

impl KeyPolicy {
    /// When a key that ends to sign now may leave the JWKS.
    pub(super) fn gone_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.keep_after.max(self.longest_token + SLACK)
    }

    /// When a key that is published now is to begin to sign. One of another algorithm than the active
    /// one's, which the settings no longer want, does not wait for that one's time.
    pub(super) fn promote_at(&self, active: &KeyRecord, now: DateTime<Utc>) -> DateTime<Utc> {
        let known_everywhere = now + self.publish_ahead;
        if active.algorithm == self.algorithm {
            known_everywhere.max(active.signs_since() + self.rotate_every)
        } else {
            known_everywhere
        }
    }

    /// When another key than the active one signs at the latest, as long as somebody looks after the keys.
    pub(super) fn replaced_by<'a>(
        &self,
        keys: impl Iterator<Item = &'a KeyRecord>,
    ) -> Option<DateTime<Utc>> {
        let (mut next, mut active) = (None, None);
        for key in keys {
            match key.state {
                State::Next => next = key.promote_at,
                State::Active => active = Some(key.signs_since() + self.rotate_every),
                State::Retiring => {}
            }
        }
        let replaced_by = next.or(active)?;
        if self.verifiers.is_empty() {
            return Some(replaced_by);
        }
        Some(replaced_by + self.verifier_deadline)
    }

    /// Whether a next key signs from now on. `seen` tells who has seen it.
    fn is_promoted(&self, next: &KeyRecord, seen: &BTreeSet<String>, now: DateTime<Utc>) -> bool {
        let Some(promote_at) = next.promote_at else {
            return true;
        };
        let is_waited_out = promote_at + self.verifier_deadline <= now;
        promote_at <= now && (is_waited_out || self.verifiers.is_subset(seen))
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make the first key, which signs at once.
    MakeFirst,
    /// Make the key that follows.
    MakeNext { promote_at: DateTime<Utc> },
    /// Let the next key sign, and retire the active one, if there is one.
    Promote { kid: String },
    /// Delete a key.
    Remove { kid: String },
}

impl Step {
    /// Whether a key is to be made for it.
    pub(super) fn makes_a_key(&self) -> bool {
        matches!(self, Self::MakeFirst | Self::MakeNext { .. })
    }
}

/// The key in a state of which there is at most one.
pub(super) fn in_state(keys: &[KeyRecord], state: State) -> Option<&KeyRecord> {
    keys.iter().find(|key| key.state == state)
}

/// What is due now. `seen` tells who has seen the next key.
pub(super) fn due(
    keys: &[KeyRecord],
    seen: &BTreeSet<String>,
    policy: &KeyPolicy,
    now: DateTime<Utc>,
) -> Vec<Step> {
    let active = in_state(keys, State::Active);
    let next = in_state(keys, State::Next);
    let succession = match (active, next) {
        (None, None) => Some(Step::MakeFirst),
        // Nobody signs: there is nothing to wait for.
        (None, Some(next)) => Some(promote(next)),
        (Some(_), Some(next)) => policy.is_promoted(next, seen, now).then(|| promote(next)),
        (Some(active), None) => {
            let is_due = active.signs_since() + policy.rotate_every - policy.publish_ahead <= now;
            is_due.then(|| Step::MakeNext {
                promote_at: policy.promote_at(active, now),
            })
        }
    };
    let gone = keys
        .iter()
        .filter(|key| key.gone_at.is_some_and(|gone_at| gone_at <= now))
        .map(|key| Step::Remove {
            kid: key.kid.clone(),
        });
    succession.into_iter().chain(gone).collect()
}

fn promote(next: &KeyRecord) -> Step {
    Step::Promote {
        kid: next.kid.clone(),
    }
}

/// What a process that starts with other settings changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Switch {
    /// The next key of another algorithm, which never signs.
    pub(super) drop: Option<String>,
    /// When the one in its place is to begin to sign.
    pub(super) promote_at: DateTime<Utc>,
}

/// What is to be done so that the keys to come are of the algorithm that the settings name.
pub(super) fn switch(keys: &[KeyRecord], policy: &KeyPolicy, now: DateTime<Utc>) -> Option<Switch> {
    let active = in_state(keys, State::Active)?;
    let next = in_state(keys, State::Next);
    let is_wanted = |key: &KeyRecord| key.algorithm == policy.algorithm;
    if next.map_or_else(|| is_wanted(active), is_wanted) {
        return None;
    }
    Some(Switch {
        drop: next.map(|next| next.kid.clone()),
        promote_at: policy.promote_at(active, now),
    })
}

#[cfg(test)]
mod tests;
