//! What supervisors and Prometheus ask, on the admin listener.

use std::time::Duration;

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

/// `GET /readyz`: the database answers too, and tells which sessions ended.
pub async fn readyz(call: Call) -> HttpResponse {
    let asked = sqlx::query_scalar!(r#"SELECT 1 AS "one!""#)
        .fetch_one(&call.state.pool)
        .await;
    let staleness = call.state.revocations.staleness();
    let feed = Feed {
        staleness,
        is_stale: staleness > call.state.max_staleness,
    };
    Health::new(asked.is_ok(), feed, call.state.provider.breaker_state()).into_response()
}

/// `GET /metrics`: what this process counts.
pub async fn metrics(call: Call) -> HttpResponse {
    // Told when it is asked for: an open breaker turns half-open by time alone.
    let (metrics, provider) = (&call.state.metrics, &call.state.provider);
    metrics.provider_breaker(provider.name(), provider.breaker_state());
    let keys = call.state.keys.published();
    let revocations = &call.state.revocations;
    metrics.revocations(revocations.count(), revocations.staleness());
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
    #[serde(rename = "revocations:staleness")]
    revocations: [Check; 1],
    #[serde(rename = "provider:breaker")]
    breaker: [Check; 1],
}

/// How well this process knows which sessions ended.
#[derive(Clone, Copy)]
struct Feed {
    staleness: Duration,
    is_stale: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_value: Option<Observed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_unit: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Observed {
    State(&'static str),
    Seconds(u64),
}

impl Health {
    /// Without the database nothing works, and a process that does not hear of ended sessions lets their
    /// tokens pass, which another one does not. A provider that fails is only worth a warning: codes that
    /// are out can still be verified, and every other replica calls the same provider.
    fn new(database_answers: bool, feed: Feed, breaker: BreakerState) -> Self {
        let pass_if = |passes| if passes { Status::Pass } else { Status::Fail };
        let database = pass_if(database_answers);
        let revocations = pass_if(!feed.is_stale);
        let provider = match breaker {
            BreakerState::Closed => Status::Pass,
            BreakerState::Open | BreakerState::HalfOpen => Status::Warn,
        };
        Self {
            status: database.max(revocations).max(provider),
            checks: Checks {
                database: [Check {
                    status: database,
                    observed_value: None,
                    observed_unit: None,
                }],
                revocations: [Check {
                    status: revocations,
                    observed_value: Some(Observed::Seconds(feed.staleness.as_secs())),
                    observed_unit: Some("s"),
                }],
                breaker: [Check {
                    status: provider,
                    observed_value: Some(Observed::State(breaker.name())),
                    observed_unit: None,
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
    fn it_is_as_bad_as_its_worst_part_and_the_provider_only_makes_it_warn() {
        for (database, is_stale, breaker, code, whole) in [
            (true, false, BreakerState::Closed, 200, "pass"),
            (true, false, BreakerState::HalfOpen, 200, "warn"),
            (true, false, BreakerState::Open, 200, "warn"),
            (true, true, BreakerState::Closed, 503, "fail"),
            (false, false, BreakerState::Closed, 503, "fail"),
            (false, false, BreakerState::Open, 503, "fail"),
        ] {
            let feed = Feed {
                staleness: Duration::from_millis(2999),
                is_stale,
            };
            let answer = Health::new(database, feed, breaker).into_response();

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
                    "revocations:staleness": [{
                        "status": if is_stale { "fail" } else { "pass" },
                        "observedValue": 2,
                        "observedUnit": "s",
                    }],
                    "provider:breaker": [{"status": part, "observedValue": breaker.name()}],
                },
            });
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body, expected);
        }
    }
}
