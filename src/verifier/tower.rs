//! For axum, tonic, hyper and all that is made of tower services: a layer that lets
//! requests with a good token pass, with its [`Claims`](super::Claims) among the request's extensions.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use super::denied::{Denied, authenticate, bearer};
use super::remote::Verifier;

/// Puts [`RequireToken`] around a service.
#[derive(Clone, Debug)]
pub struct RequireTokenLayer {
    verifier: Verifier,
    scope: Option<String>,
}

impl RequireTokenLayer {
    /// Lets pass what this verifier accepts.
    pub fn new(verifier: Verifier) -> Self {
        Self {
            verifier,
            scope: None,
        }
    }

    /// Lets pass only tokens that have this scope too.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }
}

impl<S> Layer<S> for RequireTokenLayer {
    type Service = RequireToken<S>;

    fn layer(&self, inner: S) -> RequireToken<S> {
        RequireToken {
            inner,
            layer: self.clone(),
        }
    }
}

/// Checks the token of a request before the inner service gets it; answers 401, 403 or 503 itself, with
/// an empty body.
#[derive(Clone, Debug)]
pub struct RequireToken<S> {
    inner: S,
    layer: RequireTokenLayer,
}

impl<S, B, R> Service<Request<B>> for RequireToken<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that was polled ready is the one to call; its clone is not ready yet.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let RequireTokenLayer { verifier, scope } = self.layer.clone();
        let headers = request.headers().get_all(AUTHORIZATION);
        let token = bearer(headers.iter().map(HeaderValue::as_bytes));
        Box::pin(async move {
            let claims = match authenticate(&verifier, token).await {
                Ok(claims) => claims,
                Err(denied) => return Ok(answer(&denied)),
            };
            if let Some(scope) = scope
                && let Err(denied) = claims.require_scope(&scope)
            {
                return Ok(answer(&denied));
            }
            request.extensions_mut().insert(claims);
            inner.call(request).await
        })
    }
}

fn answer<R: Default>(denied: &Denied) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() =
        StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(challenge) = denied.www_authenticate()
        && let Ok(challenge) = HeaderValue::try_from(challenge)
    {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = denied.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
