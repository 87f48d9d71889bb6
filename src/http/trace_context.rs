//! Which trace a request belongs to, and whose word is taken for it.
//!
//! Only the word of a peer in `server.trusted_proxies` is: its trace goes on, kept or not as it says, with its
//! `tracestate`. Anyone else may be anybody, and could have every request of his kept, or his spans hung below
//! those of others: he gets a trace of our own, kept or not as `telemetry.trace_sample_ratio` says, which links to
//! his. So a proxy must not pass on what strangers say; `baggage` is never looked at.

use actix_web::dev::ServiceRequest;

use super::State;
use crate::telemetry::traces::{CalledBy, Served};
use crate::telemetry::w3c::{self, TRACEPARENT, TRACESTATE};

/// What supervisors and Prometheus ask for all the time.
const UNTRACED: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Begins the span of a request, if there is a collector for it.
pub(super) fn begin(state: &State, request: &ServiceRequest, request_id: &str) -> Option<Served> {
    let traces = state.traces.as_ref()?;
    let route = request.match_pattern();
    let route = route.as_deref();
    if route.is_some_and(|route| UNTRACED.contains(&route)) {
        return None;
    }
    let values = |name| {
        let values = request.headers().get_all(name);
        values.map(actix_web::http::header::HeaderValue::as_bytes)
    };
    let called_by = match w3c::parent(values(TRACEPARENT), values(TRACESTATE)) {
        None => CalledBy::Nobody,
        Some(span) if is_trusted(state, request) => CalledBy::Trusted(span),
        Some(span) => CalledBy::Anyone(span),
    };
    let method = request.method().as_str();
    Some(traces.begin(method, route, request_id, called_by))
}

fn is_trusted(state: &State, request: &ServiceRequest) -> bool {
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let trusted = &state.trusted_proxies;
    peer.is_some_and(|peer| trusted.iter().any(|network| network.contains(&peer)))
}
