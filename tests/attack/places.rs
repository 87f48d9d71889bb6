//! Numbers, addresses and times of day.

use std::net::Ipv4Addr;

use chrono::{DateTime, TimeDelta, Utc};

/// Share of the day's logins in each hour of UTC, in percent: next to none at night, and an evening
/// peak in which 9 of 100 log in.
const CURVE: [u32; 24] = [
    1, 1, 1, 1, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 4, 4, 5, 6, 7, 8, 9, 7, 4, 2,
];

/// A time of the day that begins at `midnight`, as people log in.
pub(crate) fn time_of_day(midnight: DateTime<Utc>, rng: &mut fastrand::Rng) -> DateTime<Utc> {
    let mut drawn = rng.u32(0..100);
    let mut hour = 0;
    for share in CURVE {
        if drawn < share {
            break;
        }
        drawn -= share;
        hour += 1;
    }
    midnight + TimeDelta::seconds(hour * 3600 + rng.i64(0..3600))
}

/// The n-th address of an attacker, each in a /24 of its own: no network stands for all of them.
pub(crate) fn attacker(n: u32) -> Ipv4Addr {
    let [_, high, middle, low] = n.to_be_bytes();
    Ipv4Addr::new(60 + high, middle, low, 7)
}

/// The n-th address of an honest household, each in a /24 of its own.
pub(crate) fn household(n: u32) -> Ipv4Addr {
    let [_, high, middle, low] = n.to_be_bytes();
    Ipv4Addr::new(120 + high, middle, low, 9)
}

/// How many addresses of a carrier are in one /24: all of them, which is the hardest on the limits of networks.
const CARRIER_PER_NETWORK: u32 = 256;

/// The n-th address of a carrier, behind which thousands of users are.
pub(crate) fn carrier(n: u32) -> Ipv4Addr {
    let network = (n / CARRIER_PER_NETWORK).to_be_bytes();
    let [_, _, _, host] = (n % CARRIER_PER_NETWORK).to_be_bytes();
    let [_, _, middle, low] = network;
    Ipv4Addr::new(160, middle, low, host)
}

/// The n-th of a hundred million Indian mobile numbers. Neighbours are far apart, in blocks of their own:
/// the factor has no divisor in common with the count, so that no two are the same.
pub(crate) fn phone(n: u64) -> String {
    let spread = (n * 61_803_399) % 100_000_000;
    format!("+9198{spread:08}")
}
