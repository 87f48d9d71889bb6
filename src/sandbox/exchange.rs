//! One exchange on an OTP route: counts it, reads the body, lets a fault strike before or after
//! the work, and answers.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};

use super::body::{self, Members};
use super::connection;
use super::envelope::{Granted, Reply};
use super::faults::{Fault, FaultKind, Route};
use super::refusal::{ParserText, Refusal};
use super::state::{Caller, Inner, State};

/// How long a reply is held back at most.
const LONGEST_HANG: Duration = Duration::from_mins(10);
/// The front proxy's error page (nginx), lines ended as it ends them.
const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
/// Bytes that are neither the envelope nor JSON.
const GARBAGE: &str = "\u{fffd}\u{0}{\"succ";

/// What a route does with a body that parsed.
pub(super) type Work =
    fn(&State, &mut Inner, &Members, Option<FaultKind>, DateTime<Utc>) -> Result<Granted, Refusal>;

/// Serves one request to an OTP route.
pub(super) async fn serve(
    route: Route,
    request: &HttpRequest,
    payload: Payload,
    state: &Data<State>,
    work: Work,
) -> HttpResponse {
    state.count(route);
    let body = match body::read(request, payload).await {
        Ok(body) => body,
        Err(refusal) => return state.refuse(&refusal, None).into(),
    };
    let fault = state.strike(route);
    let kind = fault.map(|fault| fault.kind);
    if let Some(response) = instead_of_work(kind, request, state) {
        return response;
    }
    let reply = state.answer(route, &caller(request), kind, |inner, now| {
        work(state, inner, &body, kind, now)
    });
    after_work(fault, reply, request, state).await
}

/// Who asks.
pub(super) fn caller(request: &HttpRequest) -> Caller {
    let address = request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let api_key = request
        .headers()
        .get("X-API-Key")
        .and_then(|key| key.to_str().ok());
    Caller {
        address,
        api_key: api_key.map(str::to_owned),
    }
}

/// The 404 of a route that does not exist, which needs no key and knows no throttle.
pub(super) async fn not_found(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> HttpResponse {
    let refusal = match body::read(&request, payload).await {
        Ok(_) => no_route(&request),
        Err(refusal) => refusal,
    };
    state.refuse(&refusal, None).into()
}

/// What the real server says of `{x`.
fn not_json() -> Refusal {
    let text = "Expected property name or '}' in JSON at position 1";
    Refusal::NotJson(ParserText(text.to_owned()))
}

fn no_route(request: &HttpRequest) -> Refusal {
    Refusal::NotFound(format!("{} {}", request.method(), request.uri()))
}

fn instead_of_work(
    kind: Option<FaultKind>,
    request: &HttpRequest,
    state: &State,
) -> Option<HttpResponse> {
    match kind? {
        FaultKind::ResetBefore => Some(connection::reset(request)),
        FaultKind::Http500 => Some(state.refuse(&Refusal::Internal, None).into()),
        FaultKind::Http502Html => Some(
            HttpResponse::build(StatusCode::BAD_GATEWAY)
                .content_type("text/html")
                .body(BAD_GATEWAY),
        ),
        FaultKind::InvalidInput => Some(state.refuse(&not_json(), None).into()),
        FaultKind::Verify404 => Some(state.refuse(&no_route(request), None).into()),
        FaultKind::Slow
        | FaultKind::Hang
        | FaultKind::ResetAfterSend
        | FaultKind::Throttled
        | FaultKind::NumberCooling
        | FaultKind::InsufficientBalance
        | FaultKind::Unauthorized
        | FaultKind::Suspended
        | FaultKind::AddressNotAllowed
        | FaultKind::KycPending
        | FaultKind::ValidationError
        | FaultKind::SendFailed
        | FaultKind::SendFailedAfterSend
        | FaultKind::Garbage => None,
    }
}

async fn after_work(
    fault: Option<Fault>,
    reply: Reply,
    request: &HttpRequest,
    state: &State,
) -> HttpResponse {
    let Some(Fault { kind, delay, .. }) = fault else {
        return reply.into();
    };
    match kind {
        FaultKind::Slow => {
            hold(delay, state).await;
            reply.into()
        }
        FaultKind::Hang => {
            hold(LONGEST_HANG, state).await;
            connection::reset(request)
        }
        FaultKind::ResetAfterSend => connection::reset(request),
        FaultKind::Garbage => {
            let status = if reply.status.is_success() {
                reply.status
            } else {
                StatusCode::CREATED
            };
            HttpResponse::build(status)
                .content_type("application/json; charset=utf-8")
                .body(GARBAGE)
        }
        FaultKind::ResetBefore
        | FaultKind::Http500
        | FaultKind::Http502Html
        | FaultKind::Throttled
        | FaultKind::NumberCooling
        | FaultKind::InsufficientBalance
        | FaultKind::Unauthorized
        | FaultKind::Suspended
        | FaultKind::AddressNotAllowed
        | FaultKind::KycPending
        | FaultKind::ValidationError
        | FaultKind::InvalidInput
        | FaultKind::SendFailed
        | FaultKind::SendFailedAfterSend
        | FaultKind::Verify404 => reply.into(),
    }
}

/// Waits. When the caller leaves or the sandbox stops, the server drops the whole exchange.
async fn hold(time: Duration, state: &State) {
    let _held = state.hold();
    tokio::time::sleep(time).await;
}
