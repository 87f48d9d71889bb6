//! Checks access tokens: for the service's own endpoints, and for sibling services in Rust.
//!
//! It knows the issuer only by its name and its JWK set, as any other service would. Time is passed in, or comes
//! from a [`Clock`](crate::clock::Clock).
//!
//! A token is read in one order, and the first fault is the answer ([`Refused`]): size and form,
//! header, key, signature, and only then what it claims. Nothing of an unsigned payload is ever
//! looked at. The one algorithm of a key comes from the key set, never from the token.
//!
//! # In another service
//!
//! The service's own crates stay out of the build (`verifier-core` does without actix-web too):
//!
//! ```toml
//! otp-auth = { version = "0.1", default-features = false, features = ["verifier"] }
//! ```
//!
//! A [`Verifier`] fetches the issuer's keys and keeps them; one is enough for a process, and its clones
//! are cheap. With actix-web:
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use otp_auth::verifier::actix::Authenticated;
//! use otp_auth::verifier::{Denied, Verifier};
//!
//! async fn orders(user: Authenticated) -> Result<String, Denied> {
//!     user.require_scope("orders.read")?;
//!     Ok(format!("the orders of {}", user.0.subject()))
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let verifier = Verifier::builder("https://id.example")
//!         .audience("orders-api")
//!         .verifier_name("orders")
//!         .build()?;
//!     // Optional: the first request would fetch the keys as well.
//!     verifier.ready().await?;
//!     HttpServer::new(move || {
//!         App::new()
//!             .app_data(web::Data::new(verifier.clone()))
//!             .route("/orders", web::get().to(orders))
//!     })
//!     .bind(("127.0.0.1", 8081))?
//!     .run()
//!     .await?;
//!     Ok(())
//! }
//! ```
//!
//! With anything made of tower services, for example as `Router::layer` of axum. The inner service finds
//! [`Claims`] among the request's extensions:
//!
//! ```no_run
//! use std::convert::Infallible;
//! use std::future::{Ready, ready};
//! use std::task::{Context, Poll};
//!
//! use http::{Request, Response};
//! use otp_auth::verifier::tower::RequireTokenLayer;
//! use otp_auth::verifier::{Claims, Verifier};
//! use tower_layer::Layer;
//! use tower_service::Service;
//!
//! #[derive(Clone)]
//! struct Orders;
//!
//! impl Service<Request<String>> for Orders {
//!     type Response = Response<String>;
//!     type Error = Infallible;
//!     type Future = Ready<Result<Response<String>, Infallible>>;
//!
//!     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, request: Request<String>) -> Self::Future {
//!         let user = request.extensions().get::<Claims>().map(Claims::subject);
//!         ready(Ok(Response::new(format!("the orders of {user:?}"))))
//!     }
//! }
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let verifier = Verifier::builder("https://id.example")
//!     .audience("orders-api")
//!     .build()?;
//! let mut service = RequireTokenLayer::new(verifier).scope("orders.read").layer(Orders);
//! let request = Request::builder().header("Authorization", "Bearer ...").body(String::new())?;
//! let response = service.call(request).await?;
//! assert_eq!(response.status(), 401);
//! # Ok(())
//! # }
//! ```
//!
//! Where the keys come from elsewhere, [`KeySet::parse`] and [`verify`] do without network and tokio.

#[cfg(feature = "verifier")]
pub mod actix;
mod check;
mod claims;
mod denied;
mod json;
mod jws;
mod keys;
mod remote;
pub mod tower;

pub use check::{Expected, ExpectedError, MAX_LEEWAY, Refused, verify};
pub use claims::{Claims, PhoneNumber};
pub use denied::Denied;
pub use jws::MAX_TOKEN_BYTES;
pub use keys::{KeySet, KeySetError};
pub use remote::{
    BuildError, Builder, CheckError, DEFAULT_AGE, MAX_AGE, MAX_SET_BYTES, MIN_AGE, RETRY,
    RETRY_WITHOUT_KEYS, Verifier,
};

#[cfg(test)]
mod testing;
