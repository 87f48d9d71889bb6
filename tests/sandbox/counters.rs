//! The per-number counter, the throttle and the wallet, at their boundaries.

use chrono::TimeDelta;
use otp_auth::sandbox::{Fault, FaultKind, Mode};
use reqwest::Method;

use crate::support::{PHONE, Rig, failure};

const COOLING: &str =
    "Too many OTP requests for this mobile number. Please try again after 5 minutes.";

#[tokio::test]
async fn the_fourth_send_to_a_number_is_refused_until_300_seconds_after_the_first() {
    let rig = Rig::service();
    for _ in 0..3 {
        assert_eq!(rig.send(PHONE).await.status, 201);
        rig.clock.advance(TimeDelta::seconds(60));
    }
    rig.clock
        .advance(TimeDelta::seconds(120) - TimeDelta::milliseconds(1));

    let refused = rig.send(PHONE).await;
    rig.clock.advance(TimeDelta::milliseconds(1));
    let accepted = rig.send(PHONE).await;

    assert_eq!(refused.status, 400);
    assert!(refused.text.contains(COOLING));
    assert_eq!(
        accepted.status, 201,
        "a refused try must not make the window longer"
    );
    assert_eq!(
        rig.send("+919876543211").await.status,
        201,
        "another number has its own count"
    );
    assert_eq!(rig.handle.messages_to(PHONE).len(), 4);
}

#[tokio::test]
async fn a_cooling_number_is_told_in_the_real_servers_bytes_and_without_retry_after() {
    let rig = Rig::service();
    for _ in 0..3 {
        rig.send(PHONE).await;
    }

    let answer = rig.send(PHONE).await;

    assert_eq!(
        answer.masked(),
        failure(400, "RATE_LIMIT_EXCEEDED", COOLING)
    );
    assert_eq!(answer.header("retry-after"), None);
}

#[tokio::test]
async fn the_number_counter_is_shared_by_all_callers() {
    let rig = Rig::service();
    let body = crate::support::service_body(PHONE);
    for key in ["sm_live_a", "sm_live_b", "sm_live_c"] {
        let request = rig
            .request(Method::POST, "/otp/send")
            .header("X-API-Key", key)
            .json(&body);
        assert_eq!(rig.answer(request).await.status, 201);
    }

    let request = rig
        .request(Method::POST, "/otp/send")
        .header("X-API-Key", "sm_live_d");
    let answer = rig.answer(request.json(&body)).await;

    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_failed_send_gives_its_count_back_and_an_unpaid_one_does_not() {
    let cases = [
        (FaultKind::SendFailed, 3),
        (FaultKind::SendFailedAfterSend, 3),
        (FaultKind::InsufficientBalance, 2),
        (FaultKind::Http500, 3),
        (FaultKind::ResetAfterSend, 2),
    ];

    for (kind, still_accepted) in cases {
        let rig = Rig::service();
        rig.handle.arm(Fault::once(kind));
        let _refused = rig
            .request(Method::POST, "/otp/send")
            .header("X-API-Key", "k")
            .json(&crate::support::service_body(PHONE))
            .send()
            .await;

        let mut accepted = 0;
        while rig.send(PHONE).await.status == 201 {
            accepted += 1;
        }

        assert_eq!(accepted, still_accepted, "{kind:?}");
    }
}

#[tokio::test]
async fn without_the_number_limit_a_number_takes_any_count() {
    let rig = Rig::with(Mode::Service, |options| options.number_limit = false);

    for _ in 0..5 {
        assert_eq!(rig.send(PHONE).await.status, 201);
    }
}

#[tokio::test]
async fn the_201st_request_within_10_seconds_is_throttled_for_10_seconds() {
    let rig = Rig::service();
    let knock = || rig.answer(rig.request(Method::POST, "/otp/send"));
    for left in (0..200).rev() {
        let answer = knock().await;
        assert_eq!(
            answer.header("x-ratelimit-remaining"),
            Some(left.to_string().as_str())
        );
        assert_eq!(
            answer.status, 401,
            "the throttle comes before authentication"
        );
    }
    rig.clock.advance(TimeDelta::milliseconds(9_999));

    let throttled = knock().await;
    rig.clock.advance(TimeDelta::milliseconds(9_999));
    let still = knock().await;
    rig.clock.advance(TimeDelta::milliseconds(1));
    let again = knock().await;

    let text = "ThrottlerException: Too Many Requests";
    assert_eq!(throttled.status, 429);
    assert!(throttled.text.contains(&format!(
        r#""error":{{"code":"INTERNAL_ERROR","message":"{text}"}}"#
    )));
    assert_eq!(throttled.header("retry-after"), Some("10"));
    for name in [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ] {
        assert_eq!(throttled.header(name), None);
    }
    assert_eq!(
        (still.status, still.header("retry-after")),
        (429, Some("1"))
    );
    assert_eq!(
        (again.status, again.header("x-ratelimit-remaining")),
        (401, Some("199"))
    );
}

#[tokio::test]
async fn the_throttles_window_starts_anew_10_seconds_after_its_first_request() {
    let rig = Rig::with(Mode::Service, |options| options.throttle_limit = 3);
    let knock = || rig.answer(rig.request(Method::POST, "/otp/send"));

    let mut seen = Vec::new();
    for advance in [0, 9_001, 998, 1] {
        rig.clock.advance(TimeDelta::milliseconds(advance));
        let answer = knock().await;
        let number = |name| answer.header(name).unwrap().parse::<u32>().unwrap();
        seen.push((number("x-ratelimit-remaining"), number("x-ratelimit-reset")));
    }

    assert_eq!(seen, [(2, 10), (1, 1), (0, 1), (2, 10)]);
}

#[tokio::test]
async fn the_wallet_falls_by_a_quarter_rupee_when_the_sms_is_delivered() {
    let rig = Rig::service();
    rig.send(PHONE).await;
    let mut balances = Vec::new();

    for advance in [0, 1_999, 1, 10_000] {
        rig.clock.advance(TimeDelta::milliseconds(advance));
        balances.push(rig.handle.balance_paise());
    }

    assert_eq!(balances, [100_000, 100_000, 99_975, 99_975]);
}
