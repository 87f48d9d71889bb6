//! Traces: whose they are, what they tell, and that a collector which fails costs nobody anything.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use otp_auth::app::{App, Deps};
use otp_auth::random::SystemRandom;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::support::collector::{Collector, Manner, attributes, hex, named};
use crate::support::raw::{RawVendor, Script};
use crate::support::{Answer, CLIENTS, Instance, PHONE, SECRET, World, http_client, wrong};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const SEND: &str = "POST /v1/otp/send";
const VENDOR_SEND: &str = "startmessaging send";
/// Whose word is taken.
const TRUSTED: (&str, &str) = ("SERVER__TRUSTED_PROXIES", "127.0.0.1");
const STRANGER: (&str, &str) = ("SERVER__TRUSTED_PROXIES", "192.0.2.1");
const ALL: (&str, &str) = ("TELEMETRY__TRACE_SAMPLE_RATIO", "1");
const NONE: (&str, &str) = ("TELEMETRY__TRACE_SAMPLE_RATIO", "0");

/// A send that belongs to a trace.
fn traced(app: &Instance, flags: &str) -> RequestBuilder {
    let request = app.request(Method::POST, "/v1/otp/send");
    request
        .header("traceparent", format!("00-{TRACE}-{SPAN}-{flags}"))
        .header("tracestate", "vendor=1")
        .header("baggage", "phone=9876543210")
        .header("x-request-id", "the-request")
        .json(&json!({"phone_number": PHONE, "client_id": "web"}))
}

/// An instance that calls this vendor, and has this collector if any.
async fn instance(
    world: &World,
    vendor: &RawVendor,
    collector: Option<&Collector>,
    settings: &[(&str, &str)],
) -> Instance {
    let (vendor, collector) = (vendor.url(), collector.map(Collector::url));
    let mut all = settings.to_vec();
    all.push(("STARTMESSAGING__BASE_URL", &vendor));
    if let Some(collector) = &collector {
        all.push(("TELEMETRY__OTLP_ENDPOINT", collector));
    }
    world.instance_with(&all, CLIENTS).await
}

/// What the vendor was told in its only call: version, trace, span, flags.
fn told(vendor: &RawVendor) -> Vec<String> {
    let calls = vendor.calls();
    assert_eq!(calls.len(), 1);
    let parent = calls[0].header("traceparent").unwrap();
    parent.split('-').map(str::to_owned).collect()
}

#[sqlx::test]
async fn a_trace_goes_on_from_a_proxy_to_the_vendor(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let (vendor, collector) = (RawVendor::start(), Collector::start(Manner::Takes).await);
    // Not even one that would be kept by itself: the proxy decided.
    let app = instance(&world, &vendor, Some(&collector), &[TRUSTED, NONE]).await;

    assert_eq!(Answer::of(traced(&app, "01")).await.status, 201);

    let spans = collector.spans_with(&[SEND, VENDOR_SEND]).await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let (server, client) = (named(&spans, SEND), named(&spans, VENDOR_SEND));
    assert_eq!((server.kind, client.kind), (2, 3), "SERVER and CLIENT");
    assert_eq!(hex(&server.parent_span_id), SPAN);
    assert_eq!(hex(&client.parent_span_id), hex(&server.span_id));
    assert!(server.links.is_empty());
    assert_eq!(
        attributes(server),
        [
            "http.request.method=POST",
            "http.response.status_code=201",
            "http.route=/v1/otp/send",
            "otp_auth.request_id=the-request",
        ]
    );
    let port = vendor.url().split(':').next_back().unwrap().to_owned();
    assert_eq!(
        attributes(client),
        [
            "http.request.method=POST".to_owned(),
            "http.response.status_code=201".to_owned(),
            "otp_auth.call=send".to_owned(),
            "otp_auth.vendor=startmessaging".to_owned(),
            "server.address=127.0.0.1".to_owned(),
            format!("server.port={port}"),
        ]
    );
    for step in ["admit the SMS", "record the outcome"] {
        let parent = &named(&spans, step).parent_span_id;
        assert_eq!(hex(parent), hex(&server.span_id), "{step}");
    }
    let client = hex(&client.span_id);
    assert_eq!(told(&vendor), ["00", TRACE, client.as_str(), "01"]);
    let calls = vendor.calls();
    assert_eq!(calls[0].header("tracestate"), Some("vendor=1"));
    assert_eq!(calls[0].header("baggage"), None);
    let (head, _) = &collector.posts()[0];
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("application/x-protobuf"), "{head}");
}

