//! The headers in which proxies tell whom they speak for.

use std::net::IpAddr;
use std::sync::LazyLock;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::http::client_ip::Told;

static TRUSTED: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    let networks = ["10.0.0.0/8", "fd00::/8"];
    networks.map(|network| network.parse().unwrap()).into()
});

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// Whatever a caller puts into these headers, he counts as who our proxy saw, and never as anybody else.
///
/// The first byte says how the call came; each line after it is a header that the caller sent, `X-Forwarded-For`,
/// or `Forwarded` where it begins with an `f`.
///
/// # Panics
/// If that does not hold.
pub fn check(data: &[u8]) {
    let Some((way, lines)) = data.split_first() else {
        return;
    };
    let mut sent = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let (name, value) = match line.split_first() {
            Some((b'f', value)) => (FORWARDED, value),
            _ => (FORWARDED_FOR, line),
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            sent.append(name, value);
        }
    }
    let of = |chosen: bool, one: &str, other: &str| -> IpAddr {
        (if chosen { one } else { other }).parse().unwrap()
    };
    let caller = of(way & 1 == 0, "203.0.113.7", "2001:db8::7");
    let proxy = of(way & 2 == 0, "10.0.0.1", "fd00::1");
    directly(caller, &sent);
    through(caller, proxy, &sent, way & 4 == 0);
    consistent(proxy, &sent);
}

/// From the internet straight to us: the headers change nothing.
fn directly(caller: IpAddr, sent: &HeaderMap) {
    let told = Told::by(caller, sent, &TRUSTED, false);
    assert_eq!(told.address(), caller);
    assert_eq!(told.undisputed(), Some(caller));
    assert!(!told.any(|address| address != caller));
}

/// Through a proxy that adds whom it saw to one of the headers, on a line of its own or at the end of the last,
/// and leaves the other as it came.
fn through(caller: IpAddr, proxy: IpAddr, sent: &HeaderMap, own_line: bool) {
    let element = match caller {
        IpAddr::V4(caller) => format!("for={caller}"),
        IpAddr::V6(caller) => format!("for=\"[{caller}]:4711\""),
    };
    for (written, other, hop) in [
        (FORWARDED_FOR, FORWARDED, caller.to_string()),
        (FORWARDED, FORWARDED_FOR, element),
    ] {
        let seen = with_hop(sent, &written, &hop, own_line);
        let told = Told::by(proxy, &seen, &TRUSTED, false);
        assert!(told.any(|address| address == caller));
        if told.address() != caller {
            // The two headers differ: one address for all who forge, not one of the forger's choice.
            assert!(seen.contains_key(&other));
            assert_eq!(told.address(), proxy);
            assert_eq!(told.undisputed(), None);
        }
        // A second proxy of ours behind the first adds that one.
        let next: IpAddr = "10.0.0.2".parse().unwrap();
        let hop = match proxy {
            IpAddr::V4(proxy) if written == FORWARDED => format!("proto=https;For={proxy}"),
            IpAddr::V6(proxy) if written == FORWARDED => format!("proto=https;For=\"[{proxy}]\""),
            IpAddr::V4(_) | IpAddr::V6(_) => proxy.to_string(),
        };
        let seen = with_hop(&seen, &written, &hop, own_line);
        let told = Told::by(next, &seen, &TRUSTED, false);
        assert!(told.any(|address| address == caller));
        assert!(told.address() == caller || told.address() == next);
    }
}

/// The headers with one hop more, as proxies write it.
fn with_hop(sent: &HeaderMap, name: &HeaderName, hop: &str, own_line: bool) -> HeaderMap {
    let mut seen = HeaderMap::new();
    for (other, value) in sent.iter().filter(|(other, _)| *other != name) {
        seen.append(other.clone(), value.clone());
    }
    let mut lines: Vec<Vec<u8>> = sent
        .get_all(name)
        .map(|value| value.as_bytes().to_vec())
        .collect();
    match lines.last_mut() {
        Some(last) if !own_line => {
            last.extend_from_slice(b", ");
            last.extend_from_slice(hop.as_bytes());
        }
        _ => lines.push(hop.as_bytes().to_vec()),
    }
    for line in lines {
        seen.append(name.clone(), HeaderValue::from_bytes(&line).unwrap());
    }
    seen
}

/// What is told does not contradict itself, where headers are taken at their word.
fn consistent(peer: IpAddr, sent: &HeaderMap) {
    for trust_peer in [false, true] {
        let told = Told::by(peer, sent, &TRUSTED, trust_peer);
        let address = told.address();
        assert!(told.any(|one| one == address));
        assert_eq!(address, address.to_canonical());
        match told.undisputed() {
            Some(undisputed) => assert_eq!(undisputed, address),
            None => assert_eq!(address, peer),
        }
    }
}
