//! Warnings to whoever watches the bill: once for each ceiling, window and level, over all replicas. That a
//! country's budget of unused codes refuses new users is one too.
//!
//! A warning is a line in the log, a metric, an event of the audit log, and a POST to `alerts.webhook_url`
//! if there is one. The POST is made in the background and tried a few times; who must not miss a warning
//! watches the metric.

mod store;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use tokio::time::sleep;
use url::Url;
use uuid::Uuid;

use crate::audit::{Action, Actor, Audit, Event, Outcome};
use crate::clock::{Clock, rfc3339};
use crate::limit::budget::Level;
use crate::metrics::{Metrics, Queue};
use crate::standard_webhooks::Signer;
use crate::telemetry::Chain;

/// Pauses before a POST that failed is made again; after the last one it is given up.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_mins(1),
];

/// Where warnings are posted.
pub struct Hook {
    /// The client, with its timeouts.
    pub http: reqwest::Client,
    /// The address.
    pub url: Url,
    /// Signs the body.
    pub signer: Signer,
}

/// Gives warnings.
pub struct Alerts {
    /// Where it is kept which were given.
    pub pool: PgPool,
    /// Is told of each.
    pub audit: Arc<Audit>,
    /// Counts each.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Is posted each, if there is one.
    pub hook: Option<Arc<Hook>>,
}

impl Alerts {
    /// Warns of a level, unless that was done before.
    pub async fn reached(&self, level: &Level) {
        match store::claim(&self.pool, level).await {
            Ok(true) => self.warn(level).await,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(error = %Chain(&error), "spending warning not given");
            }
        }
    }

    async fn warn(&self, level: &Level) {
        let (scope, period) = (level.scope.name(), level.period.name());
        let percent = level.percent;
        tracing::warn!(
            scope,
            period,
            percent,
            "spending reached a part of a ceiling, or unused codes reached a country's budget"
        );
        self.metrics.spend_warning(period, percent);
        let event = Event::new(Action::SpendWarning, Outcome::Recorded, Actor::Service)
            .reason("ceiling")
            .with("scope", scope.clone())
            .with("period", period)
            .with("percent", percent);
        let id = self.audit.record(&event).await;
        if let Some(hook) = &self.hook {
            let now = self.clock.now();
            let body = json!({
                "type": "spend.warning",
                "timestamp": rfc3339(now),
                "data": {
                    "scope": scope,
                    "period": period,
                    "period_start": rfc3339(level.start),
                    "percent": percent,
                },
            });
            // The event's id, or, where there is none, one that a receiver can tell apart as well.
            let id = id.map_or_else(
                |_| format!("{scope}-{period}-{percent}-{}", level.start),
                |id: Uuid| id.to_string(),
            );
            let (hook, clock) = (Arc::clone(hook), Arc::clone(&self.clock));
            let waits = self.metrics.queued(Queue::Warnings);
            tokio::spawn(async move {
                let _waits = waits;
                hook.deliver(&id, &body.to_string(), clock.as_ref()).await;
            });
        }
    }
}

impl Hook {
    async fn deliver(&self, id: &str, body: &str, clock: &dyn Clock) {
        for pause in PAUSES.map(Some).into_iter().chain([None]) {
            let request = self.http.post(self.url.clone());
            let request = self.signer.sign(request, id, clock.now(), body.to_owned());
            match request.send().await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    tracing::warn!(status, "spending warning not delivered");
                }
                Err(error) => {
                    let error = error.without_url();
                    tracing::warn!(error = %Chain(&error), "spending warning not delivered");
                }
            }
            if let Some(pause) = pause {
                sleep(pause).await;
            } else {
                tracing::error!("spending warning given up");
            }
        }
    }
}
