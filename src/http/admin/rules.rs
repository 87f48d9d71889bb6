//! `/admin/v1/rules`: whom to block or let through.

use actix_web::HttpResponse;
use actix_web::web::{self, Path, ServiceConfig};
use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::reason;
use crate::clock::rfc3339;
use crate::http::body::{Faults, Fields};
use crate::http::call::Call;
use crate::http::codes::Code;
use crate::http::incoming::Body;
use crate::http::openapi::schemas;
use crate::http::problem::Problem;
use crate::http::query::{self, Query};
use crate::http::reply::Reply;
use crate::phone::PhoneRules;
use crate::rules::target::{Kind, Target};
use crate::rules::{Listing, NewRule, Rule, Verdict};

/// Rules on a page unless `limit` says otherwise: a screen or two.
const PAGE: i64 = 50;
/// Most rules on a page: each is opened, some microseconds apiece.
const LARGEST_PAGE: i64 = 200;

const KIND: &str = "must be \"phone\", \"prefix\" or \"network\"";
const VERDICT: &str = "must be \"block\" or \"allow\"";

/// Whom to block or let through.
#[derive(Serialize, ToSchema)]
#[schema(as = Rule)]
pub(in crate::http) struct RuleBody {
    id: Uuid,
    #[schema(schema_with = schemas::rule_kind)]
    kind: &'static str,
    /// Of a phone no more than its last digits.
    value: String,
    #[schema(schema_with = schemas::verdict)]
    verdict: &'static str,
    reason: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// Null: never.
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
}

/// Rules, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = Rules)]
pub(in crate::http) struct RulesBody {
    rules: Vec<RuleBody>,
    /// `cursor` of the next page, if there is one.
    #[schema(required)]
    next: Option<Uuid>,
}

impl From<Rule> for RuleBody {
    fn from(rule: Rule) -> Self {
        Self {
            id: rule.id,
            kind: rule.target.kind().name(),
            value: rule.target.shown(),
            verdict: rule.verdict.name(),
            reason: rule.reason,
            created_at: rfc3339(rule.created_at),
            expires_at: rule.expires_at.map(rfc3339),
        }
    }
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/rules")
                .route(web::get().to(list))
                .route(web::head().to(list))
                .route(web::post().to(set)),
        )
        .service(
            web::resource("/rules/{id}")
                .route(web::get().to(find))
                .route(web::head().to(find))
                .route(web::delete().to(remove)),
        );
}

/// `POST /admin/v1/rules`
async fn set(call: Call, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let rule = new_rule(&call.fields(&body)?, &call.state.phone_rules, call.now())?;
        let (rule, is_new) = call.state.rules.set(rule, call.change()?).await?;
        // A ban ends sessions.
        call.state.revocations.look().await;
        let location = format!("/admin/v1/rules/{}", rule.id);
        let status = if is_new { 201 } else { 200 };
        Ok(Reply::json(status, &RuleBody::from(rule)).at(location))
    })
    .await
}

/// `GET /admin/v1/rules`
async fn list(call: Call) -> HttpResponse {
    call.to_the_end(|call| async move {
        let listing = listing(call.request().query_string())?;
        // One more than is asked for tells whether there is a next page.
        let most = listing.most + 1;
        let found = call.state.rules.list(Listing { most, ..listing });
        let mut rules: Vec<RuleBody> = found.await?.into_iter().map(RuleBody::from).collect();
        let page = usize::try_from(listing.most).unwrap_or(usize::MAX);
        let has_next = rules.len() > page;
        rules.truncate(page);
        let next = rules.last().filter(|_| has_next).map(|rule| rule.id);
        Ok(Reply::json(200, &RulesBody { rules, next }))
    })
    .await
}

/// `GET /admin/v1/rules/{id}`
async fn find(call: Call, path: Path<String>) -> HttpResponse {
    call.to_the_end(|call| async move {
        let found = call.state.rules.find(rule_id(&path)?).await?;
        let rule = found.ok_or_else(|| Problem::new(Code::NotFound))?;
        Ok(Reply::json(200, &RuleBody::from(rule)))
    })
    .await
}

/// `DELETE /admin/v1/rules/{id}`
async fn remove(call: Call, path: Path<String>) -> HttpResponse {
    call.to_the_end(|call| async move {
        let id = rule_id(&path)?;
        if call.state.rules.remove(id, call.change()?).await? {
            Ok(Reply::empty(204))
        } else {
            Err(Problem::new(Code::NotFound))
        }
    })
    .await
}

pub(super) fn new_rule(
    fields: &Fields,
    phones: &PhoneRules,
    now: DateTime<Utc>,
) -> Result<NewRule, Problem> {
    let mut faults = Faults::default();
    let kind = faults.note("/kind", fields.text("kind"));
    let kind = kind.and_then(|kind| faults.note("/kind", Kind::parse(kind).ok_or(KIND)));
    let value = faults.note("/value", fields.text("value"));
    let target = kind.zip(value).and_then(|(kind, value)| {
        let target = Target::parse(kind, value, phones);
        faults.note("/value", target)
    });
    let verdict = faults.note("/verdict", fields.text("verdict"));
    let verdict =
        verdict.and_then(|verdict| faults.note("/verdict", Verdict::parse(verdict).ok_or(VERDICT)));
    let reason = reason(&mut faults, fields);
    let end = faults.note("/expires_at", fields.optional_text("expires_at"));
    let end = end.flatten().map(|end| future(end, now));
    let expires_at = faults.note("/expires_at", end.transpose());
    match (target, verdict, reason, expires_at, faults.problem()) {
        (Some(target), Some(verdict), Some(reason), Some(expires_at), None) => Ok(NewRule {
            target,
            verdict,
            reason,
            expires_at,
        }),
        (.., faults) => Err(faults.unwrap_or_else(|| Problem::new(Code::InvalidRequest))),
    }
}

/// A time to come, in whole milliseconds as all times here.
fn future(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, &'static str> {
    let time = DateTime::parse_from_rfc3339(text).ok();
    let time = time.map(|time| time.to_utc().trunc_subsecs(3));
    time.filter(|time| *time > now)
        .ok_or("must be a time to come, such as 2027-01-31T12:00:00Z")
}

pub(super) fn listing(query: &str) -> Result<Listing, Problem> {
    let mut query = Query::parse(query);
    let listing = Listing {
        kind: query.take("/kind", |text| Kind::parse(text).ok_or(KIND)),
        verdict: query.take("/verdict", |text| Verdict::parse(text).ok_or(VERDICT)),
        most: query.take("/limit", page).unwrap_or(PAGE),
        after: query.take("/cursor", query::id),
    };
    query.finish()?;
    Ok(listing)
}

fn page(text: &str) -> Result<i64, &'static str> {
    query::within(text, 1..=LARGEST_PAGE, "must be 1 to 200")
}

/// A rule's id; what is no id is no rule's.
fn rule_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).or(Err(Problem::new(Code::NotFound)))
}
