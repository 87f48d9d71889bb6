//! The per-address limits: token buckets in memory, the first line of each process.
//!
//! They are built once a process and shared by its workers; a bucket built inside the server's
//! factory would be one a worker, and the limit would multiply.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::nanos::Nanos;
use governor::state::StateStore as _;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore as _};

use super::{GovernorClock, Limit, Quota, Refusal};
use crate::clock::Clock;

/// Most addresses that a limit keeps, some 10 MB. Further ones share one bucket until the others are
/// full again: in a flood of so many it is better to refuse a few than to grow.
const MOST_ADDRESSES: usize = 100_000;
/// Checks between two sweeps of buckets that are full again and need not be kept.
const SWEEP_EVERY: u32 = 4096;
/// The same while there is no room.
const SWEEP_WHEN_FULL: u32 = 256;

/// An address as limits see it: one IPv4 address, or one IPv6 /64, the smallest network a
/// subscriber is given (RFC 6177).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(IpAddr::V4(v4)),
            IpAddr::V6(v6) => {
                let network = v6.to_bits() >> 64 << 64;
                Self(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
        }
    }
}

impl Network {
    /// The address; of an IPv6 network its first.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl Network {
    /// The network around it that one operator is given: an IPv4 /24, the smallest that is routed, or an
    /// IPv6 /48 (RFC 6177).
    #[must_use]
    pub fn wider(self) -> Self {
        match self.0 {
            IpAddr::V4(v4) => Self(IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() >> 8 << 8))),
            IpAddr::V6(v6) => Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80))),
        }
    }
}

/// At most `most` calls, refilled evenly over `window`.
#[derive(Clone, Copy, Debug)]
pub struct IpWindow {
    /// Calls allowed at once.
    pub most: NonZeroU32,
    /// Time in which all of them come back.
    pub window: Duration,
}

/// One window's buckets (the generic cell rate algorithm, ITU-T I.371).
struct Tier {
    name: String,
    most: u32,
    window: Duration,
    refill: Duration,
    /// When each address's bucket will be full again.
    full_at: DashMapStateStore<Network>,
}

/// What a bucket holds.
struct Level {
    remaining: u32,
    /// Time until it has a call to give; zero if it has one.
    wait: Duration,
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What is left of each window.
    pub quotas: Vec<Quota>,
    /// Set if the call does not pass.
    pub refusal: Option<Refusal>,
}

/// The limits of one kind of call.
pub struct IpLimit {
    tiers: Vec<Tier>,
    clock: GovernorClock,
    checks: AtomicU32,
}

impl IpLimit {
    /// A limit that holds all these windows at once; none switches it off. `name` begins their names in
    /// the `RateLimit` fields.
    pub fn new(name: &'static str, windows: &[IpWindow], clock: Arc<dyn Clock>) -> Self {
        let tier = |window: &IpWindow| Tier {
            name: format!("{name}-{}s", window.window.as_secs()),
            most: window.most.get(),
            window: window.window,
            refill: window.window / window.most.get(),
            full_at: DashMapStateStore::default(),
        };
        Self {
            tiers: windows.iter().map(tier).collect(),
            clock: GovernorClock::new(clock),
            checks: AtomicU32::new(0),
        }
    }

    /// Takes one call from every bucket of this address, or from none.
    ///
    /// A refused call takes nothing: at an address that many share and some do not wait, refused
    /// calls would empty one bucket while another fills, and next to nobody would pass. The wait
    /// is the longest any bucket asks for.
    pub fn check(&self, network: Network) -> Checked {
        let now = self.clock.now();
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.tiers
                .iter()
                .for_each(|tier| tier.full_at.retain_recent(now));
        }
        let network = self.kept(network, now);
        let look = || self.tiers.iter().map(|tier| tier.look(network, now));
        let mut levels: Vec<Level> = look().collect();
        if longest(&levels).is_zero() {
            levels = self
                .tiers
                .iter()
                .map(|tier| tier.take(network, now))
                .collect();
            if !longest(&levels).is_zero() {
                // Another thread took the last call in between.
                levels = look().collect();
            }
        }
        let wait = longest(&levels);
        let quotas = self.tiers.iter().zip(&levels);
        Checked {
            quotas: quotas.map(|(tier, level)| tier.quota(level)).collect(),
            refusal: (!wait.is_zero()).then_some(Refusal {
                limit: Limit::Ip,
                wait,
            }),
        }
    }
}

impl IpLimit {
    /// The address, or the one that all share for which there is no room.
    fn kept(&self, network: Network, now: Nanos) -> Network {
        let is_full = |tier: &Tier| {
            tier.full_at.len() >= MOST_ADDRESSES && !tier.full_at.contains_key(&network)
        };
        if !self.tiers.iter().any(is_full) {
            return network;
        }
        // Once more, since the last sweep may be long ago; not for each call of a flood.
        if self
            .checks
            .load(Ordering::Relaxed)
            .is_multiple_of(SWEEP_WHEN_FULL)
        {
            self.tiers
                .iter()
                .for_each(|tier| tier.full_at.retain_recent(now));
        }
        if self.tiers.iter().any(is_full) {
            Network(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
        } else {
            network
        }
    }
}

fn longest(levels: &[Level]) -> Duration {
    levels
        .iter()
        .map(|level| level.wait)
        .max()
        .unwrap_or_default()
}

impl Tier {
    /// What the bucket holds, which is `most` calls less one for each refill until it is full.
    fn level(&self, full_at: Option<Nanos>, now: Nanos) -> Level {
        let missing = full_at.unwrap_or(now).saturating_sub(now).as_u64();
        let missing = Duration::from_nanos(missing);
        let capacity = self.refill * self.most;
        let held = capacity.saturating_sub(missing);
        let remaining = held.as_nanos() / self.refill.as_nanos().max(1);
        Level {
            remaining: u32::try_from(remaining).unwrap_or(self.most),
            wait: self.refill.saturating_sub(held),
        }
    }

