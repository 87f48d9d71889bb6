//! `/admin/v1/*` on the admin listener: what operators see and decide.

pub(super) mod audit;
mod decisions;
pub(super) mod keys;
pub(super) mod phones;
pub mod roles;
pub(super) mod rules;
pub(super) mod sessions;
pub(super) mod switches;
mod users;

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, PayloadConfig, ServiceConfig};
use actix_web::{Error, HttpMessage as _};
use chrono::{DateTime, Utc};

use super::body::{Faults, Fields};
use super::call::{self, Call};
use super::client_ip::client_address;
use super::codes::Code;
use super::problem::Problem;
use super::{BODY_LIMIT, read};
use crate::audit::{Action, Actor, Event, Outcome, Remark};
use crate::limit::per_address::AddressKey;
use crate::limit::per_ip::Network;
use crate::operator::{Operator, Stranger};
#[cfg(any(test, feature = "fuzzing"))]
use crate::phone::PhoneRules;
use roles::Called;

/// The routes; all of them ask who calls, also those that do not exist.
pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::scope("/admin/v1")
            .app_data(PayloadConfig::new(BODY_LIMIT))
            .wrap(from_fn(require_operator))
            .configure(rules::routes)
            .configure(switches::routes)
            .configure(keys::routes)
            .service(read("/audit", audit::list))
            .service(web::resource("/audit/export").route(web::get().to(audit::export)))
            .service(read("/decisions/{id}", decisions::show))
            .service(web::resource("/users/{sub}").route(web::delete().to(users::erase)))
            .service(
                read("/users/{sub}/sessions", sessions::list)
                    .route(web::delete().to(sessions::end_all)),
            )
            .service(web::resource("/sessions/{id}").route(web::delete().to(sessions::end_one)))
            .service(web::resource("/phones/lookup").route(web::post().to(phones::look_up)))
            .service(web::resource("/phones/unlock").route(web::post().to(phones::unlock)))
            .default_service(web::to(call::not_found)),
    );
}

/// Lets a call through that has the token of somebody who may make it as its bearer token (RFC 6750 section 2.1),
/// once the audit log has it: where that cannot be written, nobody gets in.
async fn require_operator<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    // Not after this block: a request that somebody else holds too cannot be routed any further.
    let refused = {
        let call = request.extract::<Call>().await?;
        let called = Called::of(&request);
        match let_in(&call, &called).await {
            Ok(operator) => {
                request.extensions_mut().insert(Rc::new(operator));
                None
            }
            Err(problem) => Some(call.render(problem)),
        }
    };
    match refused {
        None => Ok(next.call(request).await?.map_into_boxed_body()),
        Some(refused) => Ok(request.into_response(refused.into_response())),
    }
}

async fn let_in(call: &Call, called: &Called) -> Result<Operator, Problem> {
    let operator = match operator(call) {
        Ok(operator) => operator,
        Err(reason) => {
            let denied = denied(call, reason);
            if call.state.denials.is_first_of_minute(call.now()) {
                call.state.audit.note(&denied).await;
            } else {
                denied.log(None, call.now());
            }
            return Err(Problem::new(Code::InvalidToken));
        }
    };
    let may = operator.role >= called.least;
    let event = if may {
        Event::new(Action::AdminCall, Outcome::Success, Actor::from(&operator))
    } else {
        Event::new(
            Action::AdminDenied,
            Outcome::Refused,
            Actor::from(&operator),
        )
        .reason("role")
    };
    let mut event = event
        .address(address(call))
        .trace(call.trace_id())
        .with("role", operator.role.name())
        .with("method", call.request().method().as_str())
        // A path that is none may hold anything.
        .with("route", called.route.as_deref());
    if let Some(user) = called.user {
        event = event.user(user);
    }
    call.state.audit.record(&event).await?;
    if may {
        Ok(operator)
    } else {
        Err(Problem::new(Code::InsufficientScope))
    }
}

/// Whose token the call has; else why it is nobody's.
fn operator(call: &Call) -> Result<Operator, &'static str> {
    let given = call.headers().get(AUTHORIZATION);
    let token = given
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let found = call.state.operators.find(token.unwrap_or(""), call.now());
    found.map_err(|stranger| match stranger {
        Stranger::NotConfigured => "token_not_configured",
        Stranger::Expired => "token_expired",
        Stranger::Wrong if given.is_some() => "token_wrong",
        Stranger::Wrong => "token_missing",
    })
}

/// Why an operator does something: the `reason` of a body.
fn reason(faults: &mut Faults, fields: &Fields) -> Option<Remark> {
    let text = faults.note("/reason", fields.text("reason"));
    text.and_then(|text| faults.note("/reason", Remark::parse(text)))
}

/// Reads a body, or a query, as each of these calls in turn; what was read is told in words of its types.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn read_as_each(
    fields: &Fields,
    query: &str,
    phones: &PhoneRules,
    now: DateTime<Utc>,
) -> [Result<String, Problem>; 5] {
    let shown = |read: &dyn std::fmt::Debug| format!("{read:?}");
    [
        rules::new_rule(fields, phones, now).map(|read| shown(&read)),
        phones::unlock_fields(fields, phones).map(|read| shown(&read)),
        switches::position(fields).map(|read| shown(&read)),
        keys::change(fields, "dry_run", "/dry_run").map(|read| shown(&read)),
        rules::listing(query).map(|read| shown(&read)),
    ]
}

/// Keeps a flood of calls without the token out of the audit log: of each minute it takes one.
#[derive(Debug, Default)]
pub struct Denials {
    /// The minute of the latest that was taken, since the epoch.
    minute: AtomicI64,
}

impl Denials {
    fn is_first_of_minute(&self, now: DateTime<Utc>) -> bool {
        let minute = now.timestamp().div_euclid(60);
        self.minute.swap(minute, Ordering::Relaxed) != minute
    }
}

/// The event of a call without a token.
fn denied(call: &Call, reason: &'static str) -> Event {
    // Not by an operator: nobody knows who it was.
    Event::new(Action::AdminDenied, Outcome::Refused, Actor::Service)
        .reason(reason)
        .address(address(call))
        .trace(call.trace_id())
}

/// Where a call comes from, as the audit log tells it.
fn address(call: &Call) -> AddressKey {
    let state = &call.state;
    let peer = call.request().peer_addr();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let address = client_address(peer, call.headers(), &state.trusted_proxies, false);
    AddressKey::of(Network::from(address), &state.keyring)
}
