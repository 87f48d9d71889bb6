//! `/admin/v1/*` on the admin listener: what operators see and decide.

mod audit;
mod decisions;
mod keys;
mod phones;
mod rules;
mod sessions;
mod switches;
mod users;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicI64, Ordering};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, PayloadConfig, ServiceConfig};
use actix_web::{Error, HttpRequest};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use super::body::{Faults, Fields};
use super::call::{self, Call};
use super::client_ip::client_address;
use super::codes::Code;
use super::problem::Problem;
use super::{BODY_LIMIT, State, read};
use crate::audit::{Action, Actor, Event, Outcome, Remark};
use crate::limit::per_address::AddressKey;
use crate::limit::per_ip::Network;

/// The routes; all of them ask for the admin token, also those that do not exist.
pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::scope("/admin/v1")
            .app_data(PayloadConfig::new(BODY_LIMIT))
            .wrap(from_fn(require_token))
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

/// Lets a call through that has the admin token as its bearer token (RFC 6750 section 2.1).
async fn require_token<B: MessageBody + 'static>(
    state: Data<State>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if has_token(request.request(), state.admin_token.as_ref()) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    // Not sooner: a request that somebody else holds too cannot be routed any further.
    let call = request.extract::<Call>().await?;
    if state.denials.is_first_of_minute(call.now()) {
        state.audit.note(&denied(&call)).await;
    }
    let refused = call.render(Problem::new(Code::InvalidToken));
    Ok(request.into_response(refused.into_response()))
}

/// Whether the token is the configured one, compared in constant time; never if none is configured.
fn has_token(request: &HttpRequest, expected: Option<&SecretString>) -> bool {
    let given = request.headers().get(AUTHORIZATION);
    let given = given
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| digest(&SHA256, token.trim().as_bytes()));
    let expected = expected.map(|token| digest(&SHA256, token.expose_secret().as_bytes()));
    expected.zip(given).is_some_and(|(expected, given)| {
        verify_slices_are_equal(expected.as_ref(), given.as_ref()).is_ok()
    })
}

/// Why an operator does something: the `reason` of a body.
fn reason(faults: &mut Faults, fields: &Fields) -> Option<Remark> {
    let text = faults.note("/reason", fields.text("reason"));
    text.and_then(|text| faults.note("/reason", Remark::parse(text)))
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

/// The event of a call without the token.
fn denied(call: &Call) -> Event {
    let state = &call.state;
    let reason = if state.admin_token.is_none() {
        "token_not_configured"
    } else if call.headers().contains_key(AUTHORIZATION) {
        "token_wrong"
    } else {
        "token_missing"
    };
    let peer = call.request().peer_addr();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let address = client_address(peer, call.headers(), &state.trusted_proxies, false);
    // Not by the admin: nobody knows who it was.
    Event::new(Action::AdminDenied, Outcome::Refused, Actor::Service)
        .reason(reason)
        .address(AddressKey::of(Network::from(address), &state.keyring))
        .trace(call.trace_id())
}
