//! Who calls, and how that is proved.

use serde_json::{Value, json};

/// The ways, for `components`.
pub(super) fn schemes() -> Value {
    json!({
        "client": {
            "type": "http",
            "scheme": "basic",
            "description": "A confidential client: its id and secret, both form-encoded (RFC 6749 section 2.3.1).",
        },
        "user": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A user: an access token.",
        },
        "request": {
            "type": "apiKey",
            "in": "cookie",
            "name": crate::http::tutorial::REQUEST_COOKIE,
            "description": "The request that a code belongs to, as `POST /auth/send-otp/` set it.",
        },
    })
}

/// A confidential client.
pub(super) fn client() -> Value {
    json!([{"client": []}])
}

/// A confidential client, or a public one that the body names.
pub(super) fn client_or_named() -> Value {
    json!([{}, {"client": []}])
}

/// The same, with the cookie that says which request it is about.
pub(super) fn request_of_client_or_named() -> Value {
    json!([{"request": []}, {"request": [], "client": []}])
}

/// A user.
pub(super) fn user() -> Value {
    json!([{"user": []}])
}