#[sqlx::test]
async fn what_a_proxy_does_not_keep_is_not_kept_and_still_goes_on(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let (vendor, collector) = (RawVendor::start(), Collector::start(Manner::Takes).await);
    let app = instance(&world, &vendor, Some(&collector), &[TRUSTED, ALL]).await;

    assert_eq!(Answer::of(traced(&app, "00")).await.status, 201);

    let told = told(&vendor);
    assert_eq!((told[1].as_str(), told[3].as_str()), (TRACE, "00"));
    assert_ne!(told[2], SPAN);
    // The first that is kept is another's.
    assert_eq!(app.get("/.well-known/jwks.json").await.status, 200);
    let spans = collector.spans_with(&["GET /.well-known/jwks.json"]).await;
    assert_eq!(spans.len(), 1);
}

#[sqlx::test]
async fn a_stranger_gets_a_trace_of_our_own(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    for (ratio, flags) in [(ALL, "01"), (NONE, "00")] {
        let (vendor, collector) = (RawVendor::start(), Collector::start(Manner::Takes).await);
        let app = instance(&world, &vendor, Some(&collector), &[STRANGER, ratio]).await;

        assert_eq!(Answer::of(traced(&app, "01")).await.status, 201);

        let told = told(&vendor);
        assert_ne!(told[1], TRACE);
        assert_eq!(told[3], flags, "whatever he asked for");
        assert_eq!(vendor.calls()[0].header("tracestate"), None);
        if ratio == ALL {
            let spans = collector.spans_with(&[SEND]).await;
            let server = named(&spans, SEND);
            assert_eq!(hex(&server.trace_id), told[1]);
            assert!(server.parent_span_id.is_empty());
            assert_eq!(hex(&server.links[0].trace_id), TRACE);
            assert_eq!(hex(&server.links[0].span_id), SPAN);
        }
        world.clock.advance(300);
    }
}

#[sqlx::test]
async fn without_a_collector_nobody_is_told_of_a_trace(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let vendor = RawVendor::start();
    let app = instance(&world, &vendor, None, &[TRUSTED, ALL]).await;

    assert_eq!(Answer::of(traced(&app, "01")).await.status, 201);

    assert_eq!(vendor.calls()[0].header("traceparent"), None);
    assert_eq!(vendor.calls()[0].header("tracestate"), None);
}

#[sqlx::test]
async fn a_failure_of_the_vendor_is_told(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let (vendor, collector) = (RawVendor::start(), Collector::start(Manner::Takes).await);
    vendor.script([Script::refusal("500 No", "INTERNAL")]);
    let app = instance(&world, &vendor, Some(&collector), &[ALL]).await;

    let body = json!({"phone_number": PHONE, "client_id": "web"});
    let answer = app.post("/v1/otp/send", &body).await;

    let spans = collector.spans_with(&[SEND, VENDOR_SEND]).await;
    let (server, client) = (named(&spans, SEND), named(&spans, VENDOR_SEND));
    let status = answer.status;
    assert!(status >= 500, "{status}");
    for (span, error) in [(server, format!("{status}")), (client, "failed".to_owned())] {
        assert_eq!(span.status.as_ref().unwrap().code, 2, "an error");
        let error = format!("error.type={error}");
        assert!(attributes(span).contains(&error), "{:?}", attributes(span));
    }
}

