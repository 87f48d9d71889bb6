//! What the registry shows.

use super::*;

const STARTMESSAGING: &str = "startmessaging";

fn metrics() -> Metrics {
    Metrics::new().unwrap()
}

/// The value of a series, as it is written.
fn value(metrics: &Metrics, series: &str) -> Option<String> {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.map(|value| value.trim().to_owned())
}

#[test]
fn calls_are_counted_and_timed() {
    let metrics = metrics();
    for (milliseconds, outcome) in [(50, "sent"), (51, "sent"), (20_000, "no_answer")] {
        let took = Duration::from_millis(milliseconds);
        metrics.provider_call(STARTMESSAGING, Call::Send, outcome, took);
    }

    for (series, expected) in [
        (
            r#"otp_auth_provider_calls_total{vendor="startmessaging",call="send",outcome="sent"}"#,
            "2",
        ),
        (
            r#"otp_auth_provider_calls_total{vendor="startmessaging",call="send",outcome="no_answer"}"#,
            "1",
        ),
        (
            r#"otp_auth_provider_call_duration_seconds_bucket{vendor="startmessaging",call="send",le="0.05"}"#,
            "1",
        ),
        (
            r#"otp_auth_provider_call_duration_seconds_bucket{vendor="startmessaging",call="send",le="0.1"}"#,
            "2",
        ),
        (
            r#"otp_auth_provider_call_duration_seconds_bucket{vendor="startmessaging",call="send",le="+Inf"}"#,
            "3",
        ),
    ] {
        assert_eq!(
            value(&metrics, series).as_deref(),
            Some(expected),
            "{series}"
        );
    }
}

#[test]
fn a_call_is_in_flight_until_its_guard_is_dropped() {
    let metrics = metrics();
    let series = r#"otp_auth_provider_in_flight{vendor="startmessaging"}"#;
    let (one, other) = (
        metrics.provider_in_flight(STARTMESSAGING),
        metrics.provider_in_flight(STARTMESSAGING),
    );
    assert_eq!(value(&metrics, series).as_deref(), Some("2"));

    drop(one);
    assert_eq!(value(&metrics, series).as_deref(), Some("1"));
    drop(other);
    assert_eq!(value(&metrics, series).as_deref(), Some("0"));
}

#[test]
fn a_breaker_is_in_exactly_one_state() {
    let metrics = metrics();
    for state in BreakerState::ALL {
        metrics.provider_breaker(STARTMESSAGING, state);
        for each in BreakerState::ALL {
            let series = format!(
                r#"otp_auth_provider_breaker_state{{vendor="startmessaging",state="{}"}}"#,
                each.name()
            );
            let expected = if each == state { "1" } else { "0" };
            assert_eq!(value(&metrics, &series).as_deref(), Some(expected));
        }
    }
}

#[test]
fn deliveries_are_there_before_the_first_and_counted_from_then_on() {
    let metrics = metrics();
    for status in Delivery::ALL {
        let series = format!(
            r#"otp_auth_sms_deliveries_total{{status="{}"}}"#,
            status.name()
        );
        assert_eq!(value(&metrics, &series).as_deref(), Some("0"));
        metrics.sms_delivery(status);
        assert_eq!(value(&metrics, &series).as_deref(), Some("1"));
    }
}

#[test]
fn two_registries_know_nothing_of_each_other() {
    let (one, other) = (metrics(), metrics());

    one.sms_delivery(Delivery::Delivered);

    let series = r#"otp_auth_sms_deliveries_total{status="delivered"}"#;
    assert_eq!(value(&other, series).as_deref(), Some("0"));
}