    fn look(&self, network: Network, now: Nanos) -> Level {
        let look = |full_at| Err::<(Level, Nanos), Level>(self.level(full_at, now));
        let (Ok(level) | Err(level)) = self.full_at.measure_and_replace(&network, look);
        level
    }

    fn take(&self, network: Network, now: Nanos) -> Level {
        let take = |full_at: Option<Nanos>| {
            let mut level = self.level(full_at, now);
            if !level.wait.is_zero() {
                return Err(level);
            }
            level.remaining = level.remaining.saturating_sub(1);
            Ok((level, full_at.unwrap_or(now).max(now) + self.refill))
        };
        let (Ok(level) | Err(level)) = self.full_at.measure_and_replace(&network, take);
        level
    }

    fn quota(&self, level: &Level) -> Quota {
        Quota {
            name: self.name.clone(),
            most: self.most,
            window: self.window,
            remaining: level.remaining,
            reset: if level.wait.is_zero() {
                self.refill
            } else {
                level.wait
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::stopped::Stopped;

    fn limit(windows: &[(u32, u64)]) -> (IpLimit, Arc<Stopped>) {
        let clock = Stopped::new();
        let windows: Vec<IpWindow> = windows
            .iter()
            .map(|(most, seconds)| IpWindow {
                most: NonZeroU32::new(*most).unwrap(),
                window: Duration::from_secs(*seconds),
            })
            .collect();
        (IpLimit::new("ip", &windows, clock.clone()), clock)
    }

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_burst_passes_and_the_next_call_waits_exactly_one_refill() {
        let (limit, clock) = limit(&[(5, 60)]);
        let caller = network("192.0.2.1");
        for left in (0..5).rev() {
            assert_eq!(limit.check(caller).quotas[0].remaining, left);
        }

        let refusal = limit.check(caller).refusal.unwrap();

        assert_eq!(refusal.wait, Duration::from_secs(12));
        clock.advance(Duration::from_millis(11_999));
        assert!(limit.check(caller).refusal.is_some());
        clock.advance(Duration::from_millis(1));
        assert_eq!(limit.check(caller).refusal, None);

        clock.advance(Duration::from_hours(1));
        let burst = (0..10).map(|_| limit.check(caller).refusal.is_none());
        assert_eq!(burst.filter(|passed| *passed).count(), 5, "never overfull");
    }

    #[test]
    fn waiting_as_told_passes_every_window() {
        let (limit, clock) = limit(&[(5, 60), (20, 600), (50, 3600)]);
        let caller = network("192.0.2.1");
        let mut passed = 0;
        for _ in 0..2000 {
            if let Some(refusal) = limit.check(caller).refusal {
                clock.advance(refusal.wait);
                assert_eq!(
                    limit.check(caller).refusal,
                    None,
                    "after {:?}",
                    refusal.wait
                );
            }
            passed += 1;
        }
        assert!(passed >= 50);
    }

    #[test]
    fn callers_who_do_not_wait_still_get_what_the_limit_allows() {
        let (limit, clock) = limit(&[(5, 60), (20, 600), (50, 3600)]);
        let caller = network("192.0.2.1");
        let mut passed = 0;
        for _ in 0..4 * 3600 {
            passed += u32::from(limit.check(caller).refusal.is_none());
            clock.advance(Duration::from_secs(1));
        }

        assert!(passed >= 4 * 50, "{passed} in four hours");
    }

    #[test]
    fn addresses_have_buckets_of_their_own_and_ipv6_counts_by_64() {
        let (limit, _clock) = limit(&[(1, 60)]);
        for (text, passes) in [
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("192.0.2.2", true),
            ("::ffff:192.0.2.2", false),
            ("2001:db8:0:1::1", true),
            ("2001:db8:0:1:ffff::2", false),
            ("2001:db8:0:2::1", true),
        ] {
            assert_eq!(
                limit.check(network(text)).refusal.is_none(),
                passes,
                "{text}"
            );
        }
    }

    #[test]
    fn a_network_is_a_24_or_a_48() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.255", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8:1:1::1", "2001:db8:1:2::1", true),
            ("2001:db8:1::1", "2001:db8:2::1", false),
        ] {
            let equal = network(one).wider() == network(other).wider();
            assert_eq!(equal, same, "{one} {other}");
        }
    }

    /// However many addresses call, what is kept has a bound, and the rest is refused rather than let
    /// through.
    #[test]
    fn a_flood_of_addresses_fills_no_memory_and_is_refused() {
        let (limit, clock) = limit(&[(5, 60)]);
        let address = |n: u32| Network(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n)));
        let flood = |first: u32| {
            (first..first + 150_000)
                .filter(|n| limit.check(address(*n)).refusal.is_none())
                .count()
        };

        let passed = flood(0);

        assert_eq!(passed, MOST_ADDRESSES + 5, "and five for all the others");
        assert!(limit.tiers[0].full_at.len() <= MOST_ADDRESSES + 1);
        assert!(
            limit.check(address(0)).refusal.is_none(),
            "who is kept is not hurt"
        );
        clock.advance(Duration::from_mins(1));
        assert!(flood(1_000_000) >= MOST_ADDRESSES, "the old ones make room");
    }

    #[test]
    fn a_limit_without_windows_refuses_nobody() {
        let (limit, _clock) = limit(&[]);

        assert!((0..1000).all(|_| limit.check(network("192.0.2.1")).refusal.is_none()));
    }
}
