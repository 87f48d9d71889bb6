//! The two listeners, and what each serves.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App as ActixApp, HttpServer};

use super::StartError;
use super::files::{self, Room};
use super::run::Door;
use crate::config::Settings;
use crate::http::hook_first::HookFirst;
use crate::http::{self, State, cors, observe};

/// Seconds after which a server gives up by itself; `run` does so before.
const NEVER: u64 = Duration::from_hours(1).as_secs();

type Bound = (TcpListener, SocketAddr);

/// What users and other services call.
pub(super) fn public(
    settings: &Settings,
    state: Data<State>,
    (listener, address): Bound,
) -> Result<(Server, Door), StartError> {
    let clients = Arc::clone(&state.clients);
    let room = Room::make(settings);
    let serving = Arc::clone(&state.serving);
    serving.limit_connections(room.all());
    let server = HttpServer::new(move || {
        let router = ActixApp::new()
            .app_data(state.clone())
            .wrap(from_fn(observe::observe))
            .configure(http::gateway_routes)
            .service(
                web::scope("")
                    .wrap(cors::cors(Arc::clone(&clients)))
                    .configure(http::public_routes),
            );
        HookFirst::of(state.clone(), router)
    })
    .workers(room.workers)
    .max_connections(room.per_worker)
    .client_request_timeout(settings.server.read_timeout)
    .keep_alive(settings.server.keep_alive)
    .on_connect(move |_, connection| {
        connection.insert(serving.connect());
    });
    let started = || {
        let twin = listener.try_clone()?;
        let server = server.disable_signals().shutdown_timeout(NEVER);
        Ok((server.listen(listener)?.run(), twin))
    };
    opened(started(), address)
}

/// What operators and supervisors call.
pub(super) fn admin(
    settings: &Settings,
    state: Data<State>,
    (listener, address): Bound,
) -> Result<(Server, Door), StartError> {
    let server = HttpServer::new(move || {
        ActixApp::new()
            .app_data(state.clone())
            .wrap(from_fn(observe::observe))
            .configure(http::admin_routes)
    })
    .workers(1)
    .max_connections(files::ADMIN)
    .keep_alive(settings.server.keep_alive);
    let started = || {
        let twin = listener.try_clone()?;
        let server = server.disable_signals().shutdown_timeout(NEVER);
        Ok((server.listen(listener)?.run(), twin))
    };
    opened(started(), address)
}

fn opened(
    started: io::Result<(Server, TcpListener)>,
    address: SocketAddr,
) -> Result<(Server, Door), StartError> {
    let (server, twin) = started.map_err(|error| StartError::Listen { address, error })?;
    let door = Door::new(&server, twin);
    Ok((server, door))
}
