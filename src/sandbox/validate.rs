//! The rules a body must keep, and the sentences of those it breaks, in the real server's order.
//!
//! The real server strips unknown members instead of refusing them, and turns numbers, booleans
//! and objects into strings before it looks at them; arrays stay arrays and fail.

use serde_json::Value;
use uuid::{Uuid, Variant};

use super::body::Members;
use super::refusal::Refusal;

const PHONE_RULE: &str = "Phone number must be in E.164 format";
/// The longest idempotency key, in characters.
const MAX_KEY_CHARS: usize = 255;

// None of these three has a `Debug`: they hold numbers and codes in clear.

/// A send as the real server takes it.
pub(super) struct ServiceSend {
    /// `+` and 7 to 15 digits, the first not zero.
    pub(super) phone_number: String,
    /// 4 to 6 digits, made by the caller.
    pub(super) otp: String,
    /// Names the sender in the text.
    pub(super) app_name: Option<String>,
    /// Minutes, only shown in the text.
    pub(super) expiry: Option<String>,
}

/// A send as the tutorials (dialect A) write it.
pub(super) struct VendorSend {
    /// `+` and 7 to 15 digits, the first not zero.
    pub(super) phone_number: String,
    /// Makes a repeated send give the first one's answer.
    pub(super) idempotency_key: Option<String>,
}

/// A check of a code as the tutorials (dialect A) write it.
pub(super) struct VendorVerify {
    /// `data.requestId` of the send.
    pub(super) request_id: String,
    /// What the user typed.
    pub(super) otp_code: String,
}

/// What a number that breaks its rule is answered.
pub(super) fn broken_phone_rule() -> Refusal {
    Refusal::Invalid(vec![PHONE_RULE.to_owned()])
}

/// # Errors
/// The sentences of all broken rules.
pub(super) fn service_send(body: &Members) -> Result<ServiceSend, Vec<String>> {
    let mut broken = Vec::new();
    let phone_number = phone_number(body, &mut broken);
    if !is_absent_or_uuid(body.get("templateId")) {
        broken.push("templateId must be a UUID".to_owned());
    }
    let empty = Members::new();
    let variables = variables(body.get("variables"), &mut broken).unwrap_or(&empty);
    let checked = body.get("variables").is_some_and(Value::is_object);
    let otp = if checked {
        otp(variables, &mut broken)
    } else {
        String::new()
    };
    let app_name = optional_text(variables, "appName", "variables.", &mut broken);
    let expiry = optional_text(variables, "expiry", "variables.", &mut broken);
    finish(
        broken,
        ServiceSend {
            phone_number,
            otp,
            app_name,
            expiry,
        },
    )
}

/// # Errors
/// The sentences of all broken rules.
pub(super) fn vendor_send(body: &Members) -> Result<VendorSend, Vec<String>> {
    let mut broken = Vec::new();
    let phone_number = phone_number(body, &mut broken);
    let idempotency_key = optional_text(body, "idempotencyKey", "", &mut broken);
    if idempotency_key
        .as_ref()
        .is_some_and(|key| key.chars().count() > MAX_KEY_CHARS)
    {
        broken.push(format!(
            "idempotencyKey must be shorter than or equal to {MAX_KEY_CHARS} characters"
        ));
    }
    finish(
        broken,
        VendorSend {
            phone_number,
            idempotency_key,
        },
    )
}

/// # Errors
/// The sentences of all broken rules.
pub(super) fn vendor_verify(body: &Members) -> Result<VendorVerify, Vec<String>> {
    let mut broken = Vec::new();
    let mut required = |name: &str| match coerce(body.get(name)) {
        Coerced::Text(text) => text,
        Coerced::Absent | Coerced::NoText => {
            broken.push(format!("{name} must be a string"));
            String::new()
        }
    };
    let (request_id, otp_code) = (required("requestId"), required("otpCode"));
    finish(
        broken,
        VendorVerify {
            request_id,
            otp_code,
        },
    )
}

/// What a send says of itself, whether or not the server it went to knows such a member: tests
/// count repeated sends by it.
pub(super) fn idempotency_key(body: &Members) -> Option<String> {
    let key = body.get("idempotencyKey")?.as_str()?;
    Some(key.chars().take(MAX_KEY_CHARS).collect())
}

fn finish<T>(broken: Vec<String>, value: T) -> Result<T, Vec<String>> {
    if broken.is_empty() {
        Ok(value)
    } else {
        Err(broken)
    }
}

fn phone_number(body: &Members, broken: &mut Vec<String>) -> String {
    let value = coerce(body.get("phoneNumber"));
    if let Coerced::Text(text) = &value
        && is_e164(text)
    {
        return text.clone();
    }
    broken.push(PHONE_RULE.to_owned());
    if !matches!(value, Coerced::Text(_)) {
        broken.push("phoneNumber must be a string".to_owned());
    }
    String::new()
}

fn variables<'a>(value: Option<&'a Value>, broken: &mut Vec<String>) -> Option<&'a Members> {
    if let Some(Value::Object(members)) = value {
        return Some(members);
    }
    broken.push("variables must be a non-empty object".to_owned());
    broken.push("variables must be an object".to_owned());
    if value.is_some_and(|value| !value.is_array()) {
        broken.push("nested property variables must be either object or array".to_owned());
    }
    None
}

fn otp(variables: &Members, broken: &mut Vec<String>) -> String {
    let value = coerce(variables.get("otp"));
    if let Coerced::Text(text) = &value
        && (4..=6).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
    {
        return text.clone();
    }
    broken.push("variables.OTP must be a 4-6 digit numeric string".to_owned());
    if !matches!(value, Coerced::Text(_)) {
        broken.push("variables.otp must be a string".to_owned());
    }
    String::new()
}

fn optional_text(
    body: &Members,
    name: &str,
    prefix: &str,
    broken: &mut Vec<String>,
) -> Option<String> {
    match coerce(body.get(name)) {
        Coerced::Absent => None,
        Coerced::Text(text) => Some(text),
        Coerced::NoText => {
            broken.push(format!("{prefix}{name} must be a string"));
            None
        }
    }
}

/// `^\+[1-9]\d{6,14}$`
fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

/// The UUIDs that class-validator takes: versions 1 to 8 of the RFC variant, nil and max.
fn is_absent_or_uuid(value: Option<&Value>) -> bool {
    let text = match coerce(value) {
        Coerced::Absent => return true,
        Coerced::Text(text) if text.len() == 36 => text,
        Coerced::Text(_) | Coerced::NoText => return false,
    };
    Uuid::try_parse(&text).is_ok_and(|id| {
        let known = id.get_variant() == Variant::RFC4122 && (1..=8).contains(&id.get_version_num());
        known || id.is_nil() || id.is_max()
    })
}

/// A JSON value after JavaScript's `String(value)`.
enum Coerced {
    Absent,
    Text(String),
    NoText,
}

fn coerce(value: Option<&Value>) -> Coerced {
    match value {
        None | Some(Value::Null) => Coerced::Absent,
        Some(Value::String(text)) => Coerced::Text(text.clone()),
        Some(Value::Bool(value)) => Coerced::Text(value.to_string()),
        Some(Value::Number(number)) => Coerced::Text(number_text(number)),
        Some(Value::Object(_)) => Coerced::Text("[object Object]".to_owned()),
        Some(Value::Array(_)) => Coerced::NoText,
    }
}

/// JavaScript writes a whole number without a point: `1e5` and `100000.0` are `100000`.
fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if !number.is_i64() && !number.is_u64() && value.fract() == 0.0 => {
            format!("{value:.0}")
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests;
