//! Which refusals this process told the audit log of.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::secrets::PhoneIndex;

/// Most phones that are remembered in a minute, some 6 MB; further ones are told of again and again, as a
/// flood of so many phones is stopped elsewhere.
const MOST: usize = 100_000;

/// The refusals of the current minute.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<(i64, HashSet<(PhoneIndex, &'static str)>)>);

impl Refusals {
    /// Whether this is the first such refusal of its minute.
    pub(super) fn is_first(
        &self,
        phone: PhoneIndex,
        reason: &'static str,
        now: DateTime<Utc>,
    ) -> bool {
        let minute = now.timestamp() / 60;
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0 != minute {
            *told = (minute, HashSet::new());
        }
        told.1.len() >= MOST || told.1.insert((phone, reason))
    }
}
