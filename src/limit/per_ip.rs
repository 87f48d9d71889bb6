//! The per-address limits: token buckets in memory, the first line of each process.
//!
//! They are built once a process and shared by its workers; a bucket built inside the server's
//! factory would be one a worker, and the limit would multiply.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota as GovernorQuota, RateLimiter};

use super::{GovernorClock, Limit, Quota, Refusal};
use crate::clock::Clock;

/// Checks between two sweeps of buckets that are full again and need not be kept.
const SWEEP_EVERY: u32 = 4096;

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

/// At most `most` calls, refilled evenly over `window`.
#[derive(Clone, Copy, Debug)]
pub struct IpWindow {
    /// Calls allowed at once.
    pub most: NonZeroU32,
    /// Time in which all of them come back.
    pub window: Duration,
}

type Buckets =
    RateLimiter<Network, DashMapStateStore<Network>, GovernorClock, StateInformationMiddleware>;

struct Tier {
    name: String,
    most: u32,
    window: Duration,
    refill: Duration,
    buckets: Buckets,
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
    /// A limit that holds all these windows at once; none switches it off.
    pub fn new(windows: &[IpWindow], clock: Arc<dyn Clock>) -> Self {
        let clock = GovernorClock::new(clock);
        let tier = |window: &IpWindow| {
            let refill = window.window / window.most.get();
            let quota = GovernorQuota::with_period(refill)?.allow_burst(window.most);
            Some(Tier {
                name: format!("ip-{}s", window.window.as_secs()),
                most: window.most.get(),
                window: window.window,
                refill,
                buckets: RateLimiter::dashmap_with_clock(quota, clock.clone()).with_middleware(),
            })
        };
        Self {
            tiers: windows.iter().filter_map(tier).collect(),
            clock,
            checks: AtomicU32::new(0),
        }
    }

    /// Takes one call from every bucket of this address.
    ///
    /// The wait of a refusal is the longest any bucket asks for, those included that this very
    /// call emptied: whoever waits that long passes all of them.
    pub fn check(&self, network: Network) -> Checked {
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.tiers
                .iter()
                .for_each(|tier| tier.buckets.retain_recent());
        }
        let mut refused = Duration::ZERO;
        let mut emptied = Duration::ZERO;
        let mut quotas = Vec::with_capacity(self.tiers.len());
        for tier in &self.tiers {
            match tier.buckets.check_key(&network) {
                Ok(state) => {
                    let remaining = state.remaining_burst_capacity();
                    if remaining == 0 {
                        emptied = emptied.max(tier.refill);
                    }
                    quotas.push(tier.quota(remaining));
                }
                Err(not_until) => {
                    let wait = not_until.wait_time_from(self.clock.now());
                    refused = refused.max(wait);
                    quotas.push(Quota {
                        reset: wait,
                        ..tier.quota(0)
                    });
                }
            }
        }
        let refusal = (!refused.is_zero()).then(|| Refusal {
            limit: Limit::Ip,
            wait: refused.max(emptied),
        });
        Checked { quotas, refusal }
    }
}

impl Tier {
    fn quota(&self, remaining: u32) -> Quota {
        Quota {
            name: self.name.clone(),
            most: self.most,
            window: self.window,
            remaining,
            reset: self.refill,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};
    use std::sync::Mutex;

    struct Stopped(Mutex<Duration>);

    impl Clock for Stopped {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH + *self.0.lock().unwrap()
        }
    }

    impl Stopped {
        fn advance(&self, by: Duration) {
            *self.0.lock().unwrap() += by;
        }
    }

    fn limit(windows: &[(u32, u64)]) -> (IpLimit, Arc<Stopped>) {
        let clock = Arc::new(Stopped(Mutex::new(Duration::from_secs(1))));
        let windows: Vec<IpWindow> = windows
            .iter()
            .map(|(most, seconds)| IpWindow {
                most: NonZeroU32::new(*most).unwrap(),
                window: Duration::from_secs(*seconds),
            })
            .collect();
        (IpLimit::new(&windows, clock.clone()), clock)
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
    fn a_limit_without_windows_refuses_nobody() {
        let (limit, _clock) = limit(&[]);

        assert!((0..1000).all(|_| limit.check(network("192.0.2.1")).refusal.is_none()));
    }
}
