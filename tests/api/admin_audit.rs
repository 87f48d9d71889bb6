//! `/admin/v1/audit` and `/admin/v1/decisions`

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use otp_auth::audit::{Action, Actor, Audit, Event, Outcome};
use otp_auth::clock::Clock as _;
use otp_auth::clock::rfc3339;
use otp_auth::limit::per_address::AddressKey;
use otp_auth::limit::per_ip::Network;
use otp_auth::random::{SystemRandom, uuid_v4, uuid_v7};
use otp_auth::secrets::{Keyring, PhoneIndex};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use uuid::Uuid;

use crate::support::World;

fn phone(byte: u8) -> PhoneIndex {
    PhoneIndex::try_from(vec![byte; 32]).unwrap()
}

/// [`phone`] as answers show it.
fn shown(byte: u8) -> String {
    URL_SAFE_NO_PAD.encode([byte; 32])
}

fn client(id: &str) -> Actor {
    Actor::Client(id.parse().unwrap())
}

fn send(outcome: Outcome) -> Event {
    Event::new(Action::OtpSend, outcome, client("web"))
}

fn ids(events: &[Value]) -> Vec<String> {
    let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
    events.iter().map(id).collect()
}

async fn record(audit: &Audit, event: &Event) -> String {
    audit.record(event).await.unwrap().to_string()
}

#[sqlx::test]
async fn an_event_reads_back_as_it_was_written(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let secrets = world.settings(&[], "").secrets;
    let keyring = Keyring::derive(&secrets.master_key).unwrap();
    let network = Network::from(IpAddr::from([192, 0, 2, 1]));
    let address = AddressKey::of(network, &keyring);
    let [user, request, session] = [(); 3].map(|()| uuid_v4(&SystemRandom).unwrap());
    let full = send(Outcome::Refused)
        .reason("phone_limit")
        .phone(phone(7))
        .address(address)
        .user(user)
        .request(request)
        .session(session)
        .trace("trace-1")
        .with("sends", 3)
        .with("country", "IN");
    let bare = Event::new(Action::SpendWarning, Outcome::Recorded, Actor::Service);
    // Later than the event of the first key.
    world.clock.advance(1);
    let full = record(&world.audit(), &full).await;
    world.clock.advance(1);
    let bare = record(&world.audit(), &bare).await;

    // The call itself is among them.
    let mut events = app.events("limit=3").await;
    events.retain(|event| event["action"] != "admin.call");

    let at = rfc3339(world.clock.now());
    let earlier = rfc3339(world.clock.now() - TimeDelta::seconds(1));
    let expected = json!([
        {"id": bare, "at": at, "action": "spend.warning", "outcome": "recorded",
         "reason": null, "actor": "service", "phone_index": null, "address_key": null,
         "user_id": null, "request_id": null, "session_id": null, "trace_id": null, "detail": {}},
        {"id": full, "at": earlier, "action": "otp.send", "outcome": "refused",
         "reason": "phone_limit", "actor": "client:web", "phone_index": shown(7),
         "address_key": URL_SAFE_NO_PAD.encode(address.as_bytes()), "user_id": user, "request_id": request,
         "session_id": session, "trace_id": "trace-1", "detail": {"sends": 3, "country": "IN"}},
    ]);
    assert_eq!(Value::from(events), expected);
}

#[sqlx::test]
async fn each_filter_finds_its_events_and_all_hold_at_once(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let audit = world.audit();
    let start = world.clock.now();
    let mut written = Vec::new();
    for n in 0..4_u8 {
        let mut event = match n {
            0 => send(Outcome::Success),
            1 => send(Outcome::Refused).reason("ip_limit"),
            2 => Event::new(Action::OtpVerify, Outcome::Success, client("shop")),
            _ => {
                Event::new(Action::UserErase, Outcome::Success, Actor::Admin(None)).reason("asked")
            }
        };
        event = event.phone(phone(n)).user(Uuid::from_bytes([n + 1; 16]));
        event = event.request(Uuid::from_bytes([n + 11; 16]));
        world.clock.advance(1);
        written.push(record(&audit, &event).await);
    }
    let time = |seconds| rfc3339(start + TimeDelta::seconds(seconds));
    for (query, expected) in [
        (String::new(), vec![3, 2, 1, 0]),
        ("action=otp.send".to_owned(), vec![1, 0]),
        ("outcome=success".to_owned(), vec![3, 2, 0]),
        ("actor=client:web".to_owned(), vec![1, 0]),
        ("actor=admin".to_owned(), vec![3]),
        ("actor=admin:ann".to_owned(), vec![]),
        ("reason=ip_limit".to_owned(), vec![1]),
        (format!("phone_index={}", shown(2)), vec![2]),
        (format!("user_id={}", Uuid::from_bytes([1; 16])), vec![0]),
        (
            format!("request_id={}", Uuid::from_bytes([14; 16])),
            vec![3],
        ),
        (format!("since={}", time(3)), vec![3, 2]),
        (format!("until={}", time(3)), vec![1, 0]),
        ("limit=2&actor=client:web".to_owned(), vec![1, 0]),
        ("limit=1&actor=client:web".to_owned(), vec![1]),
        ("action=otp.send&outcome=success".to_owned(), vec![0]),
        (format!("action=otp.send&phone_index={}", shown(2)), vec![]),
    ] {
        let found = ids(&app.events(&query).await);

        // Beside these there is the event of the first key.
        let place = |id: &String| written.iter().position(|known| known == id);
        let found: Vec<usize> = found.iter().filter_map(place).collect();
        assert_eq!(found, expected, "{query}");
    }
}

