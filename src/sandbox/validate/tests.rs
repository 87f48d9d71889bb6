//! The rules, against what the real server's libraries answered.

use serde_json::json;

use super::*;

const EMPTY: &str = "variables must be a non-empty object";
const OBJECT: &str = "variables must be an object";
const NESTED: &str = "nested property variables must be either object or array";
const OTP: &str = "variables.OTP must be a 4-6 digit numeric string";
const OTP_TEXT: &str = "variables.otp must be a string";
const PHONE_TEXT: &str = "phoneNumber must be a string";
const TEMPLATE: &str = "templateId must be a UUID";

fn broken(body: &Value) -> Vec<String> {
    service_send(body.as_object().unwrap())
        .err()
        .unwrap_or_default()
}

/// The expected lists are what `NestJS` 11 with class-validator 0.14.3 answered to these bodies.
fn broken_bodies() -> [(Value, &'static [&'static str]); 22] {
    let phone = "+919876543210";
    let good = json!({ "otp": "123456" });
    [
        (json!({}), &[PHONE_RULE, PHONE_TEXT, EMPTY, OBJECT]),
        (
            json!({ "phoneNumber": phone, "idempotencyKey": "k" }),
            &[EMPTY, OBJECT],
        ),
        (
            json!({ "phoneNumber": phone, "variables": {} }),
            &[OTP, OTP_TEXT],
        ),
        (
            json!({ "phoneNumber": phone, "variables": null }),
            &[EMPTY, OBJECT, NESTED],
        ),
        (
            json!({ "phoneNumber": phone, "variables": "x" }),
            &[EMPTY, OBJECT, NESTED],
        ),
        (
            json!({ "phoneNumber": phone, "variables": [] }),
            &[EMPTY, OBJECT],
        ),
        (
            json!({ "phoneNumber": phone, "variables": { "otp": "123" } }),
            &[OTP],
        ),
        (
            json!({ "phoneNumber": phone, "variables": { "otp": "1234567" } }),
            &[OTP],
        ),
        (
            json!({ "phoneNumber": phone, "variables": { "otp": "12a4" } }),
            &[OTP],
        ),
        (
            json!({ "phoneNumber": phone, "variables": { "otp": null } }),
            &[OTP, OTP_TEXT],
        ),
        (
            json!({ "phoneNumber": phone, "variables": { "otp": ["1234"] } }),
            &[OTP, OTP_TEXT],
        ),
        (
            json!({ "phoneNumber": phone, "variables": { "otp": { "a": 1 } } }),
            &[OTP],
        ),
        (
            json!({ "phoneNumber": phone, "variables": { "otp": true } }),
            &[OTP],
        ),
        (
            json!({ "phoneNumber": phone,
                "variables": { "otp": "123456", "appName": {}, "expiry": [1] } }),
            &["variables.expiry must be a string"],
        ),
        (
            json!({ "phoneNumber": 919_876_543_210_u64, "variables": good }),
            &[PHONE_RULE],
        ),
        (
            json!({ "phoneNumber": null, "variables": good }),
            &[PHONE_RULE, PHONE_TEXT],
        ),
        (
            json!({ "phoneNumber": [phone], "variables": good }),
            &[PHONE_RULE, PHONE_TEXT],
        ),
        (
            json!({ "phoneNumber": "919876543210", "variables": good }),
            &[PHONE_RULE],
        ),
        (
            json!({ "phoneNumber": phone, "templateId": "x", "variables": good }),
            &[TEMPLATE],
        ),
        (
            json!({ "phoneNumber": phone, "variables": good,
                "templateId": "6b1d0c1e-6d0b-9b7e-9a7e-0f4a1c2d3e4f" }),
            &[TEMPLATE],
        ),
        (
            json!({ "phoneNumber": phone, "variables": good,
                "templateId": "6b1d0c1e-6d0b-4b7e-1a7e-0f4a1c2d3e4f" }),
            &[TEMPLATE],
        ),
        (
            json!({ "phoneNumber": "1", "templateId": "x",
                "variables": { "otp": "1", "appName": ["a"] } }),
            &[
                PHONE_RULE,
                TEMPLATE,
                OTP,
                "variables.appName must be a string",
            ],
        ),
    ]
}

#[test]
fn a_broken_body_gets_the_sentences_of_class_validator_in_its_order() {
    for (body, expected) in broken_bodies() {
        assert_eq!(broken(&body), expected, "{body}");
    }
}

#[test]
fn numbers_become_strings_and_unknown_members_are_dropped() {
    let body = json!({ "phoneNumber": "+919876543210", "templateId": null, "otp": "9999",
        "variables": { "otp": 123_456, "appName": 5, "expiry": true, "other": "x" } });

    let send = service_send(body.as_object().unwrap()).unwrap();

    assert_eq!(send.otp, "123456");
    assert_eq!(send.app_name.as_deref(), Some("5"));
    assert_eq!(send.expiry.as_deref(), Some("true"));
    assert_eq!(
        broken(&json!({ "phoneNumber": "+919876543210", "variables": { "otp": 1e5 } })),
        [""; 0]
    );
}

#[test]
fn the_length_limits_of_numbers_and_codes_are_exact() {
    for (digits, fine) in [
        (6, false),
        (7, true),
        (8, true),
        (14, true),
        (15, true),
        (16, false),
    ] {
        assert_eq!(
            is_e164(&format!("+{}", "1".repeat(digits))),
            fine,
            "{digits} digits"
        );
    }
    for (digits, fine) in [(3, false), (4, true), (5, true), (6, true), (7, false)] {
        let body = json!({ "phoneNumber": "+919876543210",
            "variables": { "otp": "1".repeat(digits) } });
        assert_eq!(broken(&body).is_empty(), fine, "{digits} digits");
    }
}
