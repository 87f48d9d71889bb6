//! A local `StartMessaging` for development and tests.
//!
//! It answers `POST /otp/send`, `POST /otp/verify` and `GET /messages/:id` with the provider's
//! bytes, ids, counters and faults, but the SMS ends in an inbox: a page at `/` (`/?phone=43210`
//! opens it with that filter), and JSON at `/sandbox/messages`. `/sandbox/events` is the page's live
//! feed, `/sandbox/info` tells mode, wallet and counts. Faults are armed at `/sandbox/faults`,
//! several at once; on the OTP routes the first that applies strikes.
//!
//! It is the one place that shows phone numbers and codes in clear; it logs neither, and must never
//! be reachable in production.
//!
//! A request goes `exchange` (body, fault) -> `state` (throttle, key) -> `api_send`, `api_verify`
//! or `api_messages` (rules in `validate`, budget in `state`) -> `envelope`.

mod api_messages;
mod api_send;
mod api_verify;
mod body;
mod connection;
mod envelope;
mod events;
mod exchange;
mod faults;
mod handle;
mod inbox;
mod messages;
mod refusal;
mod state;
mod throttle;
mod validate;
mod vendor;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use serde::Serialize;

pub use self::faults::{ArmedFault, Fault, FaultKind};
pub use self::handle::SandboxHandle;
use self::inbox::Page;
pub use self::messages::{Message, MessageStatus};
pub use self::state::Requests;
use self::state::State;
use crate::clock::{Clock, SystemClock};
use crate::random::{Random, SystemRandom};

/// Worker threads; the memory is shared, so more than one keeps us honest and two are enough.
const WORKERS: usize = 2;
/// Open connections per worker; each takes two file descriptors.
const MAX_CONNECTIONS: usize = 512;
/// How often deliveries that are due are told to open pages.
const TICK: Duration = Duration::from_millis(500);

/// Which dialect the OTP routes speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The caller makes the code and checks it; `POST /otp/verify` is the real server's 404.
    Service,
    /// Dialect A of the tutorials: the provider makes the code and checks it.
    Vendor,
}

/// Which API keys are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyRule {
    /// Any that is not empty.
    Any,
    /// Only those that begin like the provider's, `sm_live_`.
    Live,
}

impl ApiKeyRule {
    fn accepts(self, key: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Live => key
                .strip_prefix("sm_live_")
                .is_some_and(|rest| !rest.is_empty()),
        }
    }
}

/// How the sandbox behaves.
#[derive(Clone)]
pub struct SandboxOptions {
    /// Which dialect it speaks.
    pub mode: Mode,
    /// The time of its counters, lifetimes and deliveries.
    pub clock: Arc<dyn Clock>,
    /// The source of its ids and codes.
    pub random: Arc<dyn Random>,
    /// Which API keys are good.
    pub api_key: ApiKeyRule,
    /// The wallet at the start, in paise; the provider's smallest top-up is 1,000 rupees.
    pub balance_paise: i64,
    /// Whether more than 3 sends per number in 300 seconds are refused.
    pub number_limit: bool,
    /// Requests per 10 seconds, address and OTP route; the real limit is 200.
    pub throttle_limit: u32,
    /// How long after the send an SMS is on its phone and paid for; the vendor's figures say that
    /// half of them need 2 to 6 seconds.
    pub delivery_delay: Duration,
}

impl SandboxOptions {
    /// The real server's limits, on the system's clock.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            clock: Arc::new(SystemClock::default()),
            random: Arc::new(SystemRandom),
            api_key: ApiKeyRule::Any,
            balance_paise: 100_000,
            number_limit: true,
            throttle_limit: throttle::SEND_LIMIT,
            delivery_delay: Duration::from_secs(2),
        }
    }
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address is taken or not ours.
    #[error("the sandbox cannot listen on {addr}")]
    Bind {
        /// The address that was asked for.
        addr: SocketAddr,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The server broke while running.
    #[error("the sandbox's server failed")]
    Serve(#[source] io::Error),
}

/// A sandbox that holds its port and waits to be run.
pub struct Sandbox {
    server: Server,
    handle: SandboxHandle,
}

impl Sandbox {
    /// Takes the port (0 for any free one). Connections wait until [`Sandbox::run`].
    ///
    /// # Errors
    /// [`SandboxError::Bind`].
    pub fn bind(addr: SocketAddr, options: SandboxOptions) -> Result<Self, SandboxError> {
        let state = Arc::new(State::new(options));
        let shared = Data::from(Arc::clone(&state));
        let page = Data::new(Page::new());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(page.clone())
                .configure(routes)
        })
        .workers(WORKERS)
        .max_connections(MAX_CONNECTIONS)
        .on_connect(connection::remember)
        // A caller that closes its end has given up; a held reply must then end too.
        .h1_allow_half_closed(false)
        .disable_signals()
        .bind(addr)
        .map_err(|source| SandboxError::Bind { addr, source })?;
        let addr = server.addrs().first().copied().unwrap_or(addr);
        Ok(Self {
            server: server.run(),
            handle: SandboxHandle { state, addr },
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.handle.addr
    }

    /// A handle to look in and to stop it.
    pub fn handle(&self) -> SandboxHandle {
        self.handle.clone()
    }

    /// Serves until `shutdown` is done or [`SandboxHandle::stop`] is called, then drops all
    /// connections at once.
    ///
    /// # Errors
    /// [`SandboxError::Serve`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), SandboxError> {
        let Self {
            mut server,
            handle: SandboxHandle { state, .. },
        } = self;
        tokio::select! {
            ended = &mut server => return ended.map_err(SandboxError::Serve),
            () = shutdown => {}
            () = state.stopped() => {}
            () = tell_deliveries(&state) => {}
        }
        state.stop();
        let stopping = server.handle().stop(false);
        let (ended, ()) = futures_util::future::join(&mut server, stopping).await;
        ended.map_err(SandboxError::Serve)
    }
}

/// Lets deliveries become visible on open pages without a request. Never ends.
async fn tell_deliveries(state: &State) {
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        drop(state.lock());
    }
}

fn routes(config: &mut web::ServiceConfig) {
    let resource =
        |path: &str| web::resource(path.to_owned()).default_service(web::to(exchange::not_found));
    config
        .app_data(inbox::query_config())
        .service(resource("/otp/send").route(web::post().to(api_send::handle)))
        .service(resource("/otp/verify").route(web::post().to(api_verify::handle)))
        .service(resource("/messages/{id}").route(web::get().to(api_messages::handle)))
        .service(
            resource("/")
                .route(web::get().to(inbox::page))
                .route(web::head().to(inbox::page)),
        )
        .service(
            resource("/sandbox/messages")
                .route(web::get().to(inbox::messages))
                .route(web::delete().to(inbox::clear_messages)),
        )
        .service(
            resource("/sandbox/faults")
                .route(web::get().to(inbox::faults))
                .route(web::put().to(inbox::arm))
                .route(web::delete().to(inbox::disarm)),
        )
        .service(resource("/sandbox/info").route(web::get().to(inbox::info)))
        .service(resource("/sandbox/events").route(web::get().to(events::stream)))
        .default_service(web::to(exchange::not_found));
}
