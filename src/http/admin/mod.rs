//! `/admin/v1/*` on the admin listener: what operators see and decide.

mod rules;
mod switches;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, PayloadConfig, ServiceConfig};
use actix_web::{Error, HttpRequest};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};

use super::call::{self, Call};
use super::codes::Code;
use super::problem::Problem;
use super::{BODY_LIMIT, State};

/// The routes; all of them ask for the admin token, also those that do not exist.
pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::scope("/admin/v1")
            .app_data(PayloadConfig::new(BODY_LIMIT))
            .wrap(from_fn(require_token))
            .configure(rules::routes)
            .configure(switches::routes)
            .default_service(web::to(call::not_found)),
    );
}

/// Lets a call through that has the admin token as its bearer token (RFC 6750 section 2.1).
async fn require_token<B: MessageBody + 'static>(
    state: Data<State>,
    call: Call,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if has_token(request.request(), state.admin_token.as_ref()) {
        // Its clone of the request would stand in the router's way.
        drop(call);
        return Ok(next.call(request).await?.map_into_boxed_body());
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
