//! The background: asks the provider how SMS fare, and closes what a crash left open. Nobody waits
//! for it, and no answer depends on it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use tokio::time::sleep;

use super::Otp;
use super::request::{Delivery, RequestId};
use super::store::Due;
use crate::database::StoreError;
use crate::metrics;
use crate::phone::Country;
use crate::provider::Progress;
use crate::random;
use crate::telemetry::Chain;

/// Pause between two looks; half of it is drawn anew each time, so that replicas spread out.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rows taken at one look: no more than 20 questions a second, the provider's own limit.
const ROWS: i64 = 20;
/// Questions asked at the same time.
const AT_ONCE: usize = 4;
/// How long a question may take before another replica asks it again.
const LEASE: TimeDelta = TimeDelta::seconds(30);
/// Pause before the first question, in seconds; each further one is twice as long. Half of all SMS
/// arrive within 2 to 6 s (StartMessaging's figures, read 2026-11-23).
const FIRST_QUESTION: i64 = 5;
/// Questions about one SMS, over 21 minutes: its carrier may take 10 minutes to tell.
const QUESTIONS: i16 = 8;

impl Otp {
    /// Looks every second or so until `stop` is done.
    pub async fn follow_deliveries(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let look = async {
            loop {
                sleep(self.jittered(LOOK_EVERY)).await;
                if let Err(error) = self.look_at_due().await {
                    tracing::warn!(error = %Chain(&error), "deliveries not looked at");
                }
            }
        };
        tokio::select! {
            () = stop => {}
            () = look => {}
        }
    }

    async fn look_at_due(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let due = self.store.take_due(ROWS, LEASE, now).await?;
        stream::iter(due)
            .for_each_concurrent(AT_ONCE, |due| async {
                match due {
                    Due::Abandoned { country } => {
                        self.metrics
                            .sms_delivery(country, metrics::Delivery::Unknown);
                    }
                    Due::Question {
                        request,
                        message_id,
                        country,
                        asked,
                    } => {
                        let sms = (message_id.as_str(), country);
                        self.ask_about(request, sms, asked).await;
                    }
                }
            })
            .await;
        Ok(())
    }

    async fn ask_about(
        &self,
        request: RequestId,
        (message_id, country): (&str, Option<Country>),
        asked: i16,
    ) {
        let delivery = match self.provider.delivery(message_id).await {
            Ok(Some(Progress::Delivered)) => Delivery::Delivered,
            Ok(Some(Progress::Failed)) => Delivery::Failed,
            // Not known yet, or no answer: that is no reason to think the worse of it.
            Ok(Some(Progress::Pending) | None) | Err(_) => Delivery::Sent,
        };
        let next = (delivery == Delivery::Sent && asked < QUESTIONS)
            .then(|| self.question_after(asked, self.clock.now()));
        let recorded = self
            .store
            .record_delivery(request, message_id, delivery, next);
        if let Err(error) = recorded.await {
            // The row's lease ends, and it is asked again.
            tracing::warn!(request.id = %request, error = %Chain(&error), "delivery not recorded");
            return;
        }
        let ended = match (delivery, next) {
            (Delivery::Delivered, _) => metrics::Delivery::Delivered,
            (Delivery::Failed, _) => metrics::Delivery::Failed,
            (_, None) => metrics::Delivery::Expired,
            (_, Some(_)) => return,
        };
        self.metrics.sms_delivery(country, ended);
    }

    /// When to ask about an SMS that was taken now.
    pub(super) fn first_question(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.question_after(0, now)
    }

    fn question_after(&self, asked: i16, now: DateTime<Utc>) -> DateTime<Utc> {
        let doublings = u32::try_from(asked.clamp(0, QUESTIONS)).unwrap_or(0);
        let seconds = u64::try_from(FIRST_QUESTION << doublings).unwrap_or(0);
        let pause = self.jittered(Duration::from_secs(seconds));
        now + TimeDelta::from_std(pause).unwrap_or(LEASE)
    }

    /// Between half of a pause and all of it.
    fn jittered(&self, pause: Duration) -> Duration {
        random::jittered(self.random.as_ref(), pause)
    }
}
