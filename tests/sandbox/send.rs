//! `POST /otp/send` in service mode: the bytes of success and of every refusal.

use otp_auth::sandbox::{ApiKeyRule, Mode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PHONE, Rig, START, failure, service_body};

#[tokio::test]
async fn a_send_is_answered_with_the_real_servers_bytes_and_headers() {
    let rig = Rig::service();

    let answer = rig.send(PHONE).await;

    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(answer.header("x-ratelimit-limit"), Some("200"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("199"));
    assert_eq!(answer.header("x-ratelimit-reset"), Some("10"));
    assert_eq!(
        answer.masked(),
        format!(
            r#"{{"success":true,"statusCode":201,"requestId":"<req>","timestamp":"{START}","data":{{"otpRequestId":"<uuid>","messageId":"<uuid>","status":"sent","phoneNumber":"{PHONE}","createdAt":"{START}"}}}}"#
        )
    );
}

#[tokio::test]
async fn the_sms_is_recorded_with_the_id_text_and_code_of_the_send() {
    let rig = Rig::service();

    let answer = rig.send(PHONE).await;

    let messages = rig.handle.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(answer.json()["data"]["messageId"], json!(messages[0].id));
    assert_eq!(messages[0].phone_number, PHONE);
    assert_eq!(messages[0].code, "123456");
    assert_eq!(
        messages[0].text,
        "Your verification code is 123456. Valid for 5 minutes."
    );
    assert_eq!(messages[0].idempotency_key, None);
}

#[tokio::test]
async fn the_text_names_the_application_and_the_minutes_it_was_given() {
    let cases = [
        (
            json!({ "otp": "4711" }),
            "Your verification code is 4711. Valid for 5 minutes.",
            "4711",
        ),
        (
            json!({ "otp": "123456", "appName": "Acme", "expiry": 10 }),
            "Your Acme verification code is 123456. Valid for 10 minutes.",
            "123456",
        ),
        (
            json!({ "otp": 123_456, "link": "dropped" }),
            "Your verification code is 123456. Valid for 5 minutes.",
            "123456",
        ),
        // The carrier takes the first run of 4 to 6 digits for the code, as the real one does.
        (
            json!({ "otp": "123456", "appName": "Shop2024" }),
            "Your Shop2024 verification code is 123456. Valid for 5 minutes.",
            "2024",
        ),
    ];
    let rig = Rig::with(Mode::Service, |options| options.number_limit = false);

    for (variables, text, code) in cases {
        let body = json!({ "phoneNumber": PHONE, "variables": variables, "extra": 1 });

        assert_eq!(
            rig.post("/otp/send", &body).await.status,
            201,
            "{variables}"
        );

        let newest = &rig.handle.messages()[0];
        assert_eq!(
            (newest.text.as_str(), newest.code.as_str()),
            (text, code),
            "{variables}"
        );
    }
}

fn invalid(rules: &[&str]) -> String {
    let details: Vec<_> = rules
        .iter()
        .map(|rule| format!(r#"{{"message":"{rule}"}}"#))
        .collect();
    failure(400, "VALIDATION_ERROR", rules[0])
        .replace("}}", &format!(r#","details":[{}]}}}}"#, details.join(",")))
}

#[tokio::test]
async fn a_broken_body_is_answered_with_the_first_rule_and_all_of_them_as_details() {
    let phone = "Phone number must be in E.164 format";
    let cases: [(Value, &[&str]); 4] = [
        (
            json!({ "phoneNumber": PHONE, "idempotencyKey": "k1" }),
            &[
                "variables must be a non-empty object",
                "variables must be an object",
            ],
        ),
        (
            json!({ "phoneNumber": "98765", "variables": { "otp": "123456" } }),
            &[phone],
        ),
        (
            json!({ "phoneNumber": PHONE, "variables": { "otp": "1234567" } }),
            &["variables.OTP must be a 4-6 digit numeric string"],
        ),
        (
            json!({ "phoneNumber": PHONE, "templateId": "YOUR_TEMPLATE_ID",
                "variables": { "otp": "123456" } }),
            &["templateId must be a UUID"],
        ),
    ];
    let rig = Rig::service();

    for (body, rules) in cases {
        let answer = rig.post("/otp/send", &body).await;

        assert_eq!(
            (answer.status, answer.masked()),
            (400, invalid(rules)),
            "{body}"
        );
        assert_eq!(answer.header("x-ratelimit-limit"), Some("200"), "{body}");
    }
    assert_eq!(rig.handle.messages(), []);
}

#[tokio::test]
async fn only_the_header_x_api_key_authenticates() {
    let rig = Rig::with(Mode::Service, |options| options.api_key = ApiKeyRule::Live);
    let required = failure(401, "UNAUTHORIZED", "Authentication required");
    let unknown = failure(401, "UNAUTHORIZED", "Invalid API key");
    let cases = [
        (None, &required),
        (Some(("Authorization", "Bearer sm_live_0123")), &required),
        (Some(("X-API-Key", "")), &required),
        (Some(("X-API-Key", "sm_live_")), &unknown),
        (Some(("X-API-Key", "sk_test_0123")), &unknown),
    ];

    for (header, expected) in cases {
        let mut request = rig
            .request(Method::POST, "/otp/send")
            .json(&service_body(PHONE));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = rig.answer(request).await;

        assert_eq!(
            (answer.status, &answer.masked()),
            (401, expected),
            "{header:?}"
        );
        assert!(
            answer.header("x-ratelimit-remaining").is_some(),
            "{header:?}"
        );
    }
    assert_eq!(rig.send(PHONE).await.status, 201);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_before_anything_else() {
    let rig = Rig::service();
    let expected = failure(
        400,
        "INVALID_INPUT",
        "Expected property name or '}' in JSON at position 1",
    );

    for path in ["/otp/send", "/otp/verify", "/nowhere"] {
        let request = rig
            .request(Method::POST, path)
            .header("Content-Type", "application/json")
            .body("{phoneNumber:1}");
        let answer = rig.answer(request).await;

        assert_eq!(
            (answer.status, answer.masked()),
            (400, expected.clone()),
            "{path}"
        );
        assert_eq!(answer.header("x-ratelimit-limit"), None, "{path}");
    }
}

#[tokio::test]
async fn a_body_over_one_hundred_kilobytes_is_an_internal_error() {
    let rig = Rig::with(Mode::Service, |options| options.number_limit = false);
    let base = service_body(PHONE).to_string().len() + r#","pad":"""#.len();

    for (size, status) in [
        (102_399, 201),
        (102_400, 201),
        (102_401, 500),
        (1_000_000, 500),
    ] {
        let mut body = service_body(PHONE);
        body["pad"] = json!("x".repeat(size - base));
        let answer = rig.post("/otp/send", &body).await;

        assert_eq!(body.to_string().len(), size);
        assert_eq!(answer.status, status, "{size} bytes");
        if status == 500 {
            let expected = failure(500, "INTERNAL_ERROR", "Internal server error");
            assert_eq!(answer.masked(), expected, "{size} bytes");
        }
    }
}

#[tokio::test]
async fn a_route_that_does_not_exist_is_a_404_that_needs_no_key() {
    let rig = Rig::service();
    let cases = [
        (Method::POST, "/otp/verify"),
        (Method::POST, "/otp/resend"),
        (Method::GET, "/otp/send"),
        (Method::POST, "/v1/auth/send-otp?x=1"),
        (Method::POST, "/"),
    ];

    for (method, path) in cases {
        let answer = rig.answer(rig.request(method.clone(), path)).await;

        let expected = failure(404, "NOT_FOUND", &format!("Cannot {method} {path}"));
        assert_eq!((answer.status, answer.masked()), (404, expected));
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
}

#[tokio::test]
async fn a_wallet_below_the_price_of_one_message_refuses_the_send() {
    let rig = Rig::with(Mode::Service, |options| options.number_limit = false);

    for (paise, status) in [(24, 400), (25, 201), (26, 201)] {
        rig.handle.set_balance_paise(paise);
        let answer = rig.send(PHONE).await;

        assert_eq!(answer.status, status, "{paise} paise");
        if status == 400 {
            let expected = failure(400, "INSUFFICIENT_BALANCE", "Insufficient balance");
            assert_eq!(answer.masked(), expected);
        }
    }
}

#[tokio::test]
async fn an_idempotency_key_is_noted_but_sends_twice() {
    let rig = Rig::service();
    let mut body = service_body(PHONE);
    body["idempotencyKey"] = json!("order-7");

    rig.post("/otp/send", &body).await;
    rig.post("/otp/send", &body).await;

    let keys: Vec<_> = rig
        .handle
        .messages()
        .into_iter()
        .map(|sms| sms.idempotency_key)
        .collect();
    assert_eq!(
        keys,
        [Some("order-7".to_owned()), Some("order-7".to_owned())]
    );
}
