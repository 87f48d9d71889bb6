//! What surrounds every call: its body, its caller, its ids, and a refusal as it is told.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use otp_auth::clock::{Clock as _, SystemClock};
use otp_auth::http::body::Fields;
use otp_auth::http::client_ip::Told;
use otp_auth::http::codes::Code;
use otp_auth::http::problem::Problem;
use otp_auth::limit::{Limit, Refusal};
use otp_auth::metrics::{Metrics, Names};
use otp_auth::random::{Random as _, SystemRandom, uuid_v7};
use otp_auth::telemetry::exporter::{Options, start};
use otp_auth::telemetry::traces::CalledBy;
use otp_auth::telemetry::w3c;
use uuid::Uuid;

use super::{Group, forever};

const ISSUER: &str = "https://id.example";
const TRACE_ID: &str = "019b5d2e7c8f7e0a9c4d1f2e3a4b5c6d";
const PARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

pub(crate) fn groups() -> Vec<Group> {
    vec![bodies(), problems(), callers(), ids()]
}

fn bodies() -> Group {
    let parse = |body: &'static str| {
        Fields::parse(
            black_box(Some("application/json")),
            black_box(body).as_bytes(),
        )
    };
    Group::new("JSON body")
        .with("read a send", move || {
            parse(r#"{"phone_number":"+919876543210","client_id":"web","purpose":"login"}"#)
        })
        .with("read a verify", move || {
            parse(r#"{"request_id":"019b5d2e-7c8f-7e0a-9c4d-1f2e3a4b5c6d","code":"123456"}"#)
        })
        .with("refuse one that breaks off", move || {
            parse(r#"{"request_id":"019b5d2e-7c8f"#)
        })
}

fn problems() -> Group {
    Group::new("Problem, made and rendered")
        .with("otp_request_expired", || {
            let problem = Problem::new(black_box(Code::OtpRequestExpired));
            problem.render(ISSUER, TRACE_ID)
        })
        .with("rate_limited, with its wait", || {
            let refusal = Refusal {
                limit: Limit::Cooldown,
                wait: Duration::from_secs(20),
            };
            Problem::from(black_box(refusal)).render(ISSUER, TRACE_ID)
        })
        .with("invalid_request, with two faults", || {
            let faults = [("/request_id", "must be a UUID"), ("/code", "is required")];
            Problem::fields(&black_box(faults)).render(ISSUER, TRACE_ID)
        })
}

fn callers() -> Group {
    let trusted: &[IpNet] = forever(vec!["10.0.0.0/8".parse::<IpNet>().unwrap()]);
    let sent = |lines: &[(HeaderName, &'static str)]| {
        let lines = lines.iter().cloned();
        let lines = lines.map(|(name, value)| (name, HeaderValue::from_static(value)));
        lines.collect::<HeaderMap>()
    };
    let by = move |peer: &str, headers: HeaderMap| {
        let peer: IpAddr = peer.parse().unwrap();
        move || Told::by(black_box(peer), black_box(&headers), trusted, false).address()
    };
    let list = HeaderName::from_static("x-forwarded-for");
    let standard = HeaderName::from_static("forwarded");
    Group::new("Caller's address")
        .with("no proxy", by("203.0.113.7", sent(&[])))
        .with(
            "X-Forwarded-For of a proxy, one hop",
            by("10.0.0.1", sent(&[(list.clone(), "203.0.113.7")])),
        )
        .with(
            "both headers, three hops each",
            by(
                "10.0.0.1",
                sent(&[
                    (list, "203.0.113.7, 10.0.0.3, 10.0.0.2"),
                    (
                        standard,
                        "for=203.0.113.7, for=10.0.0.3, for=10.0.0.2;proto=https",
                    ),
                ]),
            ),
        )
}

fn ids() -> Group {
    let clock = SystemClock::default();
    let metrics = Arc::new(Metrics::new(Names::default()).unwrap());
    let options = Options {
        endpoint: "http://127.0.0.1:4318".parse().unwrap(),
        sampled: "0".parse().unwrap(),
        instance: Uuid::from_u128(1),
    };
    // Nobody sends anything: no trace is kept.
    let (traces, exporter) = start(&options, &metrics).unwrap();
    forever(exporter);
    Group::new("Ids")
        .with("16 random bytes", || {
            let mut bytes = [0; 16];
            SystemRandom.fill(&mut bytes).unwrap();
            bytes
        })
        .with("make a request's id", move || {
            let id = uuid_v7(&SystemRandom, clock.now()).unwrap();
            id.simple().to_string()
        })
        .with("read a traceparent", || {
            w3c::parent([black_box(PARENT)], [])
        })
        .with("begin and end a span that is not kept", move || {
            let method = black_box("POST");
            let route = Some("/v1/otp/send");
            traces
                .begin(method, route, TRACE_ID, CalledBy::Nobody)
                .end(201);
        })
}
