//! The load that is measured, and its samples.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use otp_auth::sandbox::SandboxHandle;
use serde_json::{Value, json};

use crate::Failure;
use crate::login::phone;

/// Calls under way at once, in measured rounds and between them: enough to keep every worker busy,
/// and few enough that what is measured is the service and not a queue before it.
const AT_ONCE: usize = 4;
/// Longer than anything here may take; the hanging sends are let go within seconds.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);
/// How often a send is tried that must pass.
const TRIES: u32 = 100;

/// A request whose code is known and not used.
pub(crate) struct Prepared {
    request_id: String,
    code: String,
}

/// How long each of some calls took.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time within which so many of a hundred calls were answered.
    pub(crate) fn percentile(&mut self, percent: usize) -> Duration {
        self.0.sort_unstable();
        let rank = (self.0.len() * percent).div_ceil(100);
        let index = rank.saturating_sub(1);
        self.0.get(index).copied().unwrap_or_default()
    }
}

/// What was measured.
#[derive(Default)]
pub(crate) struct Samples {
    pub(crate) verifies: Times,
    pub(crate) key_sets: Times,
    /// Answers 503.
    pub(crate) unavailable: usize,
    /// Answers that were not 200.
    pub(crate) failed: usize,
}

/// A caller of one replica.
pub(crate) struct Load {
    http: reqwest::Client,
    base: String,
    sandbox: SandboxHandle,
    phones: AtomicU64,
}

impl Load {
    pub(crate) fn new(base: &str, sandbox: &SandboxHandle) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            base: base.to_owned(),
            sandbox: sandbox.clone(),
            phones: AtomicU64::new(0),
        })
    }

    /// A send to a phone that had none.
    pub(crate) fn send(
        &self,
    ) -> impl Future<Output = reqwest::Result<reqwest::Response>> + Send + use<> {
        self.send_to(&self.new_phone())
    }

    /// Requests to verify. Their sends pass, which also tells a service that has just seen its provider
    /// hang that it is well again.
    pub(crate) async fn prepare(&self, count: usize) -> Result<Vec<Prepared>, Failure> {
        stream::iter(0..count)
            .map(|_| self.prepare_one())
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Verifies all that is prepared and fetches the key set as often, in turn.
    pub(crate) async fn round(
        &self,
        prepared: Vec<Prepared>,
        samples: &mut Samples,
    ) -> Result<(), Failure> {
        let pairs: Vec<_> = stream::iter(prepared)
            .map(async |prepared| {
                let verify = self.http.post(format!("{}/v1/otp/verify", self.base));
                let body = json!({"request_id": prepared.request_id, "code": prepared.code});
                let verified = timed(verify.json(&body)).await?;
                let keys = self
                    .http
                    .get(format!("{}/.well-known/jwks.json", self.base));
                Ok::<_, Failure>((verified, timed(keys).await?))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for (verified, keys) in pairs {
            for (status, _) in [verified, keys] {
                samples.unavailable += usize::from(status == 503);
                samples.failed += usize::from(status != 200);
            }
            samples.verifies.0.push(verified.1);
            samples.key_sets.0.push(keys.1);
        }
        Ok(())
    }

    async fn prepare_one(&self) -> Result<Prepared, Failure> {
        let phone = self.new_phone();
        let mut last = String::new();
        for _ in 0..TRIES {
            let response = self.send_to(&phone).await?;
            let status = response.status().as_u16();
            if status == 201 {
                let body: Value = response.json().await?;
                let request_id = body.get("request_id").and_then(Value::as_str);
                let sms = self.sandbox.messages_to(&phone);
                return Ok(Prepared {
                    request_id: request_id.ok_or("a send has no request_id")?.to_owned(),
                    code: sms.first().ok_or("a send has no SMS")?.code.clone(),
                });
            }
            last = response.text().await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(format!("no send passes: {last}").into())
    }

    fn send_to(
        &self,
        phone: &str,
    ) -> impl Future<Output = reqwest::Result<reqwest::Response>> + Send + use<> {
        self.http
            .post(format!("{}/v1/otp/send", self.base))
            .json(&json!({"phone_number": phone}))
            .send()
    }

    fn new_phone(&self) -> String {
        phone(self.phones.fetch_add(1, Ordering::Relaxed))
    }
}

/// The status of an answer, and the time until all of it was there.
async fn timed(request: reqwest::RequestBuilder) -> Result<(u16, Duration), Failure> {
    let start = Instant::now();
    let response = request.send().await?;
    let status = response.status().as_u16();
    response.bytes().await?;
    Ok((status, start.elapsed()))
}
