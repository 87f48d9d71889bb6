//! The document of the admin listener.

mod audit;
mod health;
mod keys;
mod phones;
mod rules;
mod sessions;
mod switches;

use serde_json::{Value, json};
use uuid::Uuid;

use super::operation::Operation;
use super::schemas::Schemas;
use super::{components, info, paths, pruned};
use crate::http::admin::roles;
use crate::http::codes::Code;

const DESCRIPTION: &str = "\
What operators see and decide. It is on the admin listener only.

Each call takes the token of an operator, `secrets.admin_token` or one of `[[admin_tokens]]`, whose role may make it: \
`viewer` reads what names no person, `support` helps one person, `owner` may all. Each is in the audit log before it \
is carried out, as `admin.call`; what is changed has an event of its own, in the same transaction. Errors are \
`application/problem+json` (RFC 9457).";

/// The document of a service with this issuer.
pub(super) fn document(issuer: &str) -> Value {
    let operations = [
        audit::operations(),
        rules::operations(),
        switches::operations(),
        phones::operations(),
        sessions::operations(),
        keys::operations(),
        health::operations(),
    ];
    let schemas = [
        audit::schemas,
        rules::schemas,
        switches::schemas,
        phones::schemas,
        sessions::schemas,
        keys::schemas,
    ];
    let schemas = schemas
        .into_iter()
        .fold(Schemas::default(), |all, add| add(all));
    let bearer = json!({
        "type": "http",
        "scheme": "bearer",
        "description": "An operator: `secrets.admin_token`, or one of `[[admin_tokens]]`.",
    });
    pruned(json!({
        "openapi": super::VERSION,
        "info": info("otp-auth, for operators", DESCRIPTION),
        // Wherever it was fetched.
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "Audit", "description": "Who did what."},
            {"name": "Rules", "description": "Whom to block or let through."},
            {"name": "Switches", "description": "What is turned on and off for everybody."},
            {"name": "People", "description": "One person: the phone, the sessions, the right to be forgotten."},
            {"name": "Keys", "description": "The keys that tokens are signed with."},
            {"name": "Health", "description": "What supervisors and Prometheus ask."},
        ],
        "paths": paths(operations.into_iter().flatten()),
        "components": components(issuer, schemas, &json!({"operator": bearer})),
    }))
}

/// A call of an operator, with the problems that all of them can end with and these.
fn call(
    (method, path): (&'static str, &'static str),
    (tag, id): (&str, &str),
    (summary, description): (&str, &str),
    problems: &[Code],
) -> Operation {
    let least =
        roles::least(&method.to_ascii_uppercase(), path).map_or("owner", |role| role.name());
    let description = format!("{description} Least role: `{least}`.");
    let usual = [
        Code::InvalidToken,
        Code::InsufficientScope,
        Code::ServiceUnavailable,
    ];
    Operation::new((method, path), (tag, id), summary, &description)
        .security(json!([{"operator": []}]))
        .problems(&[&usual[..], problems].concat())
}

/// What a call with a JSON body can end with.
const OF_BODY: [Code; 4] = [
    Code::InvalidRequest,
    Code::RequestTimeout,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
];

fn query(name: &str, description: &str, schema: &Value, example: &Value) -> Value {
    json!({
        "name": name,
        "in": "query",
        "description": description,
        "schema": schema,
        "example": example,
    })
}

/// The parameters of a list that comes in pages.
fn in_pages(call: Operation, usual: u16, most: u16, cursor: &str) -> Operation {
    let limit = json!({"type": "integer", "minimum": 1, "maximum": most, "default": usual});
    let text = json!({"type": "string"});
    call.parameter(query("limit", "How many at most.", &limit, &json!(usual)))
        .parameter(query(
            "cursor",
            "`next` of the page before.",
            &text,
            &json!(cursor),
        ))
}

fn with_id(call: Operation, name: &str, description: &str, example: Uuid) -> Operation {
    let id = json!({"type": "string", "format": "uuid"});
    call.in_path(name, description, &id, &example.to_string())
}

const USER_ID: Uuid = Uuid::from_u128(0x7c3f_23f2_5302_42b8_a93e_d130_6e5b_f0d0);
const SESSION_ID: Uuid = Uuid::from_u128(0x01a2_0737_4da8_7c5d_96e9_0c82_9bc0_fa1b);
const EVENT_ID: Uuid = Uuid::from_u128(0x01a2_0737_4d90_7bbd_8f2e_3a67_5d1c_0b44);
const RULE_ID: Uuid = Uuid::from_u128(0x01a2_0737_5c22_7e13_a0f4_61b9_e2a7_90d5);
const PHONE_INDEX: &str = "9b3Jm0vLZ0H8Xo1u0m7yq2s5V4pXw6cQd1eRtY8uI0o";
const KID: &str = "8wmIhiJ2McLa4lNzyGoMGowYJNASxaMG_cy9TtqD8jw";
const REASON: &str = "Ticket 4711: floods us";