#[sqlx::test]
async fn pages_show_every_event_once_also_those_of_one_millisecond(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let audit = world.audit();
    let mut written = Vec::new();
    for n in 0..7 {
        written.push(record(&audit, &send(Outcome::Success)).await);
        world.clock.advance(i64::from(n == 4));
    }
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/admin/v1/audit?action=otp.send&limit=3{cursor}");
        let page = app.admin_get(&path).await.json();
        pages.push(ids(page["events"].as_array().unwrap()));
        // An event that is written meanwhile is newer than all pages to come.
        record(&audit, &send(Outcome::Success)).await;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }

    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    let mut seen = pages.concat();
    assert!(seen.is_sorted_by(|newer, older| newer > older), "{seen:?}");
    seen.sort_unstable();
    written.sort_unstable();
    assert_eq!(seen, written);
}

#[sqlx::test]
async fn every_bad_parameter_is_pointed_at(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let v4 = uuid_v4(&SystemRandom).unwrap();
    for (query, pointers) in [
        ("action=otp.steal", vec!["/action"]),
        ("action=", vec!["/action"]),
        ("outcome=good", vec!["/outcome"]),
        ("actor=web", vec!["/actor"]),
        ("reason=Any%20Reason", vec!["/reason"]),
        ("user_id=1", vec!["/user_id"]),
        (&format!("user_id={}", v4.simple()), vec!["/user_id"]),
        ("phone_index=%2B919876543210", vec!["/phone_index"]),
        ("request_id=x", vec!["/request_id"]),
        ("since=yesterday", vec!["/since"]),
        ("until=2026-11-25", vec!["/until"]),
        ("limit=0", vec!["/limit"]),
        ("limit=1001", vec!["/limit"]),
        ("limit=-1", vec!["/limit"]),
        ("cursor=abc", vec!["/cursor"]),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAA", vec!["/cursor"]),
        ("phone=1", vec![""]),
        ("limit=5&limit=6", vec![""]),
        (
            "outcome=x&limit=x&since=x",
            vec!["/limit", "/outcome", "/since"],
        ),
    ] {
        let answer = app.admin_get(&format!("/admin/v1/audit?{query}")).await;

        assert_eq!(
            answer.problem(),
            (400, "invalid_request".to_owned()),
            "{query}"
        );
        assert_eq!(answer.pointers(), pointers, "{query}");
    }
    for (query, pointers) in [
        ("since=x&until=x", vec!["/since", "/until"]),
        ("action=otp.send", vec![""]),
    ] {
        let answer = app
            .admin_get(&format!("/admin/v1/audit/export?{query}"))
            .await;

        assert_eq!(
            answer.problem(),
            (400, "invalid_request".to_owned()),
            "{query}"
        );
        assert_eq!(answer.pointers(), pointers, "{query}");
    }
    let most = app.admin_get("/admin/v1/audit?limit=1000").await;
    assert_eq!(most.status, 200, "{}", most.body);
}

#[sqlx::test]
async fn a_decision_is_found_by_its_id(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let resend = Event::new(Action::OtpResend, Outcome::Recorded, client("web"));
    for event in [send(Outcome::Refused).reason("ip_limit"), resend] {
        world.clock.advance(1);
        let id = record(&world.audit(), &event).await;

        let found = app.admin_get(&format!("/admin/v1/decisions/{id}")).await;

        assert_eq!(found.status, 200, "{}", found.body);
        let all = app.events("actor=client:web").await;
        assert_eq!(found.json(), all[0]);
        assert_eq!(found.text("id"), id);
    }
}

#[sqlx::test]
async fn what_is_no_decision_is_not_found(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let audit = world.audit();
    let denied = Event::new(Action::AdminDenied, Outcome::Refused, Actor::Service);
    let refused = record(&audit, &send(Outcome::Refused)).await;
    for id in [
        record(&audit, &send(Outcome::Success)).await,
        record(&audit, &send(Outcome::Failure)).await,
        record(&audit, &denied).await,
        uuid_v7(&SystemRandom, world.clock.now())
            .unwrap()
            .to_string(),
        uuid_v4(&SystemRandom).unwrap().to_string(),
        refused.replace('-', ""),
        "abc".to_owned(),
    ] {
        let answer = app.admin_get(&format!("/admin/v1/decisions/{id}")).await;

        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{id}");
    }
}
