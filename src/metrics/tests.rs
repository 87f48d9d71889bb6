//! What the registry shows.

use std::time::Duration;

use super::*;
use crate::provider::breaker::BreakerState;

const STARTMESSAGING: &str = "startmessaging";

fn metrics() -> Metrics {
    Metrics::new(Names {
        countries: [country("IN")].into(),
        currency: "INR".to_owned(),
        verifiers: ["gateway".to_owned()].into(),
    })
    .unwrap()
}

fn country(code: &str) -> Country {
    Country::parse(code).unwrap()
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
            r#"otp_auth_provider_call_duration_seconds_bucket{vendor="startmessaging",call="send",outcome="sent",le="0.05"}"#,
            "1",
        ),
        (
            r#"otp_auth_provider_call_duration_seconds_bucket{vendor="startmessaging",call="send",outcome="sent",le="0.1"}"#,
            "2",
        ),
        (
            r#"otp_auth_provider_call_duration_seconds_bucket{vendor="startmessaging",call="send",outcome="no_answer",le="+Inf"}"#,
            "1",
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

/// The series of one metric of the country.
fn of_india(name: &str, labels: &str) -> String {
    format!(r#"{name}{{country="IN",{labels}}}"#)
}

#[test]
fn deliveries_are_there_before_the_first_and_counted_from_then_on() {
    let metrics = metrics();
    for (delivery, status) in [
        (Delivery::Delivered, "delivered"),
        (Delivery::Failed, "failed"),
        (Delivery::Unknown, "unknown"),
        (Delivery::Expired, "expired"),
    ] {
        let series = of_india(
            "otp_auth_sms_deliveries_total",
            &format!(r#"status="{status}""#),
        );
        assert_eq!(value(&metrics, &series).as_deref(), Some("0"));
        metrics.sms_delivery(Some(country("IN")), delivery);
        assert_eq!(value(&metrics, &series).as_deref(), Some("1"));
    }
}

#[test]
fn what_surely_never_left_costs_nothing() {
    let metrics = metrics();
    for (sms, sent) in [
        (Sms::First, Sent::Accepted),
        (Sms::Again, Sent::Unknown),
        (Sms::First, Sent::Failed),
    ] {
        metrics.sms_sent(Some(country("IN")), sms, sent, 250_000);
    }

    let cost = of_india("otp_auth_sms_cost_total", r#"currency="INR""#);
    assert_eq!(value(&metrics, &cost).as_deref(), Some("0.5"));
    for (labels, count) in [
        (r#"kind="first",outcome="accepted""#, "1"),
        (r#"kind="first",outcome="failed""#, "1"),
        (r#"kind="first",outcome="unknown""#, "0"),
        (r#"kind="again",outcome="unknown""#, "1"),
    ] {
        let series = of_india("otp_auth_sms_sends_total", labels);
        assert_eq!(value(&metrics, &series).as_deref(), Some(count), "{labels}");
    }
}

#[test]
fn countries_that_the_settings_do_not_name_are_one() {
    let metrics = metrics();
    for code in ["US", "DE", "FR"] {
        metrics.verified(Some(country(code)), true);
    }
    metrics.verified(None, true);

    let series = r#"otp_auth_verifies_total{country="other",result="right"}"#;
    assert_eq!(value(&metrics, series).as_deref(), Some("4"));
    assert!(!metrics.render().contains("\"US\""));
}

#[test]
fn verifiers_that_the_settings_do_not_name_are_one() {
    let metrics = metrics();
    for name in [Some("gateway"), Some("forged"), Some("\"}\n"), None] {
        metrics.jwks_fetched(name);
    }

    for (verifier, count) in [("gateway", "1"), ("other", "2"), ("none", "1")] {
        let series = format!(r#"otp_auth_jwks_fetches_total{{verifier="{verifier}"}}"#);
        assert_eq!(value(&metrics, &series).as_deref(), Some(count));
    }
}

#[test]
fn methods_and_statuses_that_nobody_uses_are_one() {
    let metrics = metrics();
    for (method, status) in [("BREW", 418), ("PROPFIND", 299), ("GET", 200)] {
        metrics.request(None, method, status, Duration::from_millis(2));
    }

    for (labels, count) in [
        (r#"method="other",status="other""#, "2"),
        (r#"method="GET",status="200""#, "1"),
        (r#"method="GET",status="503""#, "0"),
    ] {
        let series = format!(r#"otp_auth_http_requests_total{{route="unmatched",{labels}}}"#);
        assert_eq!(value(&metrics, &series).as_deref(), Some(count), "{labels}");
    }
}

#[test]
fn what_waits_is_told_until_it_does_not() {
    let metrics = metrics();
    let series = r#"otp_auth_queue_items{queue="warnings"}"#;
    let other = r#"otp_auth_queue_items{queue="outcomes"}"#;
    let (one, two) = (
        metrics.queued(Queue::Warnings),
        metrics.queued(Queue::Warnings),
    );
    drop(one);
    let three = metrics.queued(Queue::Warnings);
    assert_eq!(value(&metrics, series).as_deref(), Some("2"));
    assert_eq!(value(&metrics, other).as_deref(), Some("0"));

    drop((two, three));

    assert_eq!(value(&metrics, series).as_deref(), Some("0"));
}

#[test]
fn two_registries_know_nothing_of_each_other() {
    let (one, other) = (metrics(), metrics());

    one.verified(Some(country("IN")), true);

    let series = of_india("otp_auth_verifies_total", r#"result="right""#);
    assert_eq!(value(&other, &series).as_deref(), Some("0"));
}

#[test]
#[cfg(target_os = "linux")]
fn the_process_tells_of_itself() {
    let text = metrics().render();
    for name in ["process_cpu_seconds_total", "process_open_fds"] {
        assert!(text.contains(&format!("\n{name} ")), "{text}");
    }
}
