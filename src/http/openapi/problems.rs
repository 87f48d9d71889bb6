//! The problems: a schema and an example for each code, and the answers that hold them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::operation::Answer;
use super::schemas;
use crate::http::codes::Code;
use crate::http::problem::Problem;
use crate::limit::{Limit, Refusal};
use crate::otp::code::CodeError;
use crate::otp::request::RequestId;
use crate::otp::send::SendError;
use crate::provider::ProviderError;
use crate::sign_in::SignInError;

/// Ids of the examples.
pub(super) const REQUEST_ID: Uuid = Uuid::from_u128(0x01a2_0737_4d79_745c_a01a_0c90_2045_2ce3);
const TRACE_ID: &str = "01a207374da87c5d96e90c829bc0fa1b";

/// Members beside the usual ones: their schemas, and which of them are always there.
fn members(code: Code) -> (Value, &'static [&'static str]) {
    let seconds = || json!({"type": "integer", "minimum": 1, "description": "Seconds to wait."});
    let decision =
        || json!({"type": "string", "format": "uuid", "description": "For the operator."});
    let request = || json!({"type": "string", "format": "uuid"});
    match code {
        Code::InvalidRequest => (json!({"errors": faults()}), &[]),
        Code::OtpIncorrect => (
            json!({
                "verified": {"type": "boolean", "enum": [false]},
                "attempts_remaining": {"type": "integer", "minimum": 0},
            }),
            &["verified", "attempts_remaining"],
        ),
        Code::RateLimited => (
            json!({
                "retry_after": seconds(),
                "limit": {"type": "string", "enum": Limit::ALL.map(Limit::name)},
                "decision_id": decision(),
            }),
            &["retry_after", "limit"],
        ),
        Code::ProviderUnavailable => (
            json!({"retry_after": seconds(), "decision_id": decision()}),
            &["retry_after"],
        ),
        Code::TooManyAttempts | Code::ServiceUnavailable => {
            (json!({"retry_after": seconds()}), &["retry_after"])
        }
        Code::ProviderError => (json!({"request_id": request()}), &[]),
        Code::ProviderTimeout => (json!({"request_id": request()}), &["request_id"]),
        Code::InvalidPhoneNumber
        | Code::PhoneNumberNotAllowed
        | Code::OtpRequestExpired
        | Code::IdempotencyInProgress
        | Code::IdempotencyConflict
        | Code::InvalidClient
        | Code::InvalidToken
        | Code::InsufficientScope
        | Code::OriginNotAllowed
        | Code::NotFound
        | Code::MethodNotAllowed
        | Code::RequestTimeout
        | Code::PayloadTooLarge
        | Code::UnsupportedMediaType
        | Code::InternalError => (json!({}), &[]),
    }
}

/// `errors` of `invalid_request`: each fault, and where in the body it is (RFC 6901).
fn faults() -> Value {
    json!({
        "type": "array",
        "minItems": 1,
        "description": "Missing where the fault is in a header.",
        "items": {
            "type": "object",
            "required": ["pointer", "detail"],
            "properties": {
                "pointer": {"type": "string", "description": "Where in the body (RFC 6901)."},
                "detail": {"type": "string"},
            },
        },
    })
}

/// One as callers get it.
fn example(code: Code) -> Problem {
    let wait = Duration::from_secs(24);
    let failed = |error| {
        let request_id = RequestId(REQUEST_ID);
        Problem::from(SendError::Provider { request_id, error })
    };
    match code {
        Code::InvalidRequest => Problem::field("/code", &CodeError.to_string()),
        Code::OtpIncorrect => Problem::from(SignInError::Incorrect {
            attempts_remaining: 4,
        }),
        Code::TooManyAttempts => Problem::from(SendError::TooManyAttempts {
            wait: Duration::from_mins(30),
        }),
        Code::RateLimited => Problem::from(Refusal {
            limit: Limit::Cooldown,
            wait,
        }),
        Code::ProviderError => failed(ProviderError::SendFailed { status: 502 }),
        Code::ProviderTimeout => failed(ProviderError::TimedOut),
        Code::ProviderUnavailable => failed(ProviderError::BreakerOpen { retry_after: wait }),
        Code::ServiceUnavailable => Problem::new(code).wait(wait),
        Code::InvalidPhoneNumber
        | Code::PhoneNumberNotAllowed
        | Code::OtpRequestExpired
        | Code::IdempotencyInProgress
        | Code::IdempotencyConflict
        | Code::InvalidClient
        | Code::InvalidToken
        | Code::InsufficientScope
        | Code::OriginNotAllowed
        | Code::NotFound
        | Code::MethodNotAllowed
        | Code::RequestTimeout
        | Code::PayloadTooLarge
        | Code::UnsupportedMediaType
        | Code::InternalError => Problem::new(code),
    }
}

