//! Around every request: its id, one log line, what is counted, and the headers every answer has.
//!
//! The log line and the metrics have the route's template, never the path: paths carry ids, queries carry anything.

use std::rc::Rc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpResponse};
use tokio::runtime::Handle;

use super::State;
use super::call::{Observed, connecting_at};
use super::codes::Code;
use super::problem::Problem;
use super::trace_context;
use super::unread::Unread;
use crate::telemetry::traces::{self, Served};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Where the routes begin that gateways call.
pub(super) const HOOK: &str = "/v1/authorize";
/// Longest inbound `X-Request-Id` that is kept, in characters.
const LONGEST_ID: usize = 64;

/// Gives a request its id, answers for the framework in our own words, and logs one line.
pub async fn observe<B: MessageBody + 'static>(
    state: Data<State>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = state.clock.monotonic();
    let _in_flight = state.serving.enter();
    let trace_id = match inbound_id(request.headers()) {
        Some(id) => Rc::from(id),
        None => new_id(&state)?,
    };
    request.extensions_mut().insert(Observed {
        trace_id: Rc::clone(&trace_id),
        worker: Handle::current(),
    });

    let unread = Unread::of(&mut request);
    let span = trace_context::begin(&state, &request, &trace_id);
    let work = traces::within(span.as_ref().map(Served::context), next.call(request));
    let work = connecting_at(&state.runtime, work);
    // Handlers and extractors fail with an answer; nothing below fails without one.
    let mut response = work.await?.map_into_boxed_body();
    if response.response().error().is_some() || response.status() == 405 {
        response = in_our_words(response, &state, &trace_id);
    }
    if let Some(unread) = unread {
        response = unread.close(response);
    }

    let serving = &state.serving;
    if serving.is_stopping() || serving.is_crowded() || response.status() == 408 {
        // Whoever keeps connections makes the next one elsewhere; and what is left of a slow body is not read.
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    add_common(response.headers_mut(), &trace_id);
    let elapsed = state.clock.monotonic().saturating_sub(started);
    let route = response.request().match_pattern();
    state.metrics.request(
        route.as_deref(),
        response.request().method().as_str(),
        response.status().as_u16(),
        elapsed,
    );
    let route = route.as_deref().unwrap_or("none");
    let status = response.status().as_u16();
    if let Some(span) = &span {
        span.end(status);
    }
    let sample_ratio = state.log_sample.ratio_of(&trace_id, status, elapsed);
    let ids = span.as_ref().map(Served::ids);
    let (otel_trace_id, otel_span_id, otel_sampled) = ids.map_or((None, None, None), |ids| {
        (Some(ids.0), Some(ids.1), Some(ids.2))
    });
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                trace_id = &*trace_id,
                method = response.request().method().as_str(),
                route,
                status,
                duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
                sample_ratio,
                otel_trace_id,
                otel_span_id,
                otel_sampled,
                "request"
            )
        };
    }
    // Gateways call it for every request of a company, and log those themselves.
    if sample_ratio.is_none() {
        // One of those that are left out.
    } else if route.starts_with(HOOK) {
        log!(debug);
    } else {
        log!(info);
    }
    Ok(response)
}

/// Adds the headers that every answer has.
pub(super) fn add_common(headers: &mut HeaderMap, trace_id: &str) {
    if let Ok(value) = HeaderValue::from_str(trace_id) {
        headers.insert(REQUEST_ID.clone(), value);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// An inbound id is kept if it is 1 to 64 of `[A-Za-z0-9._-]`.
pub(super) fn inbound_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(&REQUEST_ID)?.to_str().ok()?;
    let fits = (1..=LONGEST_ID).contains(&id.len());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (fits && id.bytes().all(plain)).then_some(id)
}

fn new_id(state: &State) -> Result<Rc<str>, Error> {
    let id = state.request_ids.next(state.clock.now());
    let id = id.map_err(actix_web::error::ErrorInternalServerError)?;
    Ok(Rc::from(id))
}

/// Replaces an answer that the framework made: its bodies are plain text, or missing.
fn in_our_words(
    response: ServiceResponse<BoxBody>,
    state: &State,
    trace_id: &str,
) -> ServiceResponse<BoxBody> {
    let code = Code::of_status(response.status().as_u16());
    let allow = response.headers().get(ALLOW).cloned();
    let mut answer: HttpResponse = Problem::new(code)
        .render(&state.issuer, trace_id)
        .into_response();
    if let Some(allow) = allow {
        answer.headers_mut().insert(ALLOW, allow);
    }
    response.into_response(answer)
}
