//! Whose address a call counts against.
//!
//! The chain of `X-Forwarded-For` or of `Forwarded` (RFC 7239) is walked from the peer inwards while
//! each hop is a trusted proxy; the first that is not is the caller. A header from anyone else changes
//! nothing, since the walk ends at the peer.
//!
//! A proxy writes one of the headers, and mostly lets the other through as the caller sent it; which one
//! it writes cannot be told from outside. So if there are both and they name different callers, one of
//! them may be forged, and the peer answers for the call: whoever forges shares one address with all who
//! do.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// What peer and headers tell of the end user's address.
pub struct Told {
    peer: IpAddr,
    /// Whom each header names, if it is there and the peer is believed.
    named: [Option<IpAddr>; 2],
}

impl Told {
    /// Reads the headers. `trust_peer` takes the peer for a trusted proxy whatever its address: a
    /// confidential client that proved its secret tells whom it acts for.
    pub fn by(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet], trust_peer: bool) -> Self {
        let peer = peer.to_canonical();
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
        if !trust_peer && !is_trusted(peer) {
            let named = [None; 2];
            return Self { peer, named };
        }
        let walk = |chain: Vec<String>| {
            let mut caller = (!chain.is_empty()).then_some(peer);
            for hop in chain.iter().rev() {
                // An unreadable hop hides who is behind it: the last readable one answers for it.
                let Some(address) = parse_hop(hop) else { break };
                caller = Some(address);
                if !is_trusted(address) {
                    break;
                }
            }
            caller
        };
        let forwarded = hops(headers, "forwarded");
        let forwarded = forwarded.iter().map(|hop| for_parameter(hop).to_owned());
        Self {
            peer,
            named: [
                walk(hops(headers, "x-forwarded-for")),
                walk(forwarded.collect()),
            ],
        }
    }

    /// The address that the call counts against.
    pub fn address(&self) -> IpAddr {
        self.undisputed().unwrap_or(self.peer)
    }

    /// The end user's address, unless the headers name two.
    pub fn undisputed(&self) -> Option<IpAddr> {
        match self.named {
            [Some(one), Some(other)] if one != other => None,
            [Some(named), Some(_) | None] | [None, Some(named)] => Some(named),
            [None, None] => Some(self.peer),
        }
    }

    /// Whether this holds of any address that may be the caller's: whoever is kept out must not come in
    /// by a second header that makes [`Self::address`] doubt.
    pub fn any(&self, holds: impl Fn(IpAddr) -> bool) -> bool {
        holds(self.address()) || self.named.into_iter().flatten().any(holds)
    }
}

/// The end user's address, see [`Told`].
pub fn client_address(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &[IpNet],
    trust_peer: bool,
) -> IpAddr {
    Told::by(peer, headers, trusted, trust_peer).address()
}

/// The hops as the proxies wrote them into this header, the furthest from us first.
///
/// A line with bytes beyond ASCII is read all the same: a proxy that appends its hop to what the
/// caller sent must not have it thrown away together with the caller's rubbish.
fn hops(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(name);
    let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines
        .flat_map(|line| {
            let hops = line.split(',').map(|hop| hop.trim().to_owned());
            hops.collect::<Vec<_>>()
        })
        .collect()
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
