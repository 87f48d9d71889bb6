//! Which verifiers have fetched which keys: noted in memory while a JWKS is served, written later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::Published;

/// A sighting is written again when the written one is so old: of one verifier that asks all the time
/// one row a minute is changed.
const WRITE_AGAIN: TimeDelta = TimeDelta::seconds(60);

/// That a verifier fetched a JWKS with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// As it named itself.
    pub verifier: String,
    /// The key.
    pub kid: String,
    /// When it did so first.
    pub first_seen_at: DateTime<Utc>,
    /// When it did so last, to the minute.
    pub last_seen_at: DateTime<Utc>,
}

#[derive(Clone, Copy)]
struct Seen {
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    written: Option<DateTime<Utc>>,
}

/// The sightings of one process.
pub(super) struct Sightings {
    /// Whom the settings name. Of nobody else anything is kept, so that strangers fill no memory.
    names: BTreeSet<String>,
    seen: Mutex<BTreeMap<(String, String), Seen>>,
}

impl Sightings {
    pub(super) fn new(names: BTreeSet<String>) -> Self {
        Self {
            names,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<(String, String), Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a verifier has all of these keys.
    pub(super) fn note(&self, verifier: &str, published: &Published, now: DateTime<Utc>) {
        if !self.names.contains(verifier) {
            return;
        }
        let mut seen = self.seen();
        for record in published.records() {
            let place = (verifier.to_owned(), record.kid.clone());
            let entry = seen.entry(place).or_insert(Seen {
                first: now,
                last: now,
                written: None,
            });
            entry.last = now.max(entry.last);
        }
    }

    /// What is to be written.
    pub(super) fn unwritten(&self) -> Vec<Sighting> {
        let seen = self.seen();
        let new = seen.iter().filter(|(_, seen)| {
            seen.written
                .is_none_or(|written| seen.last - written >= WRITE_AGAIN)
        });
        new.map(|((verifier, kid), seen)| Sighting {
            verifier: verifier.clone(),
            kid: kid.clone(),
            first_seen_at: seen.first,
            last_seen_at: seen.last,
        })
        .collect()
    }

    /// These are written.
    pub(super) fn wrote(&self, sightings: Vec<Sighting>) {
        let mut seen = self.seen();
        for sighting in sightings {
            let entry = seen.get_mut(&(sighting.verifier, sighting.kid));
            if let Some(entry) = entry {
                entry.written = Some(sighting.last_seen_at);
            }
        }
    }

    /// Forgets keys that are no longer published.
    pub(super) fn keep_only(&self, published: &Published) {
        let kids: BTreeSet<&str> = published.records().map(|key| key.kid.as_str()).collect();
        self.seen()
            .retain(|(_, kid), _| kids.contains(kid.as_str()));
    }
}
