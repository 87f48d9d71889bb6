//! Cuts a connection without an HTTP answer, as a dying server or a broken network does.
//!
//! A handler cannot close its connection, but a response whose body fails before the first byte
//! makes the server drop the connection before it has written the head. With the socket's linger
//! time set to zero that drop sends a TCP reset. For that the socket is duplicated when the
//! connection is made, which costs one more file descriptor per connection.

use std::any::Any;
use std::net::TcpStream as StdTcpStream;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{future, stream};
use tokio::net::TcpSocket;

/// A connection's second handle on its socket.
struct Handle(Mutex<Option<StdTcpStream>>);

/// Keeps a second handle on every new connection's socket.
pub(super) fn remember(connection: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TcpStream>() else {
        return;
    };
    // Out of file descriptors: a reset then becomes an ordinary close.
    if let Ok(socket) = stream.as_fd().try_clone_to_owned() {
        extensions.insert(Handle(Mutex::new(Some(StdTcpStream::from(socket)))));
    }
}

/// The sandbox cut the connection on purpose.
#[derive(Debug, thiserror::Error)]
#[error("an armed fault resets this connection")]
struct ArmedFaultResetsConnection;

/// Resets the connection of this request; nothing of the response is sent.
pub(super) fn reset(request: &HttpRequest) -> HttpResponse {
    let socket = request.conn_data::<Handle>().and_then(|handle| {
        handle
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    });
    if let Some(socket) = socket {
        let _closed_politely_instead = TcpSocket::from_std_stream(socket).set_zero_linger();
    }
    HttpResponse::Ok().streaming(stream::once(future::ready(Err::<Bytes, _>(
        ArmedFaultResetsConnection,
    ))))
}
