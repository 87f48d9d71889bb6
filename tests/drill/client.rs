//! A caller's side of the API: one call with an `Idempotency-Key`, repeated until its answer is
//! final.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::Failure;

/// How long one call is repeated before the caller gives up: several leases, since the replica that
/// takes a call over may be killed too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The longest pause between two tries. `Retry-After` is obeyed up to here: it counts in seconds of a
/// service that is down, while here the next call may well pass.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The pause after a broken connection.
const SHORT_PAUSE: Duration = Duration::from_millis(50);
/// Longer than any answer may take: the provider's timeout and two waits for the database.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// One call that may be made again.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) path: &'static str,
    pub(crate) key: String,
    pub(crate) body: Value,
}

/// An answer of the service.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    retry_after: Option<Duration>,
}

impl Answer {
    /// A text member of the body.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        body.get(name)?.as_str().map(str::to_owned)
    }

    /// The status, and the problem's code if it is one.
    pub(crate) fn name(&self) -> String {
        match self.text("code") {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }

    /// Whether it says that a code may not be tried any more.
    pub(crate) fn is_spent(&self) -> bool {
        self.text("code").as_deref() == Some("too_many_attempts")
    }

    /// Whether making the same call again could bring nothing else. Waiting helps a spent request
    /// least of all: it is there for no other code.
    fn is_final(&self) -> bool {
        match self.status {
            429 if self.is_spent() => true,
            429 | 500 | 503 => false,
            409 => self.text("code").as_deref() != Some("idempotency_in_progress"),
            _ => true,
        }
    }
}

/// The replicas as a caller sees them: two addresses, taken in turn.
pub(crate) struct Api {
    http: reqwest::Client,
    bases: Vec<String>,
    turn: AtomicUsize,
    answers: Mutex<BTreeMap<String, u64>>,
}

impl Api {
    pub(crate) fn new(bases: Vec<String>) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            bases,
            turn: AtomicUsize::new(0),
            answers: Mutex::default(),
        })
    }

    /// Makes a call until its answer is final. An error tells what the last try brought.
    pub(crate) async fn until_final(
        &self,
        call: &Call,
        patience: Duration,
    ) -> Result<Answer, String> {
        let end = Instant::now() + patience;
        loop {
            let (last, pause) = match self.make(call).await {
                Ok(answer) if answer.is_final() => return Ok(answer),
                Ok(answer) => (
                    answer.name(),
                    answer
                        .retry_after
                        .unwrap_or(LONGEST_PAUSE)
                        .min(LONGEST_PAUSE),
                ),
                Err(error) => (kind_of(&error).to_owned(), SHORT_PAUSE),
            };
            if Instant::now() > end {
                let seconds = patience.as_secs();
                return Err(format!("{}: {last} for {seconds} s", call.path));
            }
            sleep(pause).await;
        }
    }

    /// Begins a call and drops the connection after a while.
    pub(crate) async fn hang_up(&self, call: &Call, after: Duration) {
        let _whatever_came_until_then = tokio::time::timeout(after, self.make(call)).await;
    }

    /// What came back so far, and how often.
    pub(crate) fn answers(&self) -> BTreeMap<String, u64> {
        self.lock_answers().clone()
    }

    async fn make(&self, call: &Call) -> reqwest::Result<Answer> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let base = turn
            .checked_rem(self.bases.len())
            .and_then(|index| self.bases.get(index))
            .map_or("", String::as_str);
        let request = self
            .http
            .post(format!("{base}{}", call.path))
            .header("Idempotency-Key", &call.key)
            .json(&call.body);
        let made = read(request).await;
        let name = match &made {
            Ok(answer) => answer.name(),
            Err(error) => kind_of(error).to_owned(),
        };
        *self.lock_answers().entry(name).or_default() += 1;
        made
    }

    fn lock_answers(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let status: StatusCode = response.status();
    Ok(Answer {
        status: status.as_u16(),
        body: response.text().await?,
        retry_after,
    })
}

fn kind_of(error: &reqwest::Error) -> &'static str {
    if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "no answer"
    } else {
        "broken connection"
    }
}
