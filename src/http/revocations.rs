//! `GET /v1/revocations`: for services that check tokens offline.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{ETag, EntityTag, Header as _, IfNoneMatch};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::call::Call;
use super::codes::Code;
use super::problem::Problem;
use super::query::{self, Query};
use crate::client::Client;
use crate::clock::rfc3339;
use crate::revocation::{News, Revocation};

/// Longest wait for something new, in seconds: proxies commonly give an answer 60 s to begin (nginx,
/// `proxy_read_timeout`).
pub(super) const LONGEST_WAIT: u64 = 55;

/// What ended before its tokens, after the cursor that was sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Revocations)]
pub(super) struct FeedBody {
    /// Text, for clients whose numbers are floating point; they hand it back as it is.
    #[schema(pattern = "^[0-9]+$")]
    cursor: String,
    revocations: Vec<RevocationBody>,
}

/// Tokens that are not good any more.
#[derive(Serialize, ToSchema)]
#[schema(as = Revocation)]
pub(super) struct RevocationBody {
    /// The session whose tokens they are; without it, all sessions of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sid: Option<Uuid>,
    /// The user.
    sub: Uuid,
    #[schema(format = DateTime)]
    revoked_at: String,
    /// When the last of them ends by itself.
    #[schema(format = DateTime)]
    expires_at: String,
}

impl From<Revocation> for RevocationBody {
    fn from(revocation: Revocation) -> Self {
        Self {
            sid: revocation.session,
            sub: revocation.user,
            revoked_at: rfc3339(revocation.revoked_at),
            expires_at: rfc3339(revocation.expires_at),
        }
    }
}

/// What is asked for.
struct Asked {
    since: i64,
    wait: Duration,
}

/// `GET /v1/revocations`
pub async fn list(call: Call) -> HttpResponse {
    match asked(&call) {
        Ok(asked) => answer(&call, &asked).await,
        Err(problem) => call.answer(Err(problem)),
    }
}

fn asked(call: &Call) -> Result<Asked, Problem> {
    if call.basic_client().is_none_or(Client::is_public) {
        return Err(Problem::new(Code::InvalidClient));
    }
    let mut query = Query::parse(call.request().query_string());
    let since = query.take("/since", |text| {
        query::within(text, 0..=i64::MAX, "must be a cursor that a reply told")
    });
    let wait = query.take("/wait", |text| {
        query::within(text, 0..=LONGEST_WAIT, "must be 0 to 55 seconds")
    });
    query.finish()?;
    Ok(Asked {
        since: since.unwrap_or(0),
        wait: Duration::from_secs(wait.unwrap_or(0)),
    })
}

async fn answer(call: &Call, asked: &Asked) -> HttpResponse {
    let known = known(call);
    // Who names a state that he has waits for another one.
    let after = known.unwrap_or(asked.since).max(asked.since);
    let waited = call.state.revocations.news(after, asked.wait).await;
    let tag = ETag(EntityTag::new_strong(waited.cursor.to_string()));
    if known == Some(waited.cursor) {
        return HttpResponse::NotModified().insert_header(tag).finish();
    }
    let told = call.state.revocations.after(asked.since);
    let tag = ETag(EntityTag::new_strong(told.cursor.to_string()));
    let News {
        cursor,
        revocations,
    } = told;
    HttpResponse::Ok().insert_header(tag).json(FeedBody {
        cursor: cursor.to_string(),
        revocations: revocations.into_iter().map(RevocationBody::from).collect(),
    })
}

/// The cursor that the caller's `If-None-Match` names, if it is one of ours.
fn known(call: &Call) -> Option<i64> {
    match IfNoneMatch::parse(call.request()) {
        Ok(IfNoneMatch::Items(tags)) => match &*tags {
            [tag] => tag.tag().parse().ok(),
            [] | [_, _, ..] => None,
        },
        Ok(IfNoneMatch::Any) | Err(_) => None,
    }
}
