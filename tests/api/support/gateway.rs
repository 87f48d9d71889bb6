//! An SMS gateway as a company of its own might build it: it believes only what is signed, as
//! Standard Webhooks 1.0.0 says, and texts once for each `webhook-id`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use otp_auth::clock::Clock as _;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::TestClock;
use super::raw::Request;

/// What both sides know.
pub(crate) const GATEWAY_SECRET: &str = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHMnIGdhdGV3YXk=";
/// How far its clock may be from the caller's, in seconds; its advice is some minutes.
const TOLERANCE: i64 = 300;

/// A running gateway.
#[derive(Clone)]
pub(crate) struct Gateway {
    url: String,
    memory: Arc<Memory>,
}

struct Memory {
    clock: Arc<TestClock>,
    calls: Mutex<usize>,
    ids: Mutex<HashSet<String>>,
    /// Number and code, newest last.
    sms: Mutex<Vec<(String, String)>>,
}

impl Gateway {
    pub(crate) async fn start(clock: Arc<TestClock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/sms", listener.local_addr().unwrap());
        let memory = Arc::new(Memory {
            clock,
            calls: Mutex::default(),
            ids: Mutex::default(),
            sms: Mutex::default(),
        });
        let gateway = Self {
            url,
            memory: Arc::clone(&memory),
        };
        tokio::spawn(async move {
            while let Ok((call, _)) = listener.accept().await {
                tokio::spawn(answer(call, Arc::clone(&memory)));
            }
        });
        gateway
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How often it was called, refused calls too.
    pub(crate) fn calls(&self) -> usize {
        *self.memory.calls.lock().unwrap()
    }

    /// The codes texted to a number, newest first.
    pub(crate) fn codes(&self, phone: &str) -> Vec<String> {
        let sms = self.memory.sms.lock().unwrap();
        let to_phone = sms.iter().rev().filter(|(to, _)| to == phone);
        to_phone.map(|(_, code)| code.clone()).collect()
    }
}

async fn answer(mut call: TcpStream, memory: Arc<Memory>) {
    let Some(request) = Request::read(&mut call).await else {
        return;
    };
    *memory.calls.lock().unwrap() += 1;
    let (status, body) = memory.take(&request);
    let length = body.len();
    let text =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    drop(call.write_all(text.as_bytes()).await);
}

impl Memory {
    fn take(&self, request: &Request) -> (&'static str, String) {
        let Some(id) = self.signed_id(request) else {
            return ("401 Unauthorized", String::new());
        };
        if !self.ids.lock().unwrap().insert(id) {
            return ("409 Conflict", String::new());
        }
        let event: Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(event["type"], "otp.send");
        let text = |name: &str| event["data"][name].as_str().unwrap().to_owned();
        let mut sms = self.sms.lock().unwrap();
        sms.push((text("phone_number"), text("code")));
        let body = format!(r#"{{"message_id":"{}"}}"#, sms.len());
        ("202 Accepted", body)
    }

    /// The id, if everything it is signed with is as it was when signed, and not old.
    fn signed_id(&self, request: &Request) -> Option<String> {
        let header = |name| request.header(name);
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
        let age = self.clock.now().timestamp() - timestamp.parse::<i64>().ok()?;
        let signature = header("webhook-signature")?.strip_prefix("v1,")?;
        let signature = STANDARD.decode(signature).ok()?;
        let secret = STANDARD.decode(GATEWAY_SECRET.strip_prefix("whsec_")?);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.ok()?);
        let signed = format!("{id}.{timestamp}.{}", request.body);
        hmac::verify(&key, signed.as_bytes(), &signature).ok()?;
        (age.abs() <= TOLERANCE).then(|| id.to_owned())
    }
}
