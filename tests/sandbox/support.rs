//! Starts a sandbox on a free port with a clock that only moves when told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use otp_auth::clock::Clock;
use otp_auth::sandbox::{Mode, Sandbox, SandboxError, SandboxHandle, SandboxOptions};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// The number most tests send to.
pub(crate) const PHONE: &str = "+919876543210";
/// When the clock starts.
pub(crate) const START: &str = "2026-11-02T09:15:30.123Z";

/// A clock that stands still.
pub(crate) struct TestClock(Mutex<DateTime<Utc>>);

impl TestClock {
    pub(crate) fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// A running sandbox; it stops when dropped.
pub(crate) struct Rig {
    pub(crate) handle: SandboxHandle,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) client: reqwest::Client,
    pub(crate) running: JoinHandle<Result<(), SandboxError>>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("a JSON body")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body with every random id replaced by its kind.
    pub(crate) fn masked(&self) -> String {
        mask(&self.text)
    }
}

impl Rig {
    pub(crate) fn service() -> Self {
        Self::with(Mode::Service, |_| {})
    }

    pub(crate) fn vendor() -> Self {
        Self::with(Mode::Vendor, |_| {})
    }

    pub(crate) fn with(mode: Mode, adjust: impl FnOnce(&mut SandboxOptions)) -> Self {
        let clock = Arc::new(TestClock(Mutex::new(START.parse().unwrap())));
        let mut options = SandboxOptions::new(mode);
        options.clock = clock.clone();
        adjust(&mut options);
        let sandbox = Sandbox::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).unwrap();
        let handle = sandbox.handle();
        let running = tokio::spawn(sandbox.run(std::future::pending()));
        let client = client(Duration::from_secs(10));
        Self {
            handle,
            clock,
            client,
            running,
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.handle.url()))
    }

    pub(crate) async fn answer(&self, request: RequestBuilder) -> Answer {
        answer(request).await
    }

    /// A POST with a good key.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("X-API-Key", "sm_live_0123");
        self.answer(request.json(body)).await
    }

    /// A GET with a good key.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self
            .request(Method::GET, path)
            .header("X-API-Key", "sm_live_0123");
        self.answer(request).await
    }

    /// A good send to `phone` in service mode.
    pub(crate) async fn send(&self, phone: &str) -> Answer {
        self.post("/otp/send", &service_body(phone)).await
    }

    /// A good send to `phone` in vendor mode.
    pub(crate) async fn vendor_send(&self, phone: &str, key: &str) -> Answer {
        let body = json!({ "phoneNumber": phone, "idempotencyKey": key });
        self.post("/otp/send", &body).await
    }

    pub(crate) async fn arm(&self, fault: Value) -> Answer {
        self.answer(self.request(Method::PUT, "/sandbox/faults").json(&fault))
            .await
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned();
    Answer {
        status,
        headers,
        text,
    }
}

pub(crate) fn client(timeout: Duration) -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(timeout)
        .no_proxy()
        .build()
        .unwrap()
}

pub(crate) fn service_body(phone: &str) -> Value {
    json!({ "phoneNumber": phone, "variables": { "otp": "123456", "expiry": "5" } })
}

/// The error envelope with its id masked.
pub(crate) fn failure(status: u16, code: &str, message: &str) -> String {
    format!(
        r#"{{"success":false,"statusCode":{status},"requestId":"<uuid>","timestamp":"{START}","error":{{"code":"{code}","message":"{message}"}}}}"#
    )
}

/// Replaces every UUID of version 4 by `<uuid>` and every correlation id by `<req>`.
fn mask(text: &str) -> String {
    text.split('"')
        .map(|part| {
            let is_hex = |text: &str| text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
            if part
                .strip_prefix("req_")
                .is_some_and(|id| id.len() == 16 && is_hex(id))
            {
                "<req>"
            } else if uuid::Uuid::try_parse(part).is_ok_and(|id| id.get_version_num() == 4) {
                "<uuid>"
            } else {
                part
            }
        })
        .collect::<Vec<_>>()
        .join("\"")
}
