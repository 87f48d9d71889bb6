//! `/admin/v1/audit`: who did what.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::audit::{Action, Audit, Entry, Filter, Outcome, Place};
use crate::clock::rfc3339;
use crate::database::StoreError;
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::query::{self, Query};
use crate::http::reply::Reply;
use crate::secrets::PhoneIndex;
use crate::telemetry::Chain;

/// Events of a page unless the caller says how many; our own figure.
const USUAL_PAGE: u16 = 100;
/// Most events of a page: some 500 kB, and what an export holds in memory.
const LARGEST_PAGE: u16 = 1000;
/// Longest name of a reason, in characters; ours are shorter.
const LONGEST_REASON: usize = 64;

/// An event as operators see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(in crate::http) struct EventBody {
    id: Uuid,
    #[schema(format = DateTime)]
    at: String,
    action: String,
    outcome: String,
    /// Why it ended so: a stable name.
    #[schema(required)]
    reason: Option<String>,
    /// `admin`, `admin:<id>`, `client:<id>` or `service`.
    actor: String,
    /// The phone, as a keyed hash.
    #[schema(required)]
    phone_index: Option<String>,
    /// The network of the call, as a keyed hash.
    #[schema(required)]
    address_key: Option<String>,
    #[schema(required)]
    user_id: Option<Uuid>,
    #[schema(required)]
    request_id: Option<Uuid>,
    #[schema(required)]
    session_id: Option<Uuid>,
    /// `X-Request-Id` of the call.
    #[schema(required)]
    trace_id: Option<String>,
    /// Further facts, by the action.
    #[schema(value_type = Object)]
    detail: Value,
}

/// Events, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = Events)]
pub(in crate::http) struct PageBody {
    events: Vec<EventBody>,
    /// `cursor` of the next page, if there is one.
    #[schema(required)]
    next: Option<String>,
}

impl From<Entry> for EventBody {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: rfc3339(entry.at),
            action: entry.action,
            outcome: entry.outcome,
            reason: entry.reason,
            actor: entry.actor,
            phone_index: entry.phone_index.map(|index| shown(&index)),
            address_key: entry.address_key.map(|key| shown(&key)),
            user_id: entry.user_id,
            request_id: entry.request_id,
            session_id: entry.session_id,
            trace_id: entry.trace_id,
            detail: entry.detail,
        }
    }
}

/// A keyed hash as operators see it: base64url without padding.
pub(super) fn shown(hash: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(hash)
}

/// `GET /admin/v1/audit`
pub(super) async fn list(call: Call) -> HttpResponse {
    let found = async {
        let mut query = Query::parse(call.request().query_string());
        let most = query.take("/limit", limit).unwrap_or(USUAL_PAGE);
        let filter = filter(&mut query);
        query.finish()?;
        // One more than asked for tells whether there is a next page.
        let mut entries = call.state.audit.newest(&filter, most + 1).await?;
        let is_last = entries.len() <= usize::from(most);
        entries.truncate(usize::from(most));
        let last = entries.last().filter(|_| !is_last);
        let next = last.map(|entry| shown(entry.id.as_bytes()));
        let events = entries.into_iter().map(EventBody::from).collect();
        Ok::<_, Problem>(Reply::json(200, &PageBody { events, next }))
    };
    call.answer(found.await)
}

/// `GET /admin/v1/audit/export`: every event of a span as JSON lines, read page by page while it is
/// sent. An answer that breaks off is not whole: its last chunk is missing.
pub(super) async fn export(call: Call) -> HttpResponse {
    let first = async {
        let mut query = Query::parse(call.request().query_string());
        let since = query.take("/since", query::time);
        let until = query.take("/until", query::time);
        query.finish()?;
        let since = Place::before(since.unwrap_or(DateTime::UNIX_EPOCH));
        // Up to now, whose millisecond is not over: an export must not run after the log's end.
        let until = until.unwrap_or(call.now() + TimeDelta::milliseconds(1));
        let page = page(&call.state.audit, since, until).await?;
        Ok::<_, Problem>((page, until))
    };
    match first.await {
        Err(problem) => call.render(problem).into_response(),
        Ok((page, until)) => {
            let audit = Arc::clone(&call.state.audit);
            let rest = stream::try_unfold(page.after, move |after| {
                next_lines(Arc::clone(&audit), after, until)
            });
            let first = stream::once(async { Ok::<_, StoreError>(page.lines) });
            let logged = first.chain(rest).map(|lines| {
                lines.inspect_err(
                    |error| tracing::error!(error = %Chain(error), "export broken off"),
                )
            });
            HttpResponse::Ok()
                .content_type("application/x-ndjson")
                .streaming(logged)
        }
    }
}

/// Some events of an export, and where the next ones begin; `None` where there are none.
struct Lines {
    lines: Bytes,
    after: Option<Place>,
}

async fn page(audit: &Audit, after: Place, until: DateTime<Utc>) -> Result<Lines, StoreError> {
    let entries = audit.oldest(after, until, LARGEST_PAGE).await?;
    let is_full = entries.len() == usize::from(LARGEST_PAGE);
    let last = entries.last().filter(|_| is_full);
    let after = last.map(Place::from);
    let mut lines = String::new();
    for entry in entries {
        // String keys and no fallible parts, as in `Reply::json`.
        lines += &serde_json::to_string(&EventBody::from(entry)).unwrap_or_default();
        lines.push('\n');
    }
    Ok(Lines {
        lines: lines.into(),
        after,
    })
}

async fn next_lines(
    audit: Arc<Audit>,
    after: Option<Place>,
    until: DateTime<Utc>,
) -> Result<Option<(Bytes, Option<Place>)>, StoreError> {
    let Some(after) = after else {
        return Ok(None);
    };
    let page = page(&audit, after, until).await?;
    Ok(Some((page.lines, page.after)))
}

fn filter(query: &mut Query) -> Filter {
    Filter {
        action: query.take("/action", |name| {
            Action::parse(name).ok_or("must be the name of an action, such as otp.send")
        }),
        outcome: query.take("/outcome", |name| {
            Outcome::parse(name).ok_or("must be success, failure, refused or recorded")
        }),
        actor: query.take("/actor", str::parse),
        reason: query.take("/reason", reason),
        user: query.take("/user_id", query::id),
        phone: query.take("/phone_index", phone_index),
        request: query.take("/request_id", query::id),
        since: query.take("/since", query::time),
        until: query.take("/until", query::time),
        before: query.take("/cursor", cursor),
    }
}

fn limit(text: &str) -> Result<u16, &'static str> {
    query::within(text, 1..=LARGEST_PAGE, "must be a number from 1 to 1000")
}

fn reason(name: &str) -> Result<String, &'static str> {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte);
    let fits = (1..=LONGEST_REASON).contains(&name.len()) && name.bytes().all(plain);
    fits.then(|| name.to_owned())
        .ok_or("must be the name of a reason: 1 to 64 of a-z 0-9 _ .")
}

fn phone_index(text: &str) -> Result<PhoneIndex, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| PhoneIndex::try_from(bytes).ok())
        .ok_or("must be a phone_index as the answers show it")
}

fn cursor(text: &str) -> Result<Place, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| Uuid::from_slice(&bytes).ok())
        .and_then(Place::of)
        .ok_or("must be the next of an answer")
}
