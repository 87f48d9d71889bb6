//! `/v1/revocations`

use serde_json::json;

use super::headers::if_none_match;
use super::operation::{Answer, Operation};
use super::schemas::Schemas;
use super::security;
use crate::http::codes::Code;
use crate::http::revocations::{FeedBody, LONGEST_WAIT, RevocationBody};

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<FeedBody>().with::<RevocationBody>()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![list()]
}

fn list() -> Operation {
    let revocation = json!({
        "sid": "01a20737-4da8-7c5d-96e9-0c829bc0fa1b",
        "sub": "7c3f23f2-5302-42b8-a93e-d1306e5bf0d0",
        "revoked_at": "2026-11-23T07:05:11.402Z",
        "expires_at": "2026-11-23T07:18:24.000Z",
    });
    let feed = json!({"cursor": "42", "revocations": [revocation]});
    Operation::new(
        ("get", "/v1/revocations"),
        ("Tokens", "listRevocations"),
        "Tells which tokens are not good any more",
        "For services that check tokens by themselves. Only confidential clients may ask; unknown parameters are \
         refused.",
    )
    .security(security::client())
    .parameter(json!({
        "name": "since",
        "in": "query",
        "description": "The cursor of the last answer; without it, everything that matters still is told.",
        "schema": {"type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX},
        "example": 42,
    }))
    .parameter(json!({
        "name": "wait",
        "in": "query",
        "description": "Seconds to wait where there is nothing new.",
        "schema": {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT},
        "example": 0,
    }))
    .parameter(if_none_match())
    .problems(&[Code::InvalidRequest, Code::InvalidClient])
    .answer(
        200,
        Answer::new("What is new.")
            .json::<FeedBody>(&[("one", feed)])
            .header("ETag")
            .link(
                "listRevocations",
                "Asks for what comes after.",
                &json!({"parameters": {"query.since": "$response.body#/cursor"}}),
            ),
    )
    .answer(
        304,
        Answer::new("There is nothing newer than the `ETag` that was sent.").header("ETag"),
    )
}
