//! What limits the sends for one address over all replicas: the shared half of [`super::per_ip`], by
//! the same algorithm.
//!
//! The row in Postgres is changed first, and the change is undone if it asked for too much
//! (`otp/store/take.rs`); the functions here look at the row as it is after the change.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::per_ip::{IpWindow, Network};
use super::{Limit, Refusal};
use crate::secrets::Keyring;

/// Keyed hash of an address (IPv6: of its /64): the same address gives the same key, and without the
/// master key nobody can tell which address it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressKey([u8; 16]);

impl AddressKey {
    /// The key of an address.
    pub fn of(network: Network, keyring: &Keyring) -> Self {
        let bytes = match network.address() {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let hash = keyring.lookup("address", &bytes);
        Self(hash.first_chunk().copied().unwrap_or([0; 16]))
    }

    /// The bytes to look rows up by.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressKey(***)")
    }
}

/// What one address may ask for, over all replicas.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Sends; all windows hold at once.
    pub windows: Vec<IpWindow>,
    /// Different phones in one UTC day.
    pub phones_per_day: Option<u32>,
    /// Different countries in one UTC day.
    pub countries_per_day: Option<u32>,
}

/// An address's row with one more send in it.
#[derive(Clone, Debug)]
pub struct AddressState {
    /// When the bucket of each window will be full again, in the order of [`AddressPolicy::windows`].
    pub full_at: Vec<DateTime<Utc>>,
    /// Since when the two below are counted.
    pub day_start: DateTime<Utc>,
    /// Different phones.
    pub phones: u32,
    /// Different countries.
    pub countries: u32,
}

impl AddressPolicy {
    /// Time in which one call comes back, for each window, in microseconds.
    pub fn refills(&self) -> Vec<i64> {
        let refill = |window: &IpWindow| micros(window.window / window.most.get());
        self.windows.iter().map(refill).collect()
    }

    /// Whether the row is kept at all.
    pub fn is_off(&self) -> bool {
        let no_sets = self.phones_per_day.is_none() && self.countries_per_day.is_none();
        self.windows.is_empty() && no_sets
    }

    /// Why the send that the row has in it is too much, and how long to wait; `None` if it is not. The
    /// name is stable and says which limit.
    pub fn refusal(
        &self,
        state: &AddressState,
        now: DateTime<Utc>,
    ) -> Option<(&'static str, Refusal)> {
        let buckets = self.windows.iter().zip(&state.full_at);
        let buckets = buckets.map(|(window, full_at)| {
            let capacity = window.window / window.most.get() * window.most.get();
            let opens = *full_at - TimeDelta::microseconds(micros(capacity));
            ("address_sends", opens)
        });
        let tomorrow = state.day_start + TimeDelta::days(1);
        let too_many = |count: u32, most: Option<u32>| most.is_some_and(|most| count > most);
        let phones = too_many(state.phones, self.phones_per_day);
        let countries = too_many(state.countries, self.countries_per_day);
        let (reason, until) = buckets
            .chain(phones.then_some(("address_phones", tomorrow)))
            .chain(countries.then_some(("address_countries", tomorrow)))
            .max_by_key(|(_, until)| *until)?;
        let wait = (until - now).to_std().ok().filter(|wait| !wait.is_zero())?;
        let limit = Limit::Ip;
        Some((reason, Refusal { limit, wait }))
    }
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn policy() -> AddressPolicy {
        let window = |most, seconds| IpWindow {
            most: NonZeroU32::new(most).unwrap(),
            window: Duration::from_secs(seconds),
        };
        AddressPolicy {
            windows: vec![window(5, 60), window(50, 3600)],
            phones_per_day: Some(3),
            countries_per_day: Some(1),
        }
    }

    fn state(full_at: [i64; 2], phones: u32, countries: u32) -> AddressState {
        AddressState {
            full_at: full_at.map(at).to_vec(),
            day_start: at(-3600),
            phones,
            countries,
        }
    }

    #[test]
    fn a_bucket_refuses_what_it_does_not_hold_for_as_long_as_it_takes_to_refill() {
        let refused = |state: AddressState| policy().refusal(&state, at(0));
        assert_eq!(policy().refills(), [12_000_000, 72_000_000]);
        assert_eq!(refused(state([12, 72], 1, 1)), None, "the first");
        assert_eq!(refused(state([60, 360], 1, 1)), None, "the fifth");

        let (reason, refusal) = refused(state([72, 432], 1, 1)).unwrap();

        assert_eq!(
            (reason, refusal.wait),
            ("address_sends", Duration::from_secs(12))
        );
        let (_, longest) = refused(state([72, 3672], 1, 1)).unwrap();
        assert_eq!(longest.wait, Duration::from_secs(72));
    }

    #[test]
    fn too_many_phones_or_countries_wait_for_the_next_day() {
        let day = Duration::from_hours(23);
        for (phones, countries, expected) in [
            (3, 1, None),
            (4, 1, Some(("address_phones", day))),
            (3, 2, Some(("address_countries", day))),
        ] {
            let refusal = policy().refusal(&state([12, 72], phones, countries), at(0));
            let refusal = refusal.map(|(reason, refusal)| (reason, refusal.wait));
            assert_eq!(refusal, expected, "{phones} {countries}");
        }
        let off = AddressPolicy::default();
        assert_eq!(off.refusal(&state([999, 999], 999, 999), at(0)), None);
        assert!(off.is_off());
    }
}
