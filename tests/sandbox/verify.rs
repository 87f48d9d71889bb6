//! Dialect A: the provider makes the code and checks it.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{Answer, PHONE, Rig, START, failure};

/// Sends, and returns the request id and the code that the phone got.
async fn sent(rig: &Rig) -> (Value, String) {
    let answer = rig.vendor_send(PHONE, "key-1").await;
    assert_eq!(answer.status, 201);
    (
        answer.json()["data"]["requestId"].clone(),
        rig.handle.messages()[0].code.clone(),
    )
}

async fn verify(rig: &Rig, id: &Value, code: &str) -> Answer {
    rig.post("/otp/verify", &json!({ "requestId": id, "otpCode": code }))
        .await
}

fn wrong(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

#[tokio::test]
async fn a_send_answers_with_the_members_of_the_tutorials() {
    let rig = Rig::vendor();

    let answer = rig.vendor_send(PHONE, "key-1").await;

    assert_eq!(
        answer.masked(),
        format!(
            r#"{{"success":true,"statusCode":201,"requestId":"<req>","timestamp":"{START}","data":{{"requestId":"<uuid>","expiresAt":"2026-11-02T09:20:30.123Z","attemptsLeft":3}}}}"#
        )
    );
    let message = &rig.handle.messages()[0];
    assert_eq!(message.code.len(), 6);
    assert_eq!(
        message.text,
        format!(
            "Your verification code is {}. Valid for 5 minutes.",
            message.code
        )
    );
    assert_eq!(message.idempotency_key.as_deref(), Some("key-1"));
}

#[tokio::test]
async fn a_repeated_key_gets_the_same_bytes_and_no_second_sms() {
    let rig = Rig::vendor();

    let first = rig.vendor_send(PHONE, "key-1").await;
    rig.clock
        .advance(TimeDelta::hours(24) - TimeDelta::milliseconds(1));
    let repeated = rig.vendor_send(PHONE, "key-1").await;
    rig.clock.advance(TimeDelta::milliseconds(1));
    let after_a_day = rig.vendor_send(PHONE, "key-1").await;

    assert_eq!(
        (first.status, &first.text),
        (repeated.status, &repeated.text)
    );
    assert_ne!(first.text, after_a_day.text);
    assert_eq!(rig.handle.messages().len(), 2);
}

#[tokio::test]
async fn a_key_that_comes_with_another_number_is_a_conflict() {
    let rig = Rig::vendor();
    rig.vendor_send(PHONE, "key-1").await;

    let answer = rig.vendor_send("+919876543211", "key-1").await;

    let text = "This idempotencyKey was used for another phone number";
    assert_eq!(answer.masked(), failure(409, "CONFLICT", text));
    assert_eq!(rig.handle.messages().len(), 1);
}

#[tokio::test]
async fn a_send_whose_answer_was_lost_is_replayed() {
    let rig = Rig::vendor();
    rig.arm(json!({ "kind": "reset_after_send", "times": 1 }))
        .await;
    let body = json!({ "phoneNumber": PHONE, "idempotencyKey": "key-1" });
    let lost = rig
        .request(reqwest::Method::POST, "/otp/send")
        .header("X-API-Key", "k")
        .json(&body)
        .send()
        .await;

    let (id, code) = sent(&rig).await;

    assert!(lost.is_err());
    assert_eq!(rig.handle.messages().len(), 1);
    assert_eq!(verify(&rig, &id, &code).await.status, 200);
}

#[tokio::test]
async fn the_right_code_verifies_once() {
    let rig = Rig::vendor();
    let (id, code) = sent(&rig).await;

    let right = verify(&rig, &id, &code).await;
    let again = verify(&rig, &id, &code).await;

    assert_eq!(right.status, 200);
    assert_eq!(
        right.masked(),
        format!(
            r#"{{"success":true,"statusCode":200,"requestId":"<req>","timestamp":"{START}","data":{{"verified":true}}}}"#
        )
    );
    let used = failure(400, "ALREADY_VERIFIED", "OTP has already been verified");
    assert_eq!(again.masked(), used);
}

#[tokio::test]
async fn three_wrong_codes_spend_the_request() {
    let rig = Rig::vendor();
    let (id, code) = sent(&rig).await;

    for _ in 0..3 {
        let answer = verify(&rig, &id, wrong(&code)).await;
        assert_eq!(
            answer.masked(),
            failure(400, "OTP_INVALID", "Invalid OTP code")
        );
    }
    let right_but_late = verify(&rig, &id, &code).await;

    let spent = failure(
        400,
        "MAX_ATTEMPTS_EXCEEDED",
        "Maximum verification attempts exceeded",
    );
    assert_eq!(right_but_late.masked(), spent);
}

#[tokio::test]
async fn two_wrong_codes_leave_one_try() {
    let rig = Rig::vendor();
    let (id, code) = sent(&rig).await;
    verify(&rig, &id, wrong(&code)).await;
    verify(&rig, &id, wrong(&code)).await;

    assert_eq!(verify(&rig, &id, &code).await.status, 200);
}

#[tokio::test]
async fn a_code_lives_for_five_minutes() {
    for (millis, status) in [(299_999, 200), (300_000, 410), (300_001, 410)] {
        let rig = Rig::vendor();
        let (id, code) = sent(&rig).await;
        rig.clock.advance(TimeDelta::milliseconds(millis));

        let answer = verify(&rig, &id, &code).await;

        assert_eq!(answer.status, status, "after {millis} ms");
        if status == 410 {
            assert!(
                answer
                    .text
                    .contains(r#""error":{"code":"OTP_EXPIRED","message":"OTP has expired"}"#)
            );
        }
    }
}

#[tokio::test]
async fn an_unknown_request_and_a_broken_body_are_400() {
    let rig = Rig::vendor();

    let unknown = verify(
        &rig,
        &json!("0b0c6f6e-3f0e-4b52-9f63-3c0f0b7a5c11"),
        "123456",
    )
    .await;
    let no_uuid = verify(&rig, &json!("7"), "123456").await;
    let broken = rig.post("/otp/verify", &json!({})).await;

    let expected = failure(400, "INVALID_REQUEST_ID", "Unknown requestId");
    assert_eq!(
        (unknown.masked(), no_uuid.masked()),
        (expected.clone(), expected)
    );
    assert_eq!(
        broken.json()["error"]["message"],
        "requestId must be a string"
    );
    assert_eq!(
        broken.json()["error"]["details"][1]["message"],
        "otpCode must be a string"
    );
}

#[tokio::test]
async fn a_verify_without_a_key_is_401() {
    let rig = Rig::vendor();

    let request = rig
        .request(reqwest::Method::POST, "/otp/verify")
        .json(&json!({}));
    let answer = rig.answer(request).await;

    assert_eq!(
        answer.masked(),
        failure(401, "UNAUTHORIZED", "Authentication required")
    );
}
