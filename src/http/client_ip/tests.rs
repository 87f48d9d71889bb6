//! Who the caller is, header by header.

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

/// security.md 18: a proxy that writes one header may let through the other as the caller made it up.
#[test]
fn where_two_headers_name_different_callers_the_peer_is_the_caller() {
    for (peer, plain, forwarded, expected) in [
        (
            "10.0.0.1",
            "1.2.3.4",
            "for=1.2.3.4:99;proto=https",
            "1.2.3.4",
        ),
        (
            "10.0.0.1",
            "1.2.3.4, 10.9.9.9",
            "for=6.6.6.6, for=1.2.3.4",
            "1.2.3.4",
        ),
        ("10.0.0.1", "6.6.6.6", "for=1.2.3.4", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", "for=6.6.6.6", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", "", "10.0.0.1"),
        ("10.0.0.1", "", "for=1.2.3.4", "10.0.0.1"),
        ("203.0.113.9", "6.6.6.6", "for=6.6.6.6", "203.0.113.9"),
    ] {
        let headers = [("x-forwarded-for", plain), ("forwarded", forwarded)];
        assert_eq!(caller(peer, &headers, false), expected, "{headers:?}");
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
        client_address("10.0.0.1".parse().unwrap(), &map, &trusted, false).to_string()
    };

    assert_eq!(caller(b"\xff, 1.2.3.4"), "1.2.3.4");
    assert_eq!(caller(b"1.2.3.4, \xff"), "10.0.0.1");
}
