//! `/v1/sessions`, `/v1/userinfo`

use serde_json::{Value, json};

use super::operation::{Answer, Operation};
use super::schemas::Schemas;
use super::security;
use crate::http::codes::Code;
use crate::http::sessions::{SessionBody, SessionsBody, UserBody};

const TAG: &str = "Sessions";
const SESSION_ID: &str = "01a20737-4da8-7c5d-96e9-0c829bc0fa1b";

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<SessionsBody>()
        .with::<SessionBody>()
        .with::<UserBody<'_>>()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![list(), end_all(), end_one(), userinfo()]
}

/// One as operators see it.
pub(super) fn session() -> Value {
    json!({
        "session_id": SESSION_ID,
        "client_id": "web",
        "created_at": "2026-11-23T07:03:24.120Z",
        "last_used_at": "2026-11-23T07:18:12.004Z",
        "expires_at": "2026-12-23T07:18:12.004Z",
        "user_agent": "Mozilla/5.0",
        "address_prefix": "192.0.2.0/24",
    })
}

fn list() -> Operation {
    let mut session = session();
    if let Some(members) = session.as_object_mut() {
        members.insert("current".to_owned(), json!(true));
    }
    let sessions = Answer::new("Where the user is logged in, the latest use first.")
        .json::<SessionsBody>(&[("one", json!({"sessions": [session]}))])
        .link(
            "endSession",
            "Ends the first.",
            &json!({"parameters": {"session_id": "$response.body#/sessions/0/session_id"}}),
        );
    of_user(Operation::new(
        ("get", "/v1/sessions"),
        (TAG, "listSessions"),
        "Tells where the user is logged in",
        "With all clients.",
    ))
    .answer(200, sessions)
}

fn end_all() -> Operation {
    of_user(Operation::new(
        ("delete", "/v1/sessions"),
        (TAG, "endSessions"),
        "Logs the user out everywhere",
        "Also the session of this call's token.",
    ))
    .answer(204, Answer::new("No session of the user lives."))
}

fn end_one() -> Operation {
    Operation::new(
        ("delete", "/v1/sessions/{session_id}"),
        (TAG, "endSession"),
        "Logs the user out of one session",
        "Of his own only.",
    )
    .security(security::user())
    .in_path(
        "session_id",
        "As the list tells it.",
        &json!({"type": "string", "format": "uuid"}),
        SESSION_ID,
    )
    .problems(&[Code::InvalidToken, Code::NotFound, Code::ServiceUnavailable])
    .answer(204, Answer::new("The session lives no more."))
}

fn userinfo() -> Operation {
    of_user(Operation::new(
        ("get", "/v1/userinfo"),
        (TAG, "readUser"),
        "Tells who the user is",
        "The number only with scope `phone`.",
    ))
    .answer(
        200,
        Answer::new("Who it is.").json::<UserBody<'_>>(&[(
            "with_phone",
            json!({
                "sub": "7c3f23f2-5302-42b8-a93e-d1306e5bf0d0",
                "phone_number": "+919876543210",
                "phone_number_verified": true,
            }),
        )]),
    )
}

/// A call with an access token.
fn of_user(call: Operation) -> Operation {
    call.security(security::user())
        .problems(&[Code::InvalidToken, Code::ServiceUnavailable])
}