#[sqlx::test]
async fn a_trace_holds_nothing_of_anybody(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let collector = Collector::start(Manner::Takes).await;
    let url = collector.url();
    let settings = [ALL, TRUSTED, ("TELEMETRY__OTLP_ENDPOINT", &url)];
    let app = world.instance_with(&settings, CLIENTS).await;
    let forwarded = "203.0.113.77";

    let body = json!({"phone_number": PHONE, "client_id": "shop"});
    let request = app.request(Method::POST, "/v1/otp/send?phone=9876543210");
    let request = request
        .basic_auth("shop", Some(SECRET))
        .header("user-agent", "agent-of-somebody")
        .header("x-forwarded-for", forwarded);
    let sent = Answer::of(request.json(&body)).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    let id = sent.text("request_id");
    let code = world.code(PHONE);
    let post = async |code: &str| {
        let request = app.request(Method::POST, "/v1/otp/verify");
        let body = json!({"request_id": id, "code": code});
        Answer::of(request.basic_auth("shop", Some(SECRET)).json(&body)).await
    };
    assert_eq!(post(&wrong(&code)).await.status, 401);
    assert_eq!(app.report(&id).await.status, 200);
    let login = post(&code).await;
    assert_eq!(login.status, 200, "{}", login.body);
    let token = login.text("access_token");
    app.bearer(Method::GET, "/v1/userinfo", &token).await;
    let sessions = app.bearer(Method::GET, "/v1/sessions", &token).await;
    assert_eq!(sessions.status, 200);
    app.get("/v1/9876543210").await;

    let names = [
        SEND,
        "POST /v1/otp/verify",
        "GET /v1/otp/{request_id}",
        "GET /v1/userinfo",
        "GET /v1/sessions",
        "GET",
    ];
    collector.spans_with(&names).await;
    let (refresh, user) = (login.text("refresh_token"), login.text("subject"));
    for (_, body) in collector.posts() {
        // Its texts stand in it as they are.
        let text = String::from_utf8_lossy(&body);
        for secret in [
            "9876543210",
            &code,
            &id,
            &token,
            &refresh,
            &user,
            &login.text("session_id"),
            SECRET,
            forwarded,
            "127.0.0.1:",
            "agent-of-somebody",
        ] {
            // Ids and times are no text, and a code of six digits is not among them by chance.
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

/// Answers while the collector does nothing, and says so.
#[sqlx::test]
async fn a_collector_that_fails_costs_no_call_and_is_counted(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let collector = Collector::start(Manner::Refuses).await;
    let url = collector.url();
    let settings = [ALL, ("TELEMETRY__OTLP_ENDPOINT", &url)];
    let app = world.instance_with(&settings, CLIENTS).await;
    let spans = async |outcome: &str| {
        let page = app.admin_get("/metrics").await.body;
        let series = format!("otp_auth_trace_spans_total{{outcome=\"{outcome}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap().parse::<u64>().unwrap()
    };
    let counted = async |outcome: &str| {
        let counted = async { while spans(outcome).await == 0 {} };
        timeout(Duration::from_mins(1), counted).await.unwrap();
    };

    world.log_in_as(&app, "web", PHONE).await;
    counted("failed").await;
    assert_eq!(spans("exported").await, 0);

    collector.set(Manner::Takes);
    assert_eq!(app.get("/.well-known/jwks.json").await.status, 200);
    counted("exported").await;
    assert_eq!(spans("queue_full").await, 0);
}

#[sqlx::test]
async fn the_last_spans_leave_before_the_end_and_a_collector_that_hangs_does_not_delay_it(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    for manner in [Manner::Takes, Manner::Hangs] {
        let collector = Collector::start(manner).await;
        let url = collector.url();
        let settings = [
            ALL,
            ("TELEMETRY__OTLP_ENDPOINT", url.as_str()),
            ("SERVER__DRAIN_SECONDS", "0"),
        ];
        let settings = world.settings(&settings, CLIENTS);
        let deps = Deps {
            clock: world.clock.clone(),
            random: Arc::new(SystemRandom),
        };
        let app = App::build(&settings, deps).await.unwrap();
        let instance = Instance {
            base: format!("http://{}", app.public_addr),
            admin: format!("http://{}", app.admin_addr),
            http: http_client(),
        };
        let (stop, told) = oneshot::channel::<()>();
        let told = async move { told.await.unwrap() };
        let running = tokio::spawn(app.run_or_end(told, pending()));
        assert_eq!(instance.get("/openapi.json").await.status, 200);

        stop.send(()).unwrap();

        // Five of its own for the collector's client would be too many for the second that it has.
        let ended = timeout(Duration::from_secs(40), running).await;
        ended.expect("an end").unwrap().unwrap();
        assert_eq!(collector.spans().len(), 1, "{manner:?}");
    }
}
