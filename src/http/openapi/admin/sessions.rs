//! `/admin/v1/users/{sub}/sessions`, `/admin/v1/sessions/{id}`

use serde_json::json;

use super::super::operation::{Answer, Operation};
use super::super::schemas::Schemas;
use super::super::sessions::session;
use super::{SESSION_ID, USER_ID, call, with_id};
use crate::http::admin::sessions::EndedBody;
use crate::http::codes::Code;
use crate::http::sessions::{SessionBody, SessionsBody};

const TAG: &str = "People";
const SUB: &str = "The user: `sub` of the token.";

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<SessionsBody>()
        .with::<SessionBody>()
        .with::<EndedBody>()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![list(), end_all(), end_one()]
}

fn list() -> Operation {
    let found = call(
        ("get", "/admin/v1/users/{sub}/sessions"),
        (TAG, "listUserSessions"),
        (
            "Tells where a user is logged in",
            "The latest use first; of a user that is none, nothing.",
        ),
        &[Code::NotFound],
    );
    with_id(found, "sub", SUB, USER_ID).answer(
        200,
        Answer::new("The sessions.")
            .json::<SessionsBody>(&[("one", json!({"sessions": [session()]}))]),
    )
}

fn end_all() -> Operation {
    let ended = call(
        ("delete", "/admin/v1/users/{sub}/sessions"),
        (TAG, "endUserSessions"),
        (
            "Logs a user out everywhere",
            "His access tokens are refused at once by what asks this service.",
        ),
        &[Code::NotFound],
    );
    with_id(ended, "sub", SUB, USER_ID).answer(
        200,
        Answer::new("How many ended.").json::<EndedBody>(&[("two", json!({"ended": 2}))]),
    )
}

fn end_one() -> Operation {
    let ended = call(
        ("delete", "/admin/v1/sessions/{id}"),
        (TAG, "endOneSession"),
        (
            "Ends a session",
            "Its access tokens are refused at once by what asks this service.",
        ),
        &[Code::NotFound],
    );
    with_id(ended, "id", "The session: `sid` of the token.", SESSION_ID)
        .answer(204, Answer::new("It lives no more."))
}
