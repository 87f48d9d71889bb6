//! Buckets, by the calls that they let through.

use super::*;
use crate::clock::stopped::Stopped;

fn limits(addresses: &[(u32, u64)], networks: &[(u32, u64)]) -> (IpLimit, Arc<Stopped>) {
    let clock = Stopped::new();
    let windows = |windows: &[(u32, u64)]| -> Vec<IpWindow> {
        let window = |(most, seconds): &(u32, u64)| IpWindow {
            most: NonZeroU32::new(*most).unwrap(),
            window: Duration::from_secs(*seconds),
        };
        windows.iter().map(window).collect()
    };
    let limit = IpLimit::new(&windows(addresses), &windows(networks), clock.clone());
    (limit, clock)
}

fn limit(addresses: &[(u32, u64)]) -> (IpLimit, Arc<Stopped>) {
    limits(addresses, &[])
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
fn nearly_twice_the_limit_passes_within_a_window() {
    let (limit, clock) = limit(&[(5, 60)]);
    let caller = network("192.0.2.1");
    let mut passed = 0;
    for _ in 0..60 {
        while limit.check(caller).refusal.is_none() {
            passed += 1;
        }
        clock.advance(Duration::from_secs(1));
    }

    assert_eq!(passed, 9);
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
fn a_network_is_a_24_or_a_48_and_its_addresses_share() {
    for (one, other, same) in [
        ("192.0.2.1", "192.0.2.255", true),
        ("192.0.2.1", "192.0.3.1", false),
        ("2001:db8:1:1::1", "2001:db8:1:2::1", true),
        ("2001:db8:1::1", "2001:db8:2::1", false),
    ] {
        let (limit, _clock) = limits(&[(9, 60)], &[(1, 3600)]);
        let first = limit.check(network(one));
        let names: Vec<&str> = first.quotas.iter().map(|quota| &*quota.name).collect();
        assert_eq!(names, ["ip-60s", "network-3600s"]);
        let refusal = limit.check(network(other)).refusal;
        let wait = same.then_some(Duration::from_hours(1));
        assert_eq!(refusal.map(|refusal| refusal.wait), wait, "{one} {other}");
    }
}

/// Or it would wait in vain as long as it was told.
#[test]
fn what_the_network_refuses_costs_the_address_nothing_and_the_other_way_round() {
    let (limit, clock) = limits(&[(2, 60)], &[(3, 60)]);
    let (one, other) = (network("192.0.2.1"), network("192.0.2.2"));
    for (caller, passes) in [(one, true), (other, true), (other, true), (other, false)] {
        assert_eq!(limit.check(caller).refusal.is_none(), passes);
    }

    let refused = limit.check(one);

    assert_eq!(refused.refusal.unwrap().wait, Duration::from_secs(20));
    let left: Vec<u32> = refused.quotas.iter().map(|quota| quota.remaining).collect();
    assert_eq!(left, [1, 0]);
    clock.advance(Duration::from_secs(20));
    assert_eq!(limit.check(one).refusal, None, "after waiting as told");
    clock.advance(Duration::from_hours(1));
    for _ in 0..9 {
        limit.check(one);
    }
    assert_eq!(limit.check(other).refusal, None, "two calls left it one");
}

/// However many addresses call, what is kept has a bound, and the rest is refused rather than let
/// through.
#[test]
fn a_flood_of_addresses_fills_no_memory_and_is_refused() {
    let (limit, clock) = limit(&[(5, 60)]);
    let address = |n: u32| Network(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n)));
    let flood = |first: u32| {
        (first..first + 250_000)
            .filter(|n| limit.check(address(*n)).refusal.is_none())
            .count()
    };

    let passed = flood(0);

    assert_eq!(passed, MOST_BUCKETS + 5, "and five for all the others");
    assert_eq!(limit.tiers.lock().unwrap()[0].full_at.len(), MOST_BUCKETS);
    assert!(size_of::<(Key, u64)>() <= 16);
    assert_eq!(
        limit.check(address(0)).refusal,
        None,
        "who is kept is not hurt"
    );
    clock.advance(Duration::from_secs(12));
    // The one that called twice is still kept; and one call came back to the others.
    assert_eq!(flood(1_000_000), MOST_BUCKETS - 1 + 1);
}

#[test]
fn addresses_that_come_and_go_fill_no_memory() {
    let (limit, clock) = limit(&[(5, 60)]);

    for hundred in 0..900 {
        clock.advance(Duration::from_secs(12));
        for n in 0..100 {
            limit.check(Network(IpAddr::V4(Ipv4Addr::from_bits(hundred * 100 + n))));
        }
    }

    let tiers = limit.tiers.lock().unwrap();
    let room = tiers[0].full_at.capacity();
    assert!(room < 1000, "room for {room} of 90,000");
}

#[test]
fn a_limit_without_windows_refuses_nobody() {
    let (limit, _clock) = limit(&[]);

    assert!((0..1000).all(|_| limit.check(network("192.0.2.1")).refusal.is_none()));
}
