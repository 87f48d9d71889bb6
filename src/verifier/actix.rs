//! For actix-web: a handler that takes an [`Authenticated`] is reached with a good token only.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, web};

use super::claims::Claims;
use super::denied::{Denied, authenticate, bearer};
use super::remote::Verifier;

/// The claims of the request's token, from `Authorization: Bearer` and nowhere else.
///
/// The app needs a [`Verifier`] as `web::Data`; without one, every request fails with 500. For a scope,
/// the handler says `user.require_scope("...")?`.
#[derive(Clone, Debug)]
pub struct Authenticated(pub Claims);

impl Authenticated {
    /// Goes on only if the token has this scope; else the answer is 403.
    pub fn require_scope(&self, scope: &str) -> Result<(), Denied> {
        self.0.require_scope(scope)
    }
}

impl FromRequest for Authenticated {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let verifier = request.app_data::<web::Data<Verifier>>().cloned();
        let headers = request.headers().get_all(AUTHORIZATION);
        let token = bearer(headers.map(actix_web::http::header::HeaderValue::as_bytes));
        Box::pin(async move {
            let Some(verifier) = verifier else {
                let missing = "the app has no web::Data<Verifier>";
                return Err(actix_web::error::ErrorInternalServerError(missing));
            };
            Ok(Self(authenticate(&verifier, token).await?))
        })
    }
}

impl ResponseError for Denied {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(challenge) = self.www_authenticate() {
            response.insert_header((WWW_AUTHENTICATE, challenge));
        }
        if let Some(seconds) = self.retry_after() {
            response.insert_header((RETRY_AFTER, seconds));
        }
        response.finish()
    }
}
