//! A body that nobody reads to its end must not keep its connection.
//!
//! actix-http closes a connection a second after the answer if the body before it was left unread, but for one
//! that comes in chunks: of that it reads on, for as long as somebody sends, once nobody holds the payload
//! (`should_close_for_unread_payload`, 3.20). So the answer holds it.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::TRANSFER_ENCODING;
use actix_web::web::Bytes;
use futures_util::Stream;

/// A body, and whether it was read to its end.
struct Incoming {
    payload: Payload,
    is_over: bool,
}

/// The body of a request that is worked on.
pub(super) struct Unread(Rc<RefCell<Incoming>>);

/// Whoever reads it.
struct Reader(Rc<RefCell<Incoming>>);

impl Stream for Reader {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut incoming = self.0.borrow_mut();
        let polled = Pin::new(&mut incoming.payload).poll_next(context);
        incoming.is_over |= matches!(polled, Poll::Ready(None));
        polled
    }
}

impl Unread {
    /// Holds the body of a request, if it comes in chunks.
    pub(super) fn of(request: &mut ServiceRequest) -> Option<Self> {
        if !request.headers().contains_key(TRANSFER_ENCODING) {
            return None;
        }
        let payload = request.parts_mut().1.take();
        let is_over = false;
        let incoming = Rc::new(RefCell::new(Incoming { payload, is_over }));
        let reader = Box::pin(Reader(Rc::clone(&incoming)));
        request.set_payload(Payload::Stream { payload: reader });
        Some(Self(incoming))
    }

    /// Has the answer close the connection, if the body was not read.
    pub(super) fn close(self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        if self.0.borrow().is_over {
            return response;
        }
        response.map_body(|_, body| {
            BoxBody::new(Holding {
                body,
                _unread: self,
            })
        })
    }
}

/// An answer's body, beside the request's.
struct Holding {
    body: BoxBody,
    _unread: Unread,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
