//! A caller's side of the API: one call, one answer, on a connection that is kept.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};

use crate::Failure;

/// Longer than any answer may take on a loaded machine.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// The calls that cost or check something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    Send,
    Resend,
    Verify,
}

impl Path {
    fn text(self) -> &'static str {
        match self {
            Self::Send => "/v1/otp/send",
            Self::Resend => "/v1/otp/resend",
            Self::Verify => "/v1/otp/verify",
        }
    }
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Retry-After` in seconds.
    pub(crate) retry_after: Option<i64>,
    body: Value,
}

impl Answer {
    /// A text member of the body.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.body.get(name)?.as_str().map(str::to_owned)
    }

    /// The status with the problem's code and limit, if it is one.
    pub(crate) fn name(&self) -> String {
        let parts = [self.text("code"), self.text("limit")];
        let parts = parts.into_iter().flatten();
        parts.fold(self.status.to_string(), |name, part| {
            format!("{name} {part}")
        })
    }

    /// Seconds to wait, a minute where nothing was told.
    pub(crate) fn wait(&self) -> i64 {
        self.retry_after.unwrap_or(60).max(1)
    }
}

/// The replicas as callers see them, taken in turn.
pub(crate) struct Api {
    http: reqwest::Client,
    bases: Vec<String>,
    turn: AtomicUsize,
    counts: Arc<Counts>,
}

/// How many calls were made, and how many were told that an SMS is on its way.
#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    accepted: AtomicU64,
}

impl Api {
    /// Callers whose connections come from this address of the machine.
    pub(crate) fn new(bases: Vec<String>, from: Ipv4Addr) -> Result<Self, Failure> {
        Ok(Self {
            http: client(from)?,
            bases,
            turn: AtomicUsize::new(0),
            counts: Arc::default(),
        })
    }

    /// The same replicas for callers elsewhere on this machine, counted together.
    pub(crate) fn as_peer(&self, from: Ipv4Addr) -> Result<Self, Failure> {
        Ok(Self {
            http: client(from)?,
            bases: self.bases.clone(),
            turn: AtomicUsize::new(0),
            counts: Arc::clone(&self.counts),
        })
    }

    /// How many calls were made.
    pub(crate) fn calls(&self) -> u64 {
        self.counts.calls.load(Ordering::Relaxed)
    }

    /// How many of them were told that an SMS is on its way.
    pub(crate) fn accepted(&self) -> u64 {
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// Asks for a code, as somebody behind this address; the proxy on this machine tells it.
    pub(crate) async fn send(
        &self,
        from: Ipv4Addr,
        phone: &str,
        receipt: Option<&str>,
    ) -> Result<Answer, Failure> {
        let body = json!({"phone_number": phone, "device_receipt": receipt});
        self.call(Path::Send, &body, &forwarded(from)).await
    }

    /// Asks for the same code again.
    pub(crate) async fn resend(
        &self,
        from: Ipv4Addr,
        request: &str,
        receipt: Option<&str>,
    ) -> Result<Answer, Failure> {
        let body = json!({"request_id": request, "device_receipt": receipt});
        self.call(Path::Resend, &body, &forwarded(from)).await
    }

    /// Types a code.
    pub(crate) async fn verify(
        &self,
        from: Ipv4Addr,
        (request, code): (&str, &str),
        receipt: Option<&str>,
    ) -> Result<Answer, Failure> {
        let body = json!({"request_id": request, "code": code, "device_receipt": receipt});
        self.call(Path::Verify, &body, &forwarded(from)).await
    }

    /// Any of these calls, with any headers.
    pub(crate) async fn call(
        &self,
        path: Path,
        body: &Value,
        headers: &[(&str, String)],
    ) -> Result<Answer, Failure> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let index = turn.checked_rem(self.bases.len()).unwrap_or(0);
        let base = self.bases.get(index).ok_or("there is no replica")?;
        let mut request = self.http.post(format!("{base}{}", path.text())).json(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        let response = request.send().await?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        if status < 300 && path != Path::Verify {
            self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Answer {
            status,
            retry_after,
            body: serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null),
        })
    }
}

fn client(from: Ipv4Addr) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(ANSWER_WITHIN)
        .local_address(IpAddr::V4(from))
        .no_proxy()
        .build()
}

/// What the trusted proxy writes.
pub(crate) fn forwarded(from: Ipv4Addr) -> [(&'static str, String); 1] {
    [("X-Forwarded-For", from.to_string())]
}
