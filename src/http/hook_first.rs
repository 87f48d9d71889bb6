//! The gateway's hook in front of the router: a company calls it for each of its requests, and most of what actix-web,
//! and `observe.rs`, do around a call is nothing that this one needs.
//!
//! Only the plain call is answered here: `GET /v1/authorize` without a body, while nothing is traced and nobody wants
//! its line in the log. All others go on to the router, and are answered the same (`tests/api/hook_first.rs`).

use std::borrow::Cow;

use actix_http::{HttpMessage as _, Request};
use actix_service::{IntoServiceFactory, Service, ServiceFactory};
use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Response, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::web::Data;
use futures_util::TryFutureExt as _;
use futures_util::future::{Either, LocalBoxFuture, MapOk, Ready, ready};

use super::State;
use super::authorize;
use super::observe::{self, HOOK};

/// Answers the hook, and passes the rest on.
pub struct HookFirst<A> {
    state: Data<State>,
    rest: A,
}

impl<A> HookFirst<A>
where
    A: ServiceFactory<Request, Config = AppConfig>,
{
    /// In front of this application.
    pub fn of(state: Data<State>, rest: impl IntoServiceFactory<A, Request>) -> Self {
        Self {
            state,
            rest: rest.into_factory(),
        }
    }
}

impl<A> ServiceFactory<Request> for HookFirst<A>
where
    A: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<BoxBody>,
            Error = Error,
        >,
    A::Future: 'static,
{
    type Response = Response<BoxBody>;
    type Error = Error;
    type Config = AppConfig;
    type Service = Door<A::Service>;
    type InitError = A::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, Self::InitError>>;

    fn new_service(&self, config: AppConfig) -> Self::Future {
        let (state, rest) = (self.state.clone(), self.rest.new_service(config));
        Box::pin(rest.map_ok(|rest| Door { state, rest }))
    }
}

/// One of [`HookFirst`], of one worker.
pub struct Door<S> {
    state: Data<State>,
    rest: S,
}

type Answered = Ready<Result<Response<BoxBody>, Error>>;
type PassedOn<F> = MapOk<F, fn(ServiceResponse<BoxBody>) -> Response<BoxBody>>;

impl<S> Service<Request> for Door<S>
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = Response<BoxBody>;
    type Error = Error;
    type Future = Either<Answered, PassedOn<S::Future>>;

    actix_service::forward_ready!(rest);

    fn call(&self, request: Request) -> Self::Future {
        match answer(&self.state, &request) {
            Some(answer) => Either::Left(ready(Ok(answer))),
            None => Either::Right(self.rest.call(request).map_ok(Response::from)),
        }
    }
}

/// The answer to a plain call of the hook; `None` for all others.
fn answer(state: &State, request: &Request) -> Option<Response<BoxBody>> {
    let headers = request.headers();
    let is_plain = request.path() == HOOK
        && request.method() == Method::GET
        && !headers.contains_key(CONTENT_LENGTH)
        && !headers.contains_key(TRANSFER_ENCODING);
    let is_watched = state.traces.is_some()
        || state.serving.is_stopping()
        || state.serving.is_crowded()
        || tracing::enabled!(tracing::Level::DEBUG);
    if !is_plain || is_watched {
        return None;
    }
    let started = state.clock.monotonic();
    let id = match observe::inbound_id(headers) {
        Some(id) => Cow::Borrowed(id),
        None => Cow::Owned(state.request_ids.next(state.clock.now()).ok()?),
    };
    let query = request.uri().query().unwrap_or_default();
    let mut answer = authorize::decided(state, query, headers);
    observe::add_common(answer.headers_mut(), &id);
    let elapsed = state.clock.monotonic().saturating_sub(started);
    let status = answer.status().as_u16();
    state.metrics.request(Some(HOOK), "GET", status, elapsed);
    Some(answer.into())
}
