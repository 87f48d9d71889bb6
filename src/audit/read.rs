//! Reading the log: a page of what matches, all of a span, or the one event of an id.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::store::{self, Entry};
use super::{Action, Actor, Audit, Outcome};
use crate::database::StoreError;
use crate::secrets::PhoneIndex;

/// A place in the log, which is ordered by time and then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub(super) at: DateTime<Utc>,
    pub(super) id: Uuid,
}

impl Place {
    /// The place of an event; `None` for an id that no event has.
    pub fn of(id: Uuid) -> Option<Self> {
        let time = id.get_timestamp().filter(|_| id.get_version_num() == 7)?;
        let (seconds, nanos) = time.to_unix();
        let at = DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)?;
        Some(Self { at, id })
    }

    /// The place before all events of a time.
    pub fn before(at: DateTime<Utc>) -> Self {
        Self {
            at,
            id: Uuid::nil(),
        }
    }
}

impl From<&Entry> for Place {
    fn from(entry: &Entry) -> Self {
        Self {
            at: entry.at,
            id: entry.id,
        }
    }
}

/// What a reader wants to see; what is not given matches everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// What was done.
    pub action: Option<Action>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Who did it.
    pub actor: Option<Actor>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// The user's id.
    pub user: Option<Uuid>,
    /// The phone.
    pub phone: Option<PhoneIndex>,
    /// The request's id.
    pub request: Option<Uuid>,
    /// From this time on.
    pub since: Option<DateTime<Utc>>,
    /// Up to this time, without it.
    pub until: Option<DateTime<Utc>>,
    /// Older than the event here: where the page before this one ended.
    pub before: Option<Place>,
}

impl Filter {
    /// Events are at this time or later.
    pub(super) fn first(&self) -> DateTime<Utc> {
        self.since.unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Events are before this place.
    pub(super) fn end(&self) -> Place {
        let until = Place::before(self.until.unwrap_or(DateTime::<Utc>::MAX_UTC));
        self.before.map_or(until, |before| before.min(until))
    }
}

impl Audit {
    /// The newest events that match, newest first.
    pub async fn newest(&self, filter: &Filter, most: u16) -> Result<Vec<Entry>, StoreError> {
        store::newest(&self.pool, filter, i64::from(most)).await
    }

    /// The oldest events after a place and before a time, oldest first.
    pub async fn oldest(
        &self,
        after: Place,
        until: DateTime<Utc>,
        most: u16,
    ) -> Result<Vec<Entry>, StoreError> {
        store::oldest(&self.pool, after, until, i64::from(most)).await
    }

    /// The event of a send or resend that was refused, or would have been; `None` if the id is no
    /// such event's.
    pub async fn decision(&self, id: Uuid) -> Result<Option<Entry>, StoreError> {
        match Place::of(id) {
            None => Ok(None),
            Some(place) => store::decision(&self.pool, place).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{SystemRandom, uuid_v4, uuid_v7};

    #[test]
    fn the_id_of_an_event_tells_its_time_to_the_millisecond() {
        for millis in [0, 1, 1_800_000_000_999] {
            let at = DateTime::from_timestamp_millis(millis).unwrap();
            let id = uuid_v7(&SystemRandom, at).unwrap();

            assert_eq!(Place::of(id), Some(Place { at, id }));
        }
        assert_eq!(Place::of(uuid_v4(&SystemRandom).unwrap()), None);
        assert_eq!(Place::of(Uuid::nil()), None);
    }
}
