//! The layer, around a service that tells what it was given.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::task::{Context, Poll};

use actix_web::http::StatusCode;
use http::{Request, Response};
use otp_auth::verifier::Claims;
use otp_auth::verifier::tower::RequireTokenLayer;
use tower_layer::Layer;
use tower_service::Service;

use crate::support::{Issuer, Signer};

/// Answers with the subject of the token. It must be asked whether it is ready before each call.
#[derive(Default)]
struct Subject {
    ready: bool,
}

impl Clone for Subject {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<String>> for Subject {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        assert!(self.ready);
        let claims = request.extensions().get::<Claims>().unwrap();
        let answer = format!("{} {}", claims.subject(), request.body());
        ready(Ok(Response::new(answer)))
    }
}

async fn call(layer: &RequireTokenLayer, authorization: Option<String>) -> Response<String> {
    let mut service = layer.layer(Subject::default());
    let mut request = Request::builder();
    if let Some(value) = authorization {
        request = request.header("Authorization", value);
    }
    let request = request.body("body".to_owned()).unwrap();
    poll_fn(|context| Service::<Request<String>>::poll_ready(&mut service, context))
        .await
        .unwrap();
    service.call(request).await.unwrap()
}

#[actix_web::test]
async fn the_inner_service_is_reached_with_a_good_token_only() {
    let (signer, other) = (Signer::new("one"), Signer::new("one"));
    let issuer = Issuer::start(&[&signer]);
    let layer = RequireTokenLayer::new(issuer.verifier());
    let bearer = |signer: &Signer| Some(format!("Bearer {}", signer.token(&issuer.clock)));

    let response = call(&layer, bearer(&signer)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.body(), "user-1 body");

    let response = call(&layer, None).await;
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["WWW-Authenticate"], "Bearer");
    let response = call(&layer, bearer(&other)).await;
    assert_eq!(response.status(), 401);
    let challenge = response.headers()["WWW-Authenticate"].to_str().unwrap();
    assert!(challenge.starts_with(r#"Bearer error="invalid_token""#));
    assert_eq!(response.body(), "");

    let reads = layer.clone().scope("orders.read");
    assert_eq!(call(&reads, bearer(&signer)).await.status(), 200);
    let writes = layer.scope("orders.write");
    let response = call(&writes, bearer(&signer)).await;
    assert_eq!(response.status(), 403);
    assert_eq!(
        response.headers()["WWW-Authenticate"],
        r#"Bearer error="insufficient_scope", scope="orders.write""#
    );
}

#[actix_web::test]
async fn without_keys_the_answer_is_503() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer]);
    issuer.answer(|answers| answers.status = StatusCode::BAD_GATEWAY);
    let layer = RequireTokenLayer::new(issuer.verifier());

    let response = call(
        &layer,
        Some(format!("Bearer {}", signer.token(&issuer.clock))),
    )
    .await;

    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["Retry-After"], "1");
}
