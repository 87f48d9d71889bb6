//! `/admin/v1/audit`, `/admin/v1/decisions`

use serde_json::{Value, json};

use super::super::operation::{Answer, Operation};
use super::super::problems::REQUEST_ID;
use super::super::schemas::Schemas;
use super::{EVENT_ID, PHONE_INDEX, USER_ID, call, in_pages, query, with_id};
use crate::audit::{Action, Outcome};
use crate::http::admin::audit::{EventBody, PageBody};
use crate::http::codes::Code;

const TAG: &str = "Audit";
const SINCE: &str = "2026-11-23T00:00:00Z";
const UNTIL: &str = "2026-11-24T00:00:00Z";

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<PageBody>().with::<EventBody>()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![list(), export(), decision()]
}

fn event() -> Value {
    json!({
        "id": EVENT_ID,
        "at": "2026-11-23T07:03:24.120Z",
        "action": Action::OtpSend.name(),
        "outcome": Outcome::Refused.name(),
        "reason": "prefix_budget",
        "actor": "client:web",
        "phone_index": PHONE_INDEX,
        "address_key": "qo1u0m7yq2s5V4pXw6cQdg",
        "user_id": null,
        "request_id": null,
        "session_id": null,
        "trace_id": "01a207374da87c5d96e90c829bc0fa1b",
        "detail": {"prefix": "9198"},
    })
}

fn list() -> Operation {
    let text = || json!({"type": "string"});
    let id = || json!({"type": "string", "format": "uuid"});
    let time = || json!({"type": "string", "format": "date-time"});
    let filters = [
        (
            "action",
            "What.",
            json!({"type": "string", "enum": Action::ALL.map(Action::name)}),
            json!("otp.send"),
        ),
        (
            "outcome",
            "How it ended.",
            json!({"type": "string", "enum": Outcome::ALL.map(Outcome::name)}),
            json!("refused"),
        ),
        (
            "actor",
            "Who did it: `admin`, `admin:<id>`, `client:<id>` or `service`.",
            text(),
            json!("admin:ann"),
        ),
        (
            "reason",
            "Why it ended so.",
            json!({"type": "string", "pattern": "^[a-z0-9_.]{1,64}$"}),
            json!("prefix_budget"),
        ),
        ("user_id", "Whom it is about.", id(), json!(USER_ID)),
        (
            "phone_index",
            "Which phone it is about, as a lookup tells it.",
            text(),
            json!(PHONE_INDEX),
        ),
        (
            "request_id",
            "Which request it is about.",
            id(),
            json!(REQUEST_ID),
        ),
        ("since", "Not before.", time(), json!(SINCE)),
        ("until", "Before.", time(), json!(UNTIL)),
    ];
    let found = call(
        ("get", "/admin/v1/audit"),
        (TAG, "listEvents"),
        (
            "Tells who did what",
            "The newest first. What is named of an event must all hold.",
        ),
        &[Code::InvalidRequest],
    );
    let found = filters
        .into_iter()
        .fold(found, |found, (name, what, schema, example)| {
            found.parameter(query(name, what, &schema, &example))
        });
    in_pages(found, 100, 1000, "AaIHN02Qe72PLjpnXRwLRA").answer(
        200,
        Answer::new("The events.")
            .json::<PageBody>(&[("one", json!({"events": [event()], "next": null}))]),
    )
}

fn export() -> Operation {
    let time = json!({"type": "string", "format": "date-time"});
    let lines = format!("{}\n", event());
    call(
        ("get", "/admin/v1/audit/export"),
        (TAG, "exportEvents"),
        (
            "Gives all events of a span",
            "One JSON object a line, the oldest first. An answer that breaks off is not whole: its last chunk is \
             missing.",
        ),
        &[Code::InvalidRequest],
    )
    .parameter(query("since", "Not before; from the first on if left out.", &time, &json!(SINCE)))
    .parameter(query("until", "Before; until now if left out.", &time, &json!(UNTIL)))
    .answer(
        200,
        Answer::new("The events.").body(
            "application/x-ndjson",
            &json!({"type": "string"}),
            &[("one", json!(lines))],
        ),
    )
}

fn decision() -> Operation {
    let found = call(
        ("get", "/admin/v1/decisions/{id}"),
        (TAG, "readDecision"),
        (
            "Tells why a code was not sent",
            "By the `decision_id` of the refusal.",
        ),
        &[Code::NotFound],
    );
    with_id(found, "id", "The `decision_id`.", EVENT_ID).answer(
        200,
        Answer::new("The event.").json::<EventBody>(&[("refused", event())]),
    )
}
