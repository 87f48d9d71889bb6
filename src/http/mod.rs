//! HTTP: raw requests become domain types here or are refused, and outcomes become answers.
//!
//! A handler reads its fields, takes the per-address limit, calls one use case and renders the
//! result; rules live in the modules it calls.

pub mod admin;
pub mod authorize;
pub mod bearer;
pub mod body;
pub mod call;
pub mod caller;
pub mod client_ip;
pub mod codes;
pub mod conditional;
mod cookies;
pub mod cors;
pub mod discovery;
pub mod documents;
pub mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod health;
pub mod hook_first;
pub mod incoming;
pub mod log_sample;
pub mod observe;
pub mod openapi;
pub mod otp;
pub mod problem;
pub(crate) mod query;
pub mod reader;
pub mod reply;
pub mod request_ids;
pub mod revocations;
pub mod serving;
pub mod sessions;
pub mod token;
mod trace_context;
pub mod tutorial;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::web::{self, PayloadConfig, ServiceConfig};
use actix_web::{FromRequest, Handler, Resource, Responder, Route};
use ipnet::IpNet;
use sqlx::PgPool;
use tokio::runtime::Handle;

use self::documents::Documents;
use self::log_sample::LogSample;
use self::request_ids::RequestIds;
use self::serving::Serving;
use crate::audit::Audit;
use crate::client::Clients;
use crate::clock::Clock;
use crate::gateway::Gateway;
use crate::idempotency::Idempotency;
use crate::limit::per_ip::IpLimit;
use crate::metrics::Metrics;
use crate::operator::Operators;
use crate::otp::Otp;
use crate::people::People;
use crate::phone::PhoneRules;
use crate::provider::guard::Provider;
use crate::random::Random;
use crate::revocation::Revocations;
use crate::rules::Rules;
use crate::seats::{Class, Seats};
use crate::secrets::Keyring;
use crate::session::Sessions;
use crate::sign_in::SignIn;
use crate::telemetry::traces::Traces;
use crate::token::keys::SigningKeys;
use crate::token::own::OwnTokens;
use crate::vitals::Vitals;

/// Longest request body, in bytes.
pub const BODY_LIMIT: usize = 16 * 1024;

/// What handlers need; one a process, shared by all workers.
pub struct State {
    /// The public address, as tokens and problem types name it.
    pub issuer: String,
    /// Registered clients.
    pub clients: Arc<Clients>,
    /// Which numbers are sent to.
    pub phone_rules: PhoneRules,
    /// What operators decided.
    pub rules: Arc<Rules>,
    /// Codes.
    pub otp: Arc<Otp>,
    /// Right codes become tokens.
    pub sign_in: SignIn,
    /// Published keys.
    pub keys: Arc<SigningKeys>,
    /// Access tokens that come back.
    pub own_tokens: Arc<OwnTokens>,
    /// Sessions that ended before their tokens.
    pub revocations: Arc<Revocations>,
    /// How long the revocations may be out of reach.
    pub max_staleness: Duration,
    /// Who may pass a gateway.
    pub gateway: Gateway,
    /// Sessions and refresh tokens.
    pub sessions: Arc<Sessions>,
    /// Where connections to the database and the provider are served.
    pub runtime: Handle,
    /// Who may use the database now.
    pub seats: Arc<Seats>,
    /// Kept replies.
    pub idempotency: Idempotency,
    /// Limit on sends and resends of one address and of one network.
    pub send_limit: IpLimit,
    /// Limit on verifies of one address and of one network.
    pub verify_limit: IpLimit,
    /// How long a body may take to come.
    pub read_timeout: Duration,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Seals the tutorial's cookie.
    pub keyring: Arc<Keyring>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids of requests that came without one.
    pub request_ids: RequestIds,
    /// Nonces.
    pub random: Arc<dyn Random>,
    /// Whether it is to be given further calls.
    pub serving: Arc<Serving>,
    /// Asked by `/readyz`.
    pub pool: PgPool,
    /// The provider, the state of whose breaker `/readyz` and `/metrics` tell.
    pub provider: Arc<Provider>,
    /// Who did what.
    pub audit: Arc<Audit>,
    /// What operators do about one person.
    pub people: People,
    /// Which calls without the admin token were told of.
    pub denials: admin::Denials,
    /// Whom `/admin/v1` is open to.
    pub operators: Operators,
    /// What this process counts.
    pub metrics: Arc<Metrics>,
    /// What is looked at only to be counted.
    pub vitals: Arc<Vitals>,
    /// What tells how to call it.
    pub documents: Documents,
    /// Which requests the log tells of.
    pub log_sample: LogSample,
    /// What makes spans, if there is a collector for them.
    pub traces: Option<Traces>,
}

/// A resource of the route table, its paths, and what it is for if it needs the database.
struct Served {
    paths: Vec<String>,
    resource: Resource,
    class: Option<Class>,
}

impl Served {
    fn route(mut self, route: Route) -> Self {
        self.resource = self.resource.route(route);
        self
    }

    /// It needs the database, for this.
    fn class(mut self, class: Class) -> Self {
        self.resource = self.resource.app_data(class);
        self.class = Some(class);
        self
    }
}

