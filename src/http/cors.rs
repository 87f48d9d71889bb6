//! Cross-origin calls from the pages of registered clients.

use std::sync::Arc;

use actix_cors::Cors;

use crate::client::Clients;

/// Lets the registered origins, and no others, read answers and send cookies.
pub fn cors(clients: Arc<Clients>) -> Cors {
    Cors::default()
        .allowed_origin_fn(move |origin, _| {
            origin
                .to_str()
                .is_ok_and(|origin| clients.allow_origin(origin))
        })
        .allowed_methods(["GET", "POST", "DELETE"])
        .allowed_headers([
            "authorization",
            "content-type",
            "idempotency-key",
            "x-request-id",
        ])
        .expose_headers([
            "location",
            "ratelimit",
            "ratelimit-policy",
            "retry-after",
            "x-request-id",
        ])
        .supports_credentials()
        // A page that is not registered gets its answer without the CORS headers, so its browser
        // keeps it from reading it; other callers have no such guard to mind.
        .block_on_origin_mismatch(false)
        .max_age(600)
}
