//! What happens, told live to every open inbox page as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Bytes, Data};
use actix_web::{HttpResponse, http::header};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};
use uuid::Uuid;

use super::faults::ArmedFault;
use super::messages::{Message, MessageStatus};
use super::state::State;

/// Events a slow page may lag behind before it has to fetch the whole list again.
const BACKLOG: usize = 256;
/// A comment is sent this often, so that a page notices a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Tells the page to reconnect one second after a lost connection.
const GREETING: &[u8] = b"retry: 1000\nevent: ready\ndata: {}\n\n";

/// Something an inbox page shows.
pub(super) enum Event<'a> {
    /// An SMS went out.
    Message(&'a Message),
    /// An SMS reached its phone.
    Delivered(Uuid),
    /// The inbox was emptied.
    Cleared,
    /// Other faults are armed than before.
    Faults(&'a [ArmedFault]),
}

#[derive(Serialize)]
struct StatusData {
    id: Uuid,
    status: MessageStatus,
}

impl Event<'_> {
    fn frame(&self) -> Bytes {
        let (name, data) = match self {
            Self::Message(message) => ("message", serde_json::to_string(message)),
            Self::Delivered(id) => {
                let data = StatusData {
                    id: *id,
                    status: MessageStatus::Delivered,
                };
                ("status", serde_json::to_string(&data))
            }
            Self::Cleared => ("cleared", Ok("{}".to_owned())),
            Self::Faults(faults) => ("faults", serde_json::to_string(faults)),
        };
        let data = data.unwrap_or_default();
        Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
    }
}

/// The channel to all open pages.
pub(super) struct Events(broadcast::Sender<Bytes>);

impl Events {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }

    /// Tells every open page; nobody listening is fine.
    pub(super) fn tell(&self, event: &Event<'_>) {
        if self.0.receiver_count() > 0 {
            let _listeners = self.0.send(event.frame());
        }
    }
}

/// `GET /sandbox/events`
pub(super) async fn stream(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(frames(state.into_inner()))
}

/// The greeting, then every event; the server drops the stream when it or the page ends.
fn frames(state: Arc<State>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    // Subscribed before the greeting leaves: what happens after a page has seen it is not missed.
    let events = state.events.0.subscribe();
    stream::unfold(
        (state, events, false),
        async |(state, mut events, greeted)| {
            if !greeted {
                return Some((Ok(Bytes::from_static(GREETING)), (state, events, true)));
            }
            let frame = tokio::select! {
                    () = tokio::time::sleep(KEEP_ALIVE) => Bytes::from_static(b": still here\n\n"),
                event = events.recv() => match event {
                    Ok(frame) => frame,
                    Err(RecvError::Lagged(_)) => Bytes::from_static(GREETING),
                    Err(RecvError::Closed) => return None,
                },
            };
            Some((Ok(frame), (state, events, true)))
        },
    )
}
