//! The per-address limits: token buckets in memory, the first line of each process.
//!
//! They are built once a process and shared by its workers; a bucket built inside the server's
//! factory would be one a worker, and the limit would multiply.
//!
//! A bucket that was full gives all its calls at once and refills meanwhile, so that nearly twice its
//! calls can pass within one window. [`super::per_address`] is as loose; [`super::per_phone`] is exact.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Limit, Quota, Refusal};
use crate::clock::Clock;

/// Most buckets that one window keeps: of 2,700 addresses a second, where 50 may send in an hour and a bucket is full
/// again after 72 s. They fill 262,144 places of 17 bytes, some 4 MB; the seven windows
/// of `limits.ip` and `limits.network` some 31 MB.
const MOST_BUCKETS: usize = 200_000;
/// Least time between two sweeps of one window: looking through all its buckets takes about a
/// millisecond, which a flood must not be able to ask for with every call.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

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

/// A [`Network`] in the eight bytes that tell it from all others: the first half of an IPv6 address, or an IPv4
/// address behind 32 ones, which no caller's IPv6 address begins with (`ff00::/8` is multicast, RFC 4291).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key(u64);

impl From<Network> for Key {
    fn from(Network(address): Network) -> Self {
        Self(match address {
            IpAddr::V4(v4) => u64::from(u32::MAX) << 32 | u64::from(v4.to_bits()),
            IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX),
        })
    }
}

/// A time of the monotonic clock, in nanoseconds, of which 64 bits hold 584 years.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// At most `most` calls, refilled evenly over `window`.
#[derive(Clone, Copy, Debug)]
pub struct IpWindow {
    /// Calls allowed at once.
    pub most: NonZeroU32,
    /// Time in which all of them come back.
    pub window: Duration,
}

/// Who has a bucket in common.
#[derive(Clone, Copy)]
enum Of {
    Address,
    /// [`Network::wider`].
    Network,
}

/// One window's buckets (the generic cell rate algorithm, ITU-T I.371).
struct Tier {
    of: Of,
    name: String,
    most: u32,
    window: Duration,
    refill: Duration,
    /// When the buckets will be full again ([`nanoseconds`]); those that are need not be kept.
    full_at: HashMap<Key, u64>,
    /// The same of the one bucket that all share for whom there is no room.
    shared_full_at: Duration,
    swept_at: Duration,
}

/// A bucket that was looked up.
struct Bucket {
    /// `None` is the shared one.
    key: Option<Key>,
    full_at: Duration,
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
    tiers: Mutex<Vec<Tier>>,
    clock: Arc<dyn Clock>,
}

impl IpLimit {
    /// A limit that holds all these windows at once, of each address and of each network; none switches
    /// it off.
    pub fn new(addresses: &[IpWindow], networks: &[IpWindow], clock: Arc<dyn Clock>) -> Self {
        let addresses = addresses
            .iter()
            .map(|window| Tier::new(Of::Address, *window));
        let networks = networks
            .iter()
            .map(|window| Tier::new(Of::Network, *window));
        Self {
            tiers: Mutex::new(addresses.chain(networks).collect()),
            clock,
        }
    }

    /// Takes one call from every bucket of this address and its network, or from none.
    ///
    /// A refused call takes nothing: at an address that many share and some do not wait, refused
    /// calls would empty one bucket while another fills, and next to nobody would pass. The wait
    /// is the longest any bucket asks for.
    pub fn check(&self, address: Network) -> Checked {
        let now = self.clock.monotonic();
        // One lock over all buckets, so that no other call comes between looking and taking. It is held
        // for a few look-ups in memory.
        let mut tiers = self.tiers.lock().unwrap_or_else(PoisonError::into_inner);
        let look = |tier: &mut Tier| {
            let bucket = tier.bucket(address, now);
            let level = tier.level(&bucket, now);
            (bucket, level)
        };
        let mut found: Vec<(Bucket, Level)> = tiers.iter_mut().map(look).collect();
        let waits = found.iter().map(|(_, level)| level.wait);
        let wait = waits.max().unwrap_or_default();
        if wait.is_zero() {
            for (tier, (bucket, level)) in tiers.iter_mut().zip(&mut found) {
                tier.take(bucket, now);
                level.remaining = level.remaining.saturating_sub(1);
            }
        }
        let quotas = tiers.iter().zip(&found);
        Checked {
            quotas: quotas.map(|(tier, (_, level))| tier.quota(level)).collect(),
            refusal: (!wait.is_zero()).then_some(Refusal {
                limit: Limit::Ip,
                wait,
            }),
        }
    }
}

impl Tier {
    fn new(of: Of, IpWindow { most, window }: IpWindow) -> Self {
        let name = match of {
            Of::Address => "ip",
            Of::Network => "network",
        };
        Self {
            of,
            name: format!("{name}-{}s", window.as_secs()),
            most: most.get(),
            window,
            refill: window / most.get(),
            full_at: HashMap::new(),
            shared_full_at: Duration::ZERO,
            swept_at: Duration::ZERO,
        }
    }

    fn bucket(&mut self, address: Network, now: Duration) -> Bucket {
        let key = Key::from(match self.of {
            Of::Address => address,
            Of::Network => address.wider(),
        });
        let known = self.full_at.get(&key).copied().map(Duration::from_nanos);
        let has_room = known.is_some() || self.has_room(now);
        Bucket {
            key: has_room.then_some(key),
            full_at: if has_room {
                known.unwrap_or(now)
            } else {
                self.shared_full_at
            },
        }
    }

    /// Whether one more bucket can be kept.
    fn has_room(&mut self, now: Duration) -> bool {
        // Or the next one would have the map grow: buckets that are full again make room before memory does.
        let is_full = self.full_at.len() >= MOST_BUCKETS.min(self.full_at.capacity());
        if is_full && now >= self.swept_at + SWEEP_PAUSE {
            let now_ns = nanoseconds(now);
            self.full_at.retain(|_, full_at| *full_at > now_ns);
            self.swept_at = now;
        }
        self.full_at.len() < MOST_BUCKETS
    }

    /// What the bucket holds, which is `most` calls less one for each refill until it is full.
    fn level(&self, bucket: &Bucket, now: Duration) -> Level {
        let capacity = self.refill * self.most;
        let held = capacity.saturating_sub(bucket.full_at.saturating_sub(now));
        let remaining = held.as_nanos() / self.refill.as_nanos().max(1);
        Level {
            remaining: u32::try_from(remaining).unwrap_or(self.most),
            wait: self.refill.saturating_sub(held),
        }
    }

    fn take(&mut self, bucket: &Bucket, now: Duration) {
        let full_at = bucket.full_at.max(now) + self.refill;
        match bucket.key {
            Some(key) => {
                self.full_at.insert(key, nanoseconds(full_at));
            }
            None => self.shared_full_at = full_at,
        }
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