/// `InvalidRequest` of `invalid_request`.
fn schema_name(code: Code) -> String {
    let words = code.name().split('_').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or_default();
        first.to_ascii_uppercase() + rest
    });
    format!("Problem{}", words.collect::<String>())
}

fn schema(code: Code) -> Value {
    let (own, required) = members(code);
    let usual = json!({
        "type": {"type": "string", "format": "uri", "description": "A page about this problem."},
        "title": {"type": "string", "enum": [code.title()]},
        "status": {"type": "integer", "enum": [code.status()]},
        "detail": {"type": "string", "description": "What to do about it."},
        "code": {"type": "string", "enum": [code.name()], "description": "Never changes."},
        "request_trace_id": {"type": "string", "description": "The same as `X-Request-Id`."},
    });
    let mut properties = Map::new();
    for part in [usual, own] {
        properties.extend(part.as_object().cloned().unwrap_or_default());
    }
    let always = [
        "type",
        "title",
        "status",
        "detail",
        "code",
        "request_trace_id",
    ];
    let required = [&always[..], required].concat();
    json!({
        "type": "object",
        "description": code.meaning(),
        "required": required,
        "properties": properties,
    })
}

/// The schema of every problem, by its name.
pub(super) fn schemas() -> impl Iterator<Item = (String, Value)> {
    Code::ALL
        .into_iter()
        .map(|code| (schema_name(code), schema(code)))
}

/// An example of every problem, by its code.
pub(super) fn examples(issuer: &str) -> Value {
    let examples = Code::ALL.into_iter().map(|code| {
        let body = example(code).render(issuer, TRACE_ID).body;
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        (
            code.name().to_owned(),
            json!({"summary": code.title(), "value": body}),
        )
    });
    Value::Object(examples.collect())
}

/// Answers with these problems, by their status.
pub(super) fn answers(codes: &[Code]) -> BTreeMap<u16, Answer> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    let answers = by_status.into_iter();
    answers
        .map(|(status, codes)| (status, answer(&codes)))
        .collect()
}

/// One of these problems, which have the same status.
fn answer(codes: &[Code]) -> Answer {
    let titles: Vec<&str> = codes.iter().map(|code| code.title()).collect();
    let mut schemas: Vec<Value> = codes
        .iter()
        .map(|code| schemas::named(&schema_name(*code)))
        .collect();
    let schema = match schemas.as_mut_slice() {
        [one] => one.take(),
        _ => json!({"oneOf": schemas}),
    };
    let examples: Vec<(&str, Value)> = codes
        .iter()
        .map(|code| {
            let component = format!("#/components/examples/{}", code.name());
            (code.name(), json!({"$ref": component}))
        })
        .collect();
    let mut answer = Answer::new(&format!("{}.", titles.join("; or: "))).body(
        "application/problem+json",
        &schema,
        &examples,
    );
    let is_any = |is: fn(Code) -> bool| codes.iter().any(|code| is(*code));
    if is_any(|code| matches!(code.status(), 429 | 503)) {
        answer = answer.header("Retry-After");
    }
    let challenged = codes
        .iter()
        .filter(|code| code.challenge().is_some())
        .count();
    if challenged == codes.len() {
        answer = answer.header("WWW-Authenticate");
    } else if challenged > 0 {
        answer = answer.optional_header("WWW-Authenticate");
    }
    answer
}
