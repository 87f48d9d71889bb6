//! Reading query parameters: every faulty one is reported at once, as body fields are.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use url::form_urlencoded;
use uuid::Uuid;

use super::body::{self, Faults};
use super::problem::Problem;

/// The parameters of a call, and what is wrong with them.
pub(super) struct Query {
    given: Vec<(String, String)>,
    faults: Faults,
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let given = form_urlencoded::parse(text.as_bytes());
        Self {
            given: given.into_owned().collect(),
            faults: Faults::default(),
        }
    }

    /// Takes the parameter that `pointer` names, if it is given and good.
    pub(super) fn take<T, E: Display>(
        &mut self,
        pointer: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let name = pointer.trim_start_matches('/');
        let at = self.given.iter().position(|(given, _)| given == name)?;
        let (_, text) = self.given.swap_remove(at);
        self.faults.note(pointer, read(&text))
    }

    /// Refuses the call if any parameter was faulty, given twice or is not known: a filter that is
    /// misspelt must not show everything.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        if !self.given.is_empty() {
            let unknown = Err::<(), _>("has a parameter that is unknown or given twice");
            self.faults.note("", unknown);
        }
        self.faults.problem().map_or(Ok(()), Err)
    }
}

pub(super) fn time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .ok()
        .ok_or("must be a time as in RFC 3339")
}

/// A number of this range; `what` says which numbers are.
pub(super) fn within<T: FromStr + PartialOrd>(
    text: &str,
    range: RangeInclusive<T>,
    what: &'static str,
) -> Result<T, &'static str> {
    let number = text.parse().ok();
    number.filter(|number| range.contains(number)).ok_or(what)
}

pub(super) fn id(text: &str) -> Result<Uuid, &'static str> {
    body::uuid(text).ok_or("must be a UUID")
}
