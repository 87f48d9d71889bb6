//! `GET /messages/:id`.

use chrono::TimeDelta;
use reqwest::Method;

use crate::support::{PHONE, Rig, START, failure};

const USER: &str = "5a4db0c5-0000-4000-8000-000000000001";
const KEY: &str = "5a4db0c5-0000-4000-8000-000000000002";

#[tokio::test]
async fn a_message_is_shown_as_the_real_server_shows_it_to_a_customer() {
    let rig = Rig::service();
    let id = rig.send(PHONE).await.json()["data"]["messageId"]
        .as_str()
        .unwrap()
        .to_owned();

    let sent = rig.get(&format!("/messages/{id}")).await;
    rig.clock.advance(TimeDelta::seconds(2));
    let delivered = rig.get(&format!("/messages/{id}")).await;

    let later = "2026-11-02T09:15:32.123Z";
    assert_eq!(sent.status, 200);
    assert_eq!(
        sent.text.split_once(r#""data":"#).unwrap().1,
        format!(
            r#"{{"id":"{id}","userId":"{USER}","apiKeyId":"{KEY}","phoneNumber":"{PHONE}","content":"OTP sent","status":"sent","statusHistory":[{{"status":"sent","timestamp":"{START}"}}],"costAmount":"0.0000","failureReason":null,"sentAt":null,"deliveredAt":null,"createdAt":"{START}","updatedAt":"{START}"}}}}"#
        )
    );
    assert_eq!(
        delivered.text.split_once(r#""data":"#).unwrap().1,
        format!(
            r#"{{"id":"{id}","userId":"{USER}","apiKeyId":"{KEY}","phoneNumber":"{PHONE}","content":"OTP sent","status":"delivered","statusHistory":[{{"status":"sent","timestamp":"{START}"}},{{"status":"delivered","timestamp":"{later}"}}],"costAmount":"0.2500","failureReason":null,"sentAt":null,"deliveredAt":"{later}","createdAt":"{START}","updatedAt":"{later}"}}}}"#
        )
    );
}

#[tokio::test]
async fn an_unknown_id_is_no_error_but_null_data() {
    let rig = Rig::service();

    let answer = rig
        .get("/messages/0b0c6f6e-3f0e-4b52-9f63-3c0f0b7a5c11")
        .await;

    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.masked(),
        format!(
            r#"{{"success":true,"statusCode":200,"requestId":"<req>","timestamp":"{START}","data":null}}"#
        )
    );
    assert_eq!(answer.header("x-ratelimit-limit"), Some("1200"));
    assert_eq!(answer.header("x-ratelimit-reset"), Some("60"));
}

#[tokio::test]
async fn an_id_that_is_no_uuid_is_an_internal_error_and_a_missing_key_a_401() {
    let rig = Rig::service();

    let broken = rig.get("/messages/7").await;
    let keyless = rig.answer(rig.request(Method::GET, "/messages/7")).await;

    assert_eq!(
        broken.masked(),
        failure(500, "INTERNAL_ERROR", "Internal server error")
    );
    assert_eq!(
        keyless.masked(),
        failure(401, "UNAUTHORIZED", "Authentication required")
    );
}
