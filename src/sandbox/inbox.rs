//! The sandbox's own routes: the inbox page, what it shows, and the fault switches.

use actix_web::HttpResponse;
use actix_web::error::InternalError;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use actix_web::web::{Data, Payload, Query, QueryConfig};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Mode;
use super::body;
use super::faults::{Fault, FaultKind};
use super::state::{Requests, State};

const TEMPLATE: &str = include_str!("inbox/page.html");
const STYLE: &str = include_str!("inbox/style.css");
const SCRIPT: &str = include_str!("inbox/script.js");

/// The inbox page in one piece, and the policy it is served under.
pub(super) struct Page {
    html: String,
    policy: String,
}

impl Page {
    /// Puts the page together. Its `Content-Security-Policy` lets only the style and the script
    /// that are compiled in apply, by their hashes, and lets them talk to the sandbox alone.
    pub(super) fn new() -> Self {
        let html = TEMPLATE
            .replace("{{style}}", STYLE)
            .replace("{{script}}", SCRIPT);
        let (style, script) = (source_hash(STYLE), source_hash(SCRIPT));
        let policy = format!(
            "default-src 'none'; script-src '{script}'; style-src '{style}'; \
             connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'; require-trusted-types-for 'script'"
        );
        Self { html, policy }
    }
}

fn source_hash(inline: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, inline.as_bytes());
    format!("sha256-{}", STANDARD.encode(digest))
}

/// `GET /`
pub(super) async fn page(page: Data<Page>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, page.policy.clone()))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .body(page.html.clone())
}

/// Which messages.
#[derive(Deserialize)]
pub(super) struct MessageFilter {
    phone: Option<String>,
}

/// `GET /sandbox/messages?phone=`
pub(super) async fn messages(filter: Query<MessageFilter>, state: Data<State>) -> HttpResponse {
    let messages = state.lock().messages.newest_first(filter.phone.as_deref());
    fresh(&messages)
}

/// `DELETE /sandbox/messages`
pub(super) async fn clear_messages(state: Data<State>) -> HttpResponse {
    state.clear_messages();
    HttpResponse::NoContent().finish()
}

/// `GET /sandbox/faults`
pub(super) async fn faults(state: Data<State>) -> HttpResponse {
    let faults = state.lock().faults.list();
    fresh(&faults)
}

#[derive(Serialize)]
struct Complaint {
    error: String,
}

fn complain(error: &impl ToString) -> HttpResponse {
    HttpResponse::BadRequest().json(Complaint {
        error: error.to_string(),
    })
}

/// Makes a query that does not parse a complaint like any other.
pub(super) fn query_config() -> QueryConfig {
    QueryConfig::default().error_handler(|error, _| {
        let response = complain(&error);
        InternalError::from_response(error, response).into()
    })
}

/// `PUT /sandbox/faults`
pub(super) async fn arm(payload: Payload, state: Data<State>) -> HttpResponse {
    let body = body::read_bytes(payload).await.unwrap_or_default();
    match Fault::parse(&body) {
        Ok(fault) => {
            state.change_faults(|faults| faults.arm(fault));
            faults(state).await
        }
        Err(error) => complain(&error),
    }
}

/// Which faults.
#[derive(Deserialize)]
pub(super) struct FaultFilter {
    kind: Option<FaultKind>,
}

/// `DELETE /sandbox/faults?kind=`
pub(super) async fn disarm(filter: Query<FaultFilter>, state: Data<State>) -> HttpResponse {
    state.change_faults(|faults| faults.disarm(filter.kind));
    HttpResponse::NoContent().finish()
}

#[derive(Serialize)]
struct Info {
    mode: Mode,
    balance_inr: String,
    messages: usize,
    requests: Requests,
}

/// `GET /sandbox/info`
pub(super) async fn info(state: Data<State>) -> HttpResponse {
    let (balance, messages) = {
        let inner = state.lock();
        (inner.balance_paise, inner.messages.len())
    };
    let sign = if balance < 0 { "-" } else { "" };
    let paise = balance.unsigned_abs();
    let balance_inr = format!("{sign}{}.{:02}", paise / 100, paise % 100);
    fresh(&Info {
        mode: state.mode(),
        balance_inr,
        messages,
        requests: state.requests(),
    })
}

fn fresh(value: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(value)
}
