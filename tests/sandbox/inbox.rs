//! The sandbox's own routes: the page, the messages, the live events.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use otp_auth::sandbox::Mode;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{PHONE, Rig, START};

#[tokio::test]
async fn messages_are_listed_newest_first_and_by_number() {
    let rig = Rig::service();
    rig.send(PHONE).await;
    rig.clock.advance(TimeDelta::seconds(1));
    rig.send("+919876543211").await;

    let all = rig.get("/sandbox/messages").await;
    let one = rig.get("/sandbox/messages?phone=%2B919876543210").await;
    let none = rig.get("/sandbox/messages?phone=%2B911").await;

    assert_eq!(all.status, 200);
    assert_eq!(all.json().as_array().unwrap().len(), 2);
    assert_eq!(all.json()[0]["phone_number"], "+919876543211");
    assert_eq!(
        one.masked(),
        format!(
            r#"[{{"id":"<uuid>","phone_number":"{PHONE}","text":"Your verification code is 123456. Valid for 5 minutes.","code":"123456","idempotency_key":null,"created_at":"{START}","status":"sent"}}]"#
        )
    );
    assert_eq!(none.text, "[]");
}

#[tokio::test]
async fn deleting_the_messages_empties_the_inbox() {
    let rig = Rig::service();
    rig.send(PHONE).await;

    let answer = rig
        .answer(rig.request(Method::DELETE, "/sandbox/messages"))
        .await;

    assert_eq!(answer.status, 204);
    assert_eq!(rig.get("/sandbox/messages").await.text, "[]");
}

#[tokio::test]
async fn the_info_tells_mode_balance_and_requests() {
    let rig = Rig::with(Mode::Vendor, |options| options.balance_paise = 50);
    rig.vendor_send(PHONE, "k").await;
    rig.clock.advance(TimeDelta::seconds(2));

    let info = rig.get("/sandbox/info").await;

    let requests = json!({ "send": 1, "verify": 0, "message": 0 });
    assert_eq!(
        info.json(),
        json!({ "mode": "vendor", "balance_inr": "0.25", "messages": 1, "requests": requests })
    );
}

#[tokio::test]
async fn the_page_is_one_file_that_may_only_run_what_it_brings() {
    let rig = Rig::service();

    let page = rig.get("/").await;

    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    for (directive, tag) in [("script-src", "script"), ("style-src", "style")] {
        let inline = between(&page.text, &format!("<{tag}>"), &format!("</{tag}>"));
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, inline.as_bytes());
        let source = format!("{directive} 'sha256-{}';", STANDARD.encode(digest));
        assert!(policy.contains(&source), "{source} is not in {policy}");
    }
    assert_eq!(page.text.matches("<script").count(), 1);
    assert_eq!(page.text.matches("<style").count(), 1);
    for risk in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "style=\"",
    ] {
        assert!(!page.text.contains(risk), "the page must not use {risk}");
    }
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    text.split_once(open)
        .unwrap()
        .1
        .split_once(close)
        .unwrap()
        .0
}

#[tokio::test]
async fn the_page_offers_every_kind_of_fault() {
    let rig = Rig::service();
    let page = rig.get("/").await.text;

    let complaint = rig.arm(json!({ "kind": "?" })).await.json()["error"].to_string();

    let kinds: Vec<_> = complaint.split('`').skip(3).step_by(2).collect();
    assert_eq!(kinds.len(), 19, "{complaint}");
    for kind in kinds {
        assert!(page.contains(&format!("    {kind}: '")), "{kind}");
    }
}

#[tokio::test]
async fn the_page_can_be_asked_for_its_head() {
    let rig = Rig::service();

    let answer = rig.answer(rig.request(Method::HEAD, "/")).await;

    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
}

/// Reads server-sent events one at a time.
struct Feed {
    response: Response,
    buffer: String,
}

impl Feed {
    async fn open(rig: &Rig) -> Self {
        let response = rig
            .request(Method::GET, "/sandbox/events")
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut feed = Self {
            response,
            buffer: String::new(),
        };
        assert_eq!(feed.next().await, ("ready".to_owned(), json!({})));
        feed
    }

    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((frame, rest)) = self.buffer.split_once("\n\n") {
                let line = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
                let event = line("event: ").unwrap().to_owned();
                let data = serde_json::from_str(line("data: ").unwrap()).unwrap();
                self.buffer = String::from(rest);
                return (event, data);
            }
            let chunk = self
                .response
                .chunk()
                .await
                .unwrap()
                .expect("the feed is open");
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn an_open_page_is_told_of_each_sms_as_it_arrives_and_of_every_change() {
    let rig = Rig::service();
    let mut feed = Feed::open(&rig).await;

    rig.send(PHONE).await;
    let arrived = feed.next().await;
    rig.clock.advance(TimeDelta::seconds(2));
    let delivered = feed.next().await;
    rig.arm(json!({ "kind": "http_500", "times": 1 })).await;
    let armed = feed.next().await;
    rig.send(PHONE).await;
    let used_up = feed.next().await;
    rig.handle.clear_messages();
    let cleared = feed.next().await;

    assert_eq!(arrived.0, "message");
    assert_eq!(
        (&arrived.1["phone_number"], &arrived.1["code"]),
        (&json!(PHONE), &json!("123456"))
    );
    assert_eq!(
        delivered,
        (
            "status".to_owned(),
            json!({ "id": arrived.1["id"], "status": "delivered" })
        )
    );
    assert_eq!(
        (armed.0.as_str(), &armed.1[0]["kind"]),
        ("faults", &json!("http_500"))
    );
    assert_eq!(used_up, ("faults".to_owned(), json!([])));
    assert_eq!(cleared, ("cleared".to_owned(), json!({})));
}
