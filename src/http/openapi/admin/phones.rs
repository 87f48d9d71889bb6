//! `/admin/v1/phones`, `DELETE /admin/v1/users/{sub}`

use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::operation::{Answer, Operation};
use super::super::schemas::Schemas;
use super::{OF_BODY, PHONE_INDEX, USER_ID, call, with_id};
use crate::http::admin::phones::StandingBody;
use crate::http::codes::Code;

const TAG: &str = "People";

/// A phone.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the handler reads the members one by one")]
struct PhoneLookup {
    phone_number: String,
}

/// A phone, and why its lock is to go.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the handler reads the members one by one")]
struct PhoneUnlock {
    phone_number: String,
    /// 1 to 200 characters without a phone number.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<PhoneLookup>()
        .with::<PhoneUnlock>()
        .with::<StandingBody>()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![look_up(), unlock(), erase()]
}

fn standing() -> Value {
    json!({
        "phone_index": PHONE_INDEX,
        "user_id": USER_ID,
        "locked_until": null,
        "failures_in_row": 0,
        "stopped": false,
        "sends_in_24_hours": 2,
    })
}

/// Of a phone number that is not for us, too.
fn problems() -> Vec<Code> {
    [
        &OF_BODY[..],
        &[Code::InvalidPhoneNumber, Code::PhoneNumberNotAllowed],
    ]
    .concat()
}

fn look_up() -> Operation {
    call(
        ("post", "/admin/v1/phones/lookup"),
        (TAG, "lookUpPhone"),
        (
            "Tells where a phone stands",
            "The number is in the body, since paths end up in logs.",
        ),
        &problems(),
    )
    .body::<PhoneLookup>(
        "application/json",
        &[("number", json!({"phone_number": "+919876543210"}))],
    )
    .answer(
        200,
        Answer::new("Where it stands.").json::<StandingBody>(&[("known", standing())]),
    )
}

fn unlock() -> Operation {
    call(
        ("post", "/admin/v1/phones/unlock"),
        (TAG, "unlockPhone"),
        ("Lifts a phone's lock", "And forgets the wrong codes that led to it. A code that is on its way has no new tries."),
        &problems(),
    )
    .body::<PhoneUnlock>(
        "application/json",
        &[("why", json!({"phone_number": "+919876543210", "reason": "Ticket 4711: he proved who he is"}))],
    )
    .answer(200, Answer::new("Where it stands now.").json::<StandingBody>(&[("unlocked", standing())]))
}

fn erase() -> Operation {
    let gone = call(
        ("delete", "/admin/v1/users/{sub}"),
        (TAG, "eraseUser"),
        (
            "Erases a person",
            "The user, the sessions, the sealed numbers. Keyed counters stay. There is no way back.",
        ),
        &[Code::NotFound],
    );
    with_id(gone, "sub", "The user: `sub` of the token.", USER_ID)
        .answer(204, Answer::new("Nothing names the person any more."))
}
