//! The admin listener: what supervisors and Prometheus read there.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Instance, PHONE, World};

async fn read(app: &Instance, path: &str) -> Answer {
    Answer::of(app.http.get(format!("{}{path}", app.admin))).await
}

#[sqlx::test]
async fn a_service_that_can_work_says_of_what_it_made_sure(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;

    let ready = read(&app, "/readyz").await;

    assert_eq!(ready.status, 200);
    assert_eq!(ready.header("content-type"), "application/health+json");
    assert_eq!(ready.header("cache-control"), "no-store");
    let expected = json!({
        "status": "pass",
        "checks": {
            "database": [{"status": "pass"}],
            "revocations:staleness": [{
                "status": "pass", "observedValue": 0, "observedUnit": "s",
            }],
            "provider:breaker": [{"status": "pass", "observedValue": "closed"}],
            "server": [{"status": "pass", "observedValue": "serving"}],
        },
    });
    assert_eq!(ready.json(), expected);
}

#[sqlx::test]
async fn every_instance_tells_its_metrics_and_nobodys_number(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (app, other) = (world.instance().await, world.instance().await);
    app.sent(PHONE).await;

    for instance in [&app, &other] {
        let metrics = read(instance, "/metrics").await;

        assert_eq!(metrics.status, 200);
        let content_type = metrics.header("content-type");
        assert!(
            content_type.starts_with("text/plain; version=0.0.4"),
            "{content_type}"
        );
        for line in [
            "# TYPE otp_auth_sms_deliveries_total counter",
            r#"otp_auth_sms_deliveries_total{country="IN",status="delivered"} 0"#,
            "# TYPE otp_auth_provider_breaker_state gauge",
            r#"otp_auth_provider_breaker_state{vendor="startmessaging",state="closed"} 1"#,
            r#"otp_auth_provider_breaker_state{vendor="startmessaging",state="open"} 0"#,
            r#"otp_auth_provider_breaker_state{vendor="startmessaging",state="half_open"} 0"#,
        ] {
            assert!(
                metrics.body.lines().any(|found| found == line),
                "{line} in {}",
                metrics.body
            );
        }
        assert!(!metrics.body.contains("987654"), "no number in metrics");
    }
}
