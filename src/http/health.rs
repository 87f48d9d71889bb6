//! What supervisors and Prometheus ask, on the admin listener.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use serde::Serialize;

use super::call::Call;
use crate::metrics;
use crate::provider::breaker::BreakerState;

/// Seconds after which a service without a database is worth another question; our own figure.
const ASK_AGAIN: u64 = 5;

/// `GET /livez`: the process answers. No I/O.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

/// `GET /readyz`: the database answers too.
pub async fn readyz(call: Call) -> HttpResponse {
    let asked = sqlx::query_scalar!(r#"SELECT 1 AS "one!""#)
        .fetch_one(&call.state.pool)
        .await;
    Health::new(asked.is_ok(), call.state.provider.breaker_state()).into_response()
}

/// `GET /metrics`: what this process counts.
pub async fn metrics(call: Call) -> HttpResponse {
    // Told when it is asked for: an open breaker turns half-open by time alone.
    let (metrics, provider) = (&call.state.metrics, &call.state.provider);
    metrics.provider_breaker(provider.name(), provider.breaker_state());
    let keys = call.state.keys.published();
    metrics.signing_keys(&keys.by_state(), keys.promotion_in(call.now()));
    HttpResponse::Ok()
        .content_type(metrics::CONTENT_TYPE)
        .body(metrics.render())
}

/// The answer of `/readyz` (draft-inadarei-api-health-check-06).
#[derive(Serialize)]
struct Health {
    status: Status,
    checks: Checks,
}

/// In order of badness: the whole is as bad as its worst part.
#[derive(Clone, Copy, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pass,
    Warn,
    Fail,
}

#[derive(Serialize)]
struct Checks {
    database: [Check; 1],
    #[serde(rename = "provider:breaker")]
    breaker: [Check; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_value: Option<&'static str>,
}

impl Health {
    /// Without the database nothing works. A provider that fails is only worth a warning: codes that
    /// are out can still be verified, and every other replica calls the same provider.
    fn new(database_answers: bool, breaker: BreakerState) -> Self {
        let database = if database_answers {
            Status::Pass
        } else {
            Status::Fail
        };
        let provider = match breaker {
            BreakerState::Closed => Status::Pass,
            BreakerState::Open | BreakerState::HalfOpen => Status::Warn,
        };
        Self {
            status: database.max(provider),
            checks: Checks {
                database: [Check {
                    status: database,
                    observed_value: None,
                }],
                breaker: [Check {
                    status: provider,
                    observed_value: Some(breaker.name()),
                }],
            },
        }
    }

    fn into_response(self) -> HttpResponse {
        let status = match self.status {
            Status::Pass | Status::Warn => StatusCode::OK,
            Status::Fail => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, ASK_AGAIN));
        }
        response
            .content_type("application/health+json")
            // Constants only: it cannot fail.
            .body(serde_json::to_string(&self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;

    use super::*;

    #[test]
    fn it_is_as_bad_as_its_worst_part_and_only_the_database_makes_it_fail() {
        for (database, breaker, code, whole) in [
            (true, BreakerState::Closed, 200, "pass"),
            (true, BreakerState::HalfOpen, 200, "warn"),
            (true, BreakerState::Open, 200, "warn"),
            (false, BreakerState::Closed, 503, "fail"),
            (false, BreakerState::Open, 503, "fail"),
        ] {
            let answer = Health::new(database, breaker).into_response();

            let retry_after = answer.headers().get(RETRY_AFTER).cloned();
            assert_eq!(answer.status().as_u16(), code);
            assert_eq!(retry_after.is_some(), code == 503);
            let body = answer.into_body().try_into_bytes().unwrap();
            let part = if breaker == BreakerState::Closed {
                "pass"
            } else {
                "warn"
            };
            let expected = serde_json::json!({
                "status": whole,
                "checks": {
                    "database": [{"status": if database { "pass" } else { "fail" }}],
                    "provider:breaker": [{"status": part, "observedValue": breaker.name()}],
                },
            });
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body, expected);
        }
    }
}