impl HttpServiceFactory for Served {
    fn register(self, config: &mut AppService) {
        self.resource.register(config);
    }
}

/// What gateways call, with any method.
fn gateway() -> Vec<Served> {
    let any = |path, handler: Route| served(&[path]).route(handler);
    vec![
        any("/v1/authorize", web::to(authorize::authorize)),
        any(
            "/v1/authorize/{tail:.*}",
            web::to(authorize::authorize_below),
        ),
    ]
}

/// What gateways call, which must stay outside of everything that answers by itself, as CORS does.
pub fn gateway_routes(config: &mut ServiceConfig) {
    for served in gateway() {
        config.service(served);
    }
}

/// The public listener's other routes. `web::resource` answers 405 with `Allow` for other methods.
fn public() -> Vec<Served> {
    vec![
        limited(&["/v1/otp/send"], LimitedBy::Sends, otp::send),
        limited(&["/v1/otp/resend"], LimitedBy::Sends, otp::resend),
        limited(&["/v1/otp/verify"], LimitedBy::Verifies, otp::verify),
        read("/v1/otp/{request_id}", otp::report).class(Class::Send),
        limited(
            &["/auth/send-otp/", "/auth/send-otp"],
            LimitedBy::Sends,
            tutorial::send,
        ),
        limited(
            &["/auth/verify-otp/", "/auth/verify-otp"],
            LimitedBy::Verifies,
            tutorial::verify,
        ),
        post("/v1/token", token::token).class(Class::Login),
        post("/v1/token/refresh", token::refresh).class(Class::Login),
        post("/v1/token/revoke", token::revoke).class(Class::Session),
        post("/v1/token/introspect", token::introspect).class(Class::Session),
        read("/v1/sessions", sessions::list)
            .route(web::delete().to(sessions::end_all))
            .class(Class::Session),
        served(&["/v1/sessions/{session_id}"])
            .route(web::delete().to(sessions::end_one))
            .class(Class::Session),
        read("/v1/revocations", revocations::list),
        read("/v1/userinfo", sessions::userinfo).class(Class::Session),
        read("/.well-known/jwks.json", discovery::jwks),
        read(
            "/.well-known/oauth-authorization-server",
            discovery::metadata,
        ),
        read("/problems/{code}", discovery::problem_page),
        read("/openapi.json", documents::openapi),
        read("/docs", reader::page),
        read("/docs/", reader::page),
        read("/docs/{file}", reader::file),
    ]
}

/// What the public listener serves.
pub fn public_routes(config: &mut ServiceConfig) {
    config.app_data(PayloadConfig::new(BODY_LIMIT));
    for served in public() {
        config.service(served);
    }
    config.default_service(web::to(call::not_found));
}

/// What objectives are set for: counted from the start, so that the first failure is seen as one.
pub const OBJECTIVES: [(&str, &str); 7] = [
    ("/v1/otp/send", "POST"),
    ("/v1/otp/resend", "POST"),
    ("/v1/otp/verify", "POST"),
    ("/auth/send-otp/", "POST"),
    ("/auth/verify-otp/", "POST"),
    ("/v1/token", "POST"),
    ("/v1/token/refresh", "POST"),
];

/// The paths of the public listener, with the names of their parameters in braces, and what they need the
/// database for.
pub fn public_paths() -> Vec<(String, Option<Class>)> {
    let all = gateway().into_iter().chain(public());
    let paths = all.flat_map(|served| {
        let paths = served.paths.into_iter();
        paths.map(move |path| (path.replace(":.*}", "}"), served.class))
    });
    paths.collect()
}

/// The admin listener's routes.
pub fn admin_routes(config: &mut ServiceConfig) {
    config
        .service(read("/livez", health::livez))
        .service(read("/readyz", health::readyz))
        .service(read("/metrics", health::metrics))
        .service(read("/openapi.json", documents::admin_openapi))
        .configure(admin::routes)
        .default_service(web::to(call::not_found));
}

/// Which limits of addresses and networks a route is under, beside those of the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitedBy {
    /// `limits.ip.sends_*`, `limits.network.sends_*`.
    Sends,
    /// `limits.ip.verifies_per_minute`, `limits.network.verifies_per_minute`.
    Verifies,
}

/// A resource without routes.
fn served(paths: &[&str]) -> Served {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    Served {
        resource: web::resource(paths.clone()),
        paths,
        class: None,
    }
}

/// A resource that is called with POST, under limits.
fn limited<F, Args>(paths: &[&str], by: LimitedBy, handler: F) -> Served
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let mut served = served(paths).route(web::post().to(handler));
    served.resource = served.resource.app_data(by);
    served.class(match by {
        LimitedBy::Sends => Class::Send,
        LimitedBy::Verifies => Class::Login,
    })
}

/// A resource that is called with POST, and where a token says enough: a made-up one costs no statement.
fn post<F, Args>(path: &str, handler: F) -> Served
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    served(&[path]).route(web::post().to(handler))
}

/// A resource that is read with GET, and asked about with HEAD (RFC 9110 section 9.1).
fn read<F, Args>(path: &str, handler: F) -> Served
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    served(&[path])
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
}
