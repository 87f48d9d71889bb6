//! `/admin/v1/switches`

use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::operation::{Answer, Operation};
use super::super::schemas::Schemas;
use super::{OF_BODY, call};
use crate::http::admin::switches::{SwitchBody, SwitchesBody};
use crate::http::codes::Code;

const TAG: &str = "Switches";

/// How a switch is to stand.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the handler reads the members one by one")]
struct SwitchPosition {
    on: bool,
    /// 1 to 200 characters without a phone number.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<SwitchPosition>()
        .with::<SwitchBody>()
        .with::<SwitchesBody>()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![list(), set()]
}

fn on() -> Value {
    json!({"on": true, "reason": "Somebody pumps", "changed_at": "2026-11-23T07:03:24.120Z"})
}

fn list() -> Operation {
    let never = json!({"on": false, "reason": null, "changed_at": null});
    call(
        ("get", "/admin/v1/switches"),
        (TAG, "listSwitches"),
        ("Tells how the switches stand", "With why, and since when."),
        &[],
    )
    .answer(
        200,
        Answer::new("The switches.")
            .json::<SwitchesBody>(&[("emergency", json!({"kill": never, "emergency": on()}))]),
    )
}

fn set() -> Operation {
    call(
        ("put", "/admin/v1/switches/{name}"),
        (TAG, "setSwitch"),
        (
            "Turns a switch on or off",
            "`kill`: no SMS at all; `emergency`: SMS to known users only. Every replica goes by it within a second.",
        ),
        &[&OF_BODY[..], &[Code::NotFound]].concat(),
    )
    .in_path("name", "Of the switch.", &json!({"type": "string", "enum": ["kill", "emergency"]}), "emergency")
    .body::<SwitchPosition>("application/json", &[("on", json!({"on": true, "reason": "Somebody pumps"}))])
    .answer(200, Answer::new("It stands so.").json::<SwitchBody>(&[("on", on())]))
}
