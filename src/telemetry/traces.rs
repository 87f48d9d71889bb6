//! What a request is made of, for a collector of traces (OpenTelemetry).
//!
//! A span tells only what is given to it here: constants, ids, statuses, and the templates of routes. Nothing of a
//! log line gets into one, so nothing personal can.
//!
//! Whoever is asked to do part of the work finds the span that asks in the [`Context`], which goes with the task
//! that is polled. Where there is none, nothing is traced and nothing is done: so it is without
//! `telemetry.otlp_endpoint`, and in the background.

use std::borrow::Cow;
use std::future::Future;

use futures_util::future::{Either, FutureExt as _};
use opentelemetry::trace::{
    FutureExt as _, Link, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;

use super::w3c;

/// Attributes, by the names that OpenTelemetry's semantic conventions for HTTP have for them (1.37, read
/// 2026-12-01).
const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
const STATUS: &str = "http.response.status_code";
const ERROR: &str = "error.type";
const SERVER_ADDRESS: &str = "server.address";
const SERVER_PORT: &str = "server.port";
/// And those that have none there.
const REQUEST_ID: &str = "otp_auth.request_id";
const VENDOR: &str = "otp_auth.vendor";
const CALL: &str = "otp_auth.call";
/// Methods that are told apart; callers may invent others.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE",
];
/// All others.
const OTHER_METHOD: &str = "_OTHER";

/// Makes the spans of requests.
#[derive(Clone, Debug)]
pub struct Traces(pub(super) SdkTracer);

/// Which span called us, as its headers tell.
#[derive(Clone, Debug)]
pub enum CalledBy {
    /// Nobody tells.
    Nobody,
    /// One whose word is taken: its trace goes on here, and whether it is kept was decided there.
    Trusted(SpanContext),
    /// Anyone: the trace is a new one, which names this one beside it, and whether it is kept is decided here.
    Anyone(SpanContext),
}

/// The span of a request that is served.
#[derive(Debug)]
pub struct Served(Context);

impl Traces {
    /// Begins the span of a request. `route` is a template.
    pub fn begin(
        &self,
        method: &str,
        route: Option<&str>,
        request_id: &str,
        called_by: CalledBy,
    ) -> Served {
        let method = METHODS.into_iter().find(|known| *known == method);
        let mut attributes = vec![
            KeyValue::new(METHOD, method.unwrap_or(OTHER_METHOD)),
            KeyValue::new(REQUEST_ID, request_id.to_owned()),
        ];
        let name = method.unwrap_or("HTTP");
        let name = match route {
            None => Cow::Borrowed(name),
            Some(route) => {
                attributes.push(KeyValue::new(ROUTE, route.to_owned()));
                Cow::Owned(format!("{name} {route}"))
            }
        };
        let mut span = self.0.span_builder(name).with_kind(SpanKind::Server);
        span = span.with_attributes(attributes);
        let mut context = Context::new();
        match called_by {
            CalledBy::Nobody => {}
            CalledBy::Trusted(parent) => context = context.with_remote_span_context(parent),
            CalledBy::Anyone(other) => span = span.with_links(vec![Link::with_context(other)]),
        }
        let span = self.0.build_with_context(span, &context);
        Served(Context::new().with_value(self.clone()).with_span(span))
    }
}

impl Served {
    /// What the work on the request is done in.
    pub fn context(&self) -> Context {
        self.0.clone()
    }

    /// The trace, the span, and whether it is kept.
    pub fn ids(&self) -> (String, String, bool) {
        let span = self.0.span();
        let span = span.span_context();
        let (trace, sampled) = (span.trace_id(), span.is_sampled());
        (trace.to_string(), span.span_id().to_string(), sampled)
    }

    /// Ends it with the answer's status.
    pub fn end(&self, status: u16) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new(STATUS, i64::from(status)));
        if status >= 500 {
            span.set_attribute(KeyValue::new(ERROR, status.to_string()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// The context of the work that is under way, if it is traced.
pub fn current() -> Option<Context> {
    Context::map_current(|context| context.has_active_span().then(|| context.clone()))
}

/// Does work in a context, if there is one.
pub fn within<F: Future>(context: Option<Context>, work: F) -> impl Future<Output = F::Output> {
    // An async function would have room for the work twice, and a call's is moved often.
    match context {
        Some(context) => Either::Left(work.with_context(context)),
        None => Either::Right(work),
    }
}

/// Does work as a step of what is under way.
pub fn step<F: Future>(name: &'static str, work: F) -> impl Future<Output = F::Output> {
    let kept = current().filter(|context| context.span().span_context().is_sampled());
    let begun = kept
        .as_ref()
        .and_then(|parent| begin(parent, name, SpanKind::Internal, vec![]));
    let ends = begun.clone();
    within(begun, work).inspect(move |_| {
        if let Some(context) = ends {
            context.span().end();
        }
    })
}

/// A span below another one, and the context to work in.
fn begin(
    parent: &Context,
    name: impl Into<Cow<'static, str>>,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
) -> Option<Context> {
    let Traces(tracer) = parent.get()?;
    let span = tracer.span_builder(name).with_kind(kind);
    let span = span.with_attributes(attributes);
    Some(parent.with_span(tracer.build_with_context(span, parent)))
}

/// The span of a call to a vendor.
#[derive(Debug)]
pub struct Calling(Context);

/// Begins the span of a call to a vendor, if it is part of something that is traced. Both names are constants.
pub fn calling(vendor: &'static str, call: &'static str) -> Option<Calling> {
    let parent = current()?;
    let names = vec![KeyValue::new(VENDOR, vendor), KeyValue::new(CALL, call)];
    let name = format!("{vendor} {call}");
    begin(&parent, name, SpanKind::Client, names).map(Calling)
}

impl Calling {
    /// What the call is made in.
    pub fn context(&self) -> Context {
        self.0.clone()
    }

    /// Ends it; `error` is the name of what failed.
    pub fn end(&self, error: Option<&'static str>) {
        let span = self.0.span();
        if let Some(error) = error {
            span.set_attribute(KeyValue::new(ERROR, error));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// Tells the span that is under way whom it calls, and returns the headers that tell the callee of it. Of the
/// address it takes host and port only: a path can hold an id, and a query anything.
pub fn outgoing(
    method: &str,
    host: Option<&str>,
    port: Option<u16>,
) -> Vec<(&'static str, String)> {
    let Some(context) = current() else {
        return Vec::new();
    };
    let span = context.span();
    let method = METHODS.into_iter().find(|known| *known == method);
    let tell = |name, value: Option<Value>| {
        if let Some(value) = value {
            span.set_attribute(KeyValue::new(name, value));
        }
    };
    tell(METHOD, method.map(Value::from));
    tell(
        SERVER_ADDRESS,
        host.map(|host| Value::from(host.to_owned())),
    );
    tell(SERVER_PORT, port.map(|port| Value::from(i64::from(port))));
    w3c::headers(span.span_context())
}

/// Tells the span that is under way what it was answered.
pub fn answered(status: u16) {
    if let Some(context) = current() {
        let status = KeyValue::new(STATUS, i64::from(status));
        context.span().set_attribute(status);
    }
}
