//! A line of the log for each decision on security, and an end to them in a flood.
//!
//! A line tells less than the audit log does: no hash, no user, no session. Whoever needs those looks the event up
//! there by its id.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Lines of one event and outcome in a second at most. Our own figure: a few dozen kinds of them, all at their
/// most, are some 3 KB/s each, and whoever is awake needs no more to see what goes on.
const MOST: u32 = 10;
/// What was told of late, in this process.
static TOLD: Budget = Budget(Mutex::new(BTreeMap::new()));

/// Events that the audit log does not have, by their stable names: they are too many, and name nobody.
pub const UNRECORDED: [&str; 2] = [ADDRESS_REFUSED, CLIENT_DENIED];
/// A limit of addresses and networks, or an operator's rule on one, refused a call.
pub const ADDRESS_REFUSED: &str = "address.refused";
/// A client did not prove who it is.
pub const CLIENT_DENIED: &str = "client.denied";

/// What a line tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line<'a> {
    /// The stable name of the event.
    pub event: &'static str,
    /// How it ended.
    pub outcome: &'static str,
    /// Why it ended so: a stable name.
    pub reason: Option<&'static str>,
    /// What did it: `client`, `admin` or `service`.
    pub actor: Option<&'static str>,
    /// Which client of the settings.
    pub client: Option<&'a str>,
    /// The event in the audit log.
    pub audit_id: Option<Uuid>,
    /// The call's `X-Request-Id`.
    pub trace_id: Option<&'a str>,
}

/// Writes a line, unless there were too many like it this second. The next one says how many were left out.
pub fn tell(line: Line<'_>, now: DateTime<Utc>) {
    let Some(left_out) = TOLD.take((line.event, line.outcome), now) else {
        return;
    };
    tracing::info!(
        event = line.event,
        outcome = line.outcome,
        reason = line.reason,
        actor = line.actor,
        client = line.client,
        audit_id = line.audit_id.map(tracing::field::display),
        trace_id = line.trace_id,
        left_out = (left_out > 0).then_some(left_out),
        "security event"
    );
}

/// The lines of a second.
#[derive(Debug, Default)]
struct Second {
    /// Since 1970.
    begin: i64,
    told: u32,
    left_out: u64,
}

/// How many lines of each kind there may be. The names are constants, of which there are few.
#[derive(Debug, Default)]
struct Budget(Mutex<BTreeMap<(&'static str, &'static str), Second>>);

impl Budget {
    /// Takes a line; says how many were left out since the last one, or `None` if this one is.
    fn take(&self, kind: (&'static str, &'static str), now: DateTime<Utc>) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = kinds.entry(kind).or_default();
        if of.begin != now.timestamp() {
            (of.begin, of.told) = (now.timestamp(), 0);
        }
        if of.told == MOST {
            of.left_out += 1;
            return None;
        }
        of.told += 1;
        Some(std::mem::take(&mut of.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: (&str, &str) = ("otp.send", "refused");

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn a_flood_leaves_so_many_lines_a_second_and_the_next_says_how_many_it_cost() {
        let budget = Budget::default();
        let told = |second| {
            let taken = (0..10_000).filter_map(|_| budget.take(SEND, at(second)));
            taken.collect::<Vec<_>>()
        };

        assert_eq!(told(1), [0; 10]);
        let mut second = [0; 10];
        second[0] = 9990;
        assert_eq!(told(2), second);
        assert_eq!(budget.take(SEND, at(3600)), Some(9990));
        assert_eq!(budget.take(SEND, at(3600)), Some(0));
    }

    #[test]
    fn one_kind_does_not_take_the_lines_of_another() {
        let budget = Budget::default();
        while budget.take(SEND, at(1)).is_some() {}

        assert_eq!(budget.take(("otp.send", "success"), at(1)), Some(0));
        assert_eq!(budget.take(("phone.lock", "refused"), at(1)), Some(0));
    }
}
