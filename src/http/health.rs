//! What supervisors and Prometheus ask, on the admin listener.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use serde::Serialize;

use super::call::Call;
use crate::metrics::{self, Connections};
use crate::provider::breaker::BreakerState;
use crate::seats::Class;

/// Seconds after which a service without a database is worth another question; our own figure.
const ASK_AGAIN: u64 = 5;

/// `GET /livez`: the process answers. No I/O.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

/// `GET /readyz`: the database answers too, and tells which sessions ended; and nobody told it to stop.
pub async fn readyz(call: Call) -> HttpResponse {
    let asked = sqlx::query_scalar!(r#"SELECT 1 AS "one!""#)
        .fetch_one(&call.state.pool)
        .await;
    let staleness = call.state.revocations.staleness();
    let feed = Feed {
        staleness,
        is_stale: staleness > call.state.max_staleness,
    };
    let seen = Seen {
        is_stopping: call.state.serving.is_stopping(),
        database_answers: asked.is_ok(),
        feed,
        breaker: call.state.provider.breaker_state(),
    };
    Health::new(seen).into_response()
}

/// `GET /metrics`: what this process counts. No I/O but on the kernel: it answers while the database does not.
pub async fn metrics(call: Call) -> HttpResponse {
    // Told when it is asked for: an open breaker turns half-open by time alone.
    let (metrics, provider) = (&call.state.metrics, &call.state.provider);
    metrics.provider_breaker(provider.name(), provider.breaker_state());
    let revocations = &call.state.revocations;
    let staleness = revocations.staleness();
    metrics.revocations(revocations.count(), staleness);
    metrics.signing_keys(&call.state.keys.times(call.now()));
    let is_up = call.state.vitals.database_answers();
    metrics.ready(is_up && staleness <= call.state.max_staleness);
    let pool = &call.state.pool;
    metrics.connections(Connections {
        size: pool.size(),
        idle: u32::try_from(pool.num_idle()).unwrap_or(u32::MAX),
        most: pool.options().get_max_connections(),
    });
    for class in Class::ALL {
        metrics.calls_waiting(class.name(), call.state.seats.waiting(class));
    }
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
    server: [Check; 1],
    database: [Check; 1],
    #[serde(rename = "revocations:staleness")]
    revocations: [Check; 1],
    #[serde(rename = "provider:breaker")]
    breaker: [Check; 1],
}

/// What a process is ready or not by.
#[derive(Clone, Copy)]
struct Seen {
    is_stopping: bool,
    database_answers: bool,
    feed: Feed,
    breaker: BreakerState,
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
    /// Why it does not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'static str>,
}

impl Check {
    /// One that is as bad as this unless it passes, and why.
    fn new(passes: bool, otherwise: Status, why: &'static str) -> Self {
        Self {
            status: if passes { Status::Pass } else { otherwise },
            observed_value: None,
            observed_unit: None,
            output: (!passes).then_some(why),
        }
    }

    fn observed(mut self, value: Observed, unit: Option<&'static str>) -> Self {
        self.observed_value = Some(value);
        self.observed_unit = unit;
        self
    }
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
    /// are out can still be verified, and every other replica calls the same provider. One that stops
    /// answers still, but is to be given no more.
    fn new(seen: Seen) -> Self {
        let Seen {
            is_stopping, feed, ..
        } = seen;
        let server = if is_stopping { "stopping" } else { "serving" };
        let checks = Checks {
            server: [Check::new(!is_stopping, Status::Fail, "stopping")
                .observed(Observed::State(server), None)],
            database: [Check::new(
                seen.database_answers,
                Status::Fail,
                "the database does not answer",
            )],
            revocations: [Check::new(
                !feed.is_stale,
                Status::Fail,
                "which sessions ended was not heard for too long",
            )
            .observed(Observed::Seconds(feed.staleness.as_secs()), Some("s"))],
            breaker: [Check::new(
                seen.breaker == BreakerState::Closed,
                Status::Warn,
                "the provider failed too often and is left alone for a while",
            )
            .observed(Observed::State(seen.breaker.name()), None)],
        };
        let ([server], [database]) = (&checks.server, &checks.database);
        let ([revocations], [breaker]) = (&checks.revocations, &checks.breaker);
        let worst = server.status.max(database.status);
        Self {
            status: worst.max(revocations.status).max(breaker.status),
            checks,
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
        for (is_stopping, database_answers, is_stale, breaker, code, whole) in [
            (false, true, false, BreakerState::Closed, 200, "pass"),
            (false, true, false, BreakerState::HalfOpen, 200, "warn"),
            (false, true, false, BreakerState::Open, 200, "warn"),
            (false, true, true, BreakerState::Closed, 503, "fail"),
            (false, false, false, BreakerState::Closed, 503, "fail"),
            (false, false, false, BreakerState::Open, 503, "fail"),
            (true, true, false, BreakerState::Closed, 503, "fail"),
        ] {
            let feed = Feed {
                staleness: Duration::from_millis(2999),
                is_stale,
            };
            let seen = Seen {
                is_stopping,
                database_answers,
                feed,
                breaker,
            };
            let answer = Health::new(seen).into_response();

            let retry_after = answer.headers().get(RETRY_AFTER).cloned();
            assert_eq!(answer.status().as_u16(), code);
            assert_eq!(retry_after.is_some(), code == 503);
            let body = answer.into_body().try_into_bytes().unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["status"], whole);
            let part = |name: &str, passes: bool, otherwise: &str| {
                let check = &body["checks"][name][0];
                let status = if passes { "pass" } else { otherwise };
                assert_eq!(check["status"], status, "{name}");
                // The draft's section 4.8: reasons of what does not pass.
                assert_eq!(check["output"].is_string(), !passes, "{name}");
                check.clone()
            };
            let server = part("server", !is_stopping, "fail");
            let value = if is_stopping { "stopping" } else { "serving" };
            assert_eq!(server["observedValue"], value);
            part("database", database_answers, "fail");
            let revocations = part("revocations:staleness", !is_stale, "fail");
            assert_eq!(revocations["observedValue"], 2);
            assert_eq!(revocations["observedUnit"], "s");
            let closed = breaker == BreakerState::Closed;
            let provider = part("provider:breaker", closed, "warn");
            assert_eq!(provider["observedValue"], breaker.name());
        }
    }
}
