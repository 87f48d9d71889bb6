//! Taking a body in: whole, in time, not too long, and as it is.

use std::ops::Deref;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::{ErrorRequestTimeout, ErrorUnsupportedMediaType};
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use tokio::time::timeout;

use super::State;

/// A request's body. A seat, a limit or a key is taken once it is here, never while it comes.
pub struct Body(Bytes);

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl FromRequest for Body {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let patience = request
            .app_data::<Data<State>>()
            .map_or(Duration::ZERO, |state| state.read_timeout);
        // It would be decoded into something else than what its length was checked of.
        let is_coded = request
            .headers()
            .get_all(CONTENT_ENCODING)
            .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        // Refuses what is longer than the route's `PayloadConfig` says, as soon as it is known to be.
        let body = Bytes::from_request(request, payload);
        Box::pin(async move {
            if is_coded {
                return Err(ErrorUnsupportedMediaType("a coded body"));
            }
            let read = timeout(patience, body).await;
            match read {
                Ok(body) => body.map(Self),
                Err(elapsed) => Err(ErrorRequestTimeout(elapsed)),
            }
        })
    }
}
