//! Whose address a call counts against.
//!
//! The chain of `X-Forwarded-For` (or, without it, of `Forwarded`, RFC 7239) is walked from the
//! peer inwards while each hop is a trusted proxy; the first that is not is the caller. A header
//! from anyone else changes nothing, since the walk ends at the peer.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// The end user's address. `trust_peer` takes the peer for a trusted proxy whatever its address:
/// a confidential client that proved its secret tells whom it acts for.
pub fn client_address(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &[IpNet],
    trust_peer: bool,
) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    if !trust_peer && !is_trusted(peer) {
        return peer;
    }
    let mut caller = peer;
    for hop in forwarded_chain(headers).iter().rev() {
        // An unreadable hop hides who is behind it: the last readable one answers for it.
        let Some(address) = parse_hop(hop) else { break };
        caller = address;
        if !is_trusted(address) {
            break;
        }
    }
    caller
}

/// The hops as the proxies wrote them, the furthest from us first.
///
/// A line with bytes beyond ASCII is read all the same: a proxy that appends its hop to what the
/// caller sent must not have it thrown away together with the caller's rubbish.
fn forwarded_chain(headers: &HeaderMap) -> Vec<String> {
    let list = |name: &str| -> Vec<String> {
        headers
            .get_all(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .flat_map(|line| {
                let hops = line.split(',').map(|hop| hop.trim().to_owned());
                hops.collect::<Vec<_>>()
            })
            .collect()
    };
    let plain = list("x-forwarded-for");
    if plain.is_empty() {
        list("forwarded")
            .iter()
            .map(|element| for_parameter(element).to_owned())
            .collect()
    } else {
        plain
    }
}

/// The `for=` of one `Forwarded` element; empty if it has none.
fn for_parameter(element: &str) -> &str {
    element
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))
        .map_or("", |(_, value)| value.trim().trim_matches('"'))
}

/// An address with or without brackets and port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(hop);
    bare.parse::<IpAddr>()
        .or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()))
        .map(|address| address.to_canonical())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn caller(peer: &str, headers: &[(&'static str, &str)], trust_peer: bool) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"]
            .iter()
            .map(|net| net.parse().unwrap())
            .collect();
        client_address(peer.parse().unwrap(), &map, &trusted, trust_peer).to_string()
    }

    /// security.md 18: a forged header from an untrusted peer changes nothing; the right-most
    /// untrusted hop wins.
    #[test]
    fn the_rightmost_untrusted_hop_is_the_caller() {
        const XFF: &str = "x-forwarded-for";
        for (peer, headers, expected, why) in [
            (
                "203.0.113.9",
                vec![(XFF, "1.2.3.4")],
                "203.0.113.9",
                "untrusted peer",
            ),
            (
                "203.0.113.9",
                vec![("forwarded", "for=1.2.3.4")],
                "203.0.113.9",
                "untrusted peer",
            ),
            (
                "203.0.113.9",
                vec![("x-real-ip", "1.2.3.4")],
                "203.0.113.9",
                "no such header here",
            ),
            ("10.0.0.1", vec![], "10.0.0.1", "no header"),
            (
                "10.0.0.1",
                vec![(XFF, "1.2.3.4")],
                "1.2.3.4",
                "trusted peer",
            ),
            (
                "10.0.0.1",
                vec![(XFF, "6.6.6.6, 1.2.3.4")],
                "1.2.3.4",
                "left ones are forged",
            ),
            (
                "10.0.0.1",
                vec![(XFF, "6.6.6.6, 1.2.3.4, 10.9.9.9")],
                "1.2.3.4",
                "two proxies",
            ),
            (
                "10.0.0.1",
                vec![(XFF, "6.6.6.6"), (XFF, "1.2.3.4")],
                "1.2.3.4",
                "two lines",
            ),
            (
                "10.0.0.1",
                vec![(XFF, "10.1.1.1, 10.2.2.2")],
                "10.1.1.1",
                "all trusted",
            ),
            (
                "10.0.0.1",
                vec![(XFF, "1.2.3.4, unknown")],
                "10.0.0.1",
                "unreadable hop",
            ),
            (
                "10.0.0.1",
                vec![(XFF, "1.2.3.4:5678")],
                "1.2.3.4",
                "with port",
            ),
            (
                "10.0.0.1",
                vec![(XFF, "[2001:db8::1]:443")],
                "2001:db8::1",
                "bracketed, port",
            ),
            (
                "fd00::1",
                vec![("forwarded", r#"for="[2001:db8::1]";proto=https"#)],
                "2001:db8::1",
                "rfc 7239",
            ),
            (
                "10.0.0.1",
                vec![("forwarded", "for=6.6.6.6, For=1.2.3.4")],
                "1.2.3.4",
                "rfc 7239 list",
            ),
            (
                "10.0.0.1",
                vec![("forwarded", "for=_hidden")],
                "10.0.0.1",
                "obfuscated",
            ),
            (
                "::ffff:10.0.0.1",
                vec![(XFF, "1.2.3.4")],
                "1.2.3.4",
                "mapped peer",
            ),
        ] {
            assert_eq!(
                caller(peer, &headers, false),
                expected,
                "{why}: {headers:?}"
            );
        }
    }

    #[test]
    fn a_backend_that_proved_itself_tells_whom_it_acts_for() {
        let headers = [("x-forwarded-for", "6.6.6.6, 1.2.3.4")];

        assert_eq!(caller("203.0.113.9", &headers, true), "1.2.3.4");
        assert_eq!(caller("203.0.113.9", &[], true), "203.0.113.9");
    }

    /// security.md 18: what the caller wrote cannot make the proxy's word disappear.
    #[test]
    fn bytes_beyond_ascii_hide_no_hop() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let caller = |chain: &[u8]| {
            let mut map = HeaderMap::new();
            let chain = HeaderValue::from_bytes(chain).unwrap();
            map.append(HeaderName::from_static("x-forwarded-for"), chain);
            let forged = HeaderValue::from_static("for=6.6.6.6");
            map.append(HeaderName::from_static("forwarded"), forged);
            client_address("10.0.0.1".parse().unwrap(), &map, &trusted, false).to_string()
        };

        assert_eq!(caller(b"\xff, 1.2.3.4"), "1.2.3.4");
        assert_eq!(caller(b"1.2.3.4, \xff"), "10.0.0.1");
    }
}
