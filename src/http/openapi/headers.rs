//! The headers of answers and of calls.

use serde_json::{Map, Value, json};

/// The headers of answers, for `components`.
pub(super) fn all() -> Map<String, Value> {
    let all = json!({
        "X-Request-Id": {
            "required": true,
            "description": "That of the call, if it is 1 to 64 of `[A-Za-z0-9._-]`; else a new one. Logs have it.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
            "example": "01a207374da87c5d96e90c829bc0fa1b",
        },
        "Retry-After": {
            "required": true,
            "description": "Seconds to wait (RFC 9110). Whoever waits that long passes.",
            "schema": {"type": "integer", "minimum": 1},
            "example": 24,
        },
        "RateLimit": {
            "description": "Calls left of each limit that was looked at, and seconds until there are more \
                (draft-ietf-httpapi-ratelimit-headers-10). Missing where there is no limit, or where the call was \
                refused before.",
            "schema": {"type": "string"},
            "example": "\"ip-60s\";r=4;t=60",
        },
        "RateLimit-Policy": {
            "description": "Each limit that was looked at: calls, and the seconds they are for.",
            "schema": {"type": "string"},
            "example": "\"ip-60s\";q=5;w=60",
        },
        "Location": {
            "required": true,
            "description": "Where the request can be looked at.",
            "schema": {"type": "string", "format": "uri-reference", "pattern": "^/v1/otp/"},
            "example": "/v1/otp/01a20737-4d79-745c-a01a-0c9020452ce3",
        },
        "WWW-Authenticate": {
            "required": true,
            "description": "How to prove who calls (RFC 9110, RFC 6750).",
            "schema": {"type": "string"},
            "example": "Bearer realm=\"otp-auth\", error=\"invalid_token\"",
        },
        "ETag": {
            "required": true,
            "description": "Names this version; send it back in `If-None-Match`.",
            "schema": {"type": "string", "pattern": "^\"[^\"]+\"$"},
            "example": "\"Yh0ZJkSLMnvTVJd1vDdT7uc8nVxkCdPHkTxkhiXWLK0\"",
        },
        "Cache-Control": {
            "required": true,
            "description": "How long it may be kept. What has no such header here is `no-store`.",
            "schema": {"type": "string", "pattern": "^public, max-age="},
            "example": "public, max-age=3600",
        },
        "Content-Security-Policy": {
            "required": true,
            "description": "What the page may do.",
            "schema": {"type": "string"},
            "example": "default-src 'none'",
        },
        "X-Auth-Subject": {
            "required": true,
            "description": "The user: `sub` of the token.",
            "schema": {"type": "string", "format": "uuid"},
            "example": "7c3f23f2-5302-42b8-a93e-d1306e5bf0d0",
        },
        "X-Auth-Session": {
            "required": true,
            "description": "The session: `sid` of the token.",
            "schema": {"type": "string", "format": "uuid"},
            "example": "01a20737-4da8-7c5d-96e9-0c829bc0fa1b",
        },
        "X-Auth-Client": {
            "required": true,
            "description": "The client that the user logged in with.",
            "schema": {"type": "string", "minLength": 1},
            "example": "web",
        },
        "X-Auth-Scope": {
            "required": true,
            "description": "The scopes of the token with one blank between; empty if there is none.",
            "schema": {"type": "string"},
            "example": "orders.read phone",
        },
        "X-Auth-Expires": {
            "required": true,
            "description": "When the token ends.",
            "schema": {"type": "string", "format": "date-time"},
            "example": "2026-11-23T07:18:24.000Z",
        },
        "X-Auth-Phone": {
            "description": "The number in E.164, with scope `phone` only.",
            "schema": {"type": "string", "pattern": r"^\+[0-9]{1,15}$"},
            "example": "+919876543210",
        },
        "Set-Cookie": {
            "required": true,
            "description": "`HttpOnly`, `SameSite=Lax`, of `/auth`; `Secure` where the issuer is https.",
            "schema": {"type": "string"},
            "example": "otp_request=mY0SLMnvTV; HttpOnly; SameSite=Lax; Path=/auth; Max-Age=300",
        },
    });
    all.as_object().cloned().unwrap_or_default()
}

/// `Idempotency-Key` of a POST.
pub(super) fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A repeat with the same key and body gets the same reply for 15 minutes, and does nothing twice.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
        "example": "b6d1c1f2-8c0e-4d6c-9d62-8f4a3c1c9b11",
    })
}

/// `If-None-Match` of a GET.
pub(super) fn if_none_match() -> Value {
    json!({
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of the version that is known: it is not sent again.",
        "schema": {"type": "string"},
        "example": "\"Yh0ZJkSLMnvTVJd1vDdT7uc8nVxkCdPHkTxkhiXWLK0\"",
    })
}
