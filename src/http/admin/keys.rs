//! `/admin/v1/keys`: the keys that tokens are signed with. Private keys are imported by command only.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Path, ServiceConfig};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::reason;
use crate::audit::Remark;
use crate::clock::rfc3339;
use crate::http::body::{Faults, Fields};
use crate::http::call::Call;
use crate::http::codes::Code;
use crate::http::incoming::Body;
use crate::http::openapi::schemas;
use crate::http::problem::Problem;
use crate::http::query::{self, Query};
use crate::http::read;
use crate::http::reply::Reply;
use crate::telemetry::Chain;
use crate::token::keys::{By, EARLY, KeyError, ListedKey, Losses, LostSession};

/// Sessions on a page unless `limit` says otherwise.
const PAGE: i64 = 50;
/// Most sessions on a page; our own figure.
const LARGEST_PAGE: i64 = 1000;
/// How soon a change that met another one is worth another try: such a change takes milliseconds.
const AGAIN: Duration = Duration::from_secs(1);

/// A key that tokens are signed with.
#[derive(Serialize, ToSchema)]
#[schema(as = SigningKey)]
pub(in crate::http) struct KeyBody {
    kid: String,
    alg: &'static str,
    #[schema(schema_with = schemas::key_state)]
    state: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it begins to sign.
    #[schema(required, format = DateTime)]
    promote_at: Option<String>,
    #[schema(required, format = DateTime)]
    active_at: Option<String>,
    #[schema(required, format = DateTime)]
    retired_at: Option<String>,
    /// When its last token is over.
    #[schema(required, format = DateTime)]
    gone_at: Option<String>,
    seen_by: Vec<SeenBody>,
    /// Of `tokens.verifiers`, those that did not fetch it yet.
    not_seen_by: Vec<String>,
}

/// A verifier that fetched a key.
#[derive(Serialize, ToSchema)]
#[schema(as = SeenBy)]
pub(in crate::http) struct SeenBody {
    verifier: String,
    #[schema(format = DateTime)]
    first_seen_at: String,
    #[schema(format = DateTime)]
    last_seen_at: String,
}

/// What of one client ends with a key.
#[derive(Serialize, ToSchema)]
#[schema(as = Losses)]
pub(in crate::http) struct LossesBody {
    client_id: String,
    sessions: i64,
    users: i64,
    #[schema(format = DateTime)]
    latest_expiry: String,
}

/// A session with a token of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = LostSession)]
pub(in crate::http) struct LostBody {
    sub: Uuid,
    sid: Uuid,
    client_id: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// All keys.
#[derive(Serialize, ToSchema)]
#[schema(as = SigningKeys)]
pub(in crate::http) struct KeysBody {
    keys: Vec<KeyBody>,
}

/// What was brought forward.
#[derive(Serialize, ToSchema)]
#[schema(as = Rotation)]
pub(in crate::http) struct RotationBody {
    /// The key that signs next.
    kid: String,
    alg: &'static str,
    /// When it does; null: it does.
    #[schema(required, format = DateTime)]
    promote_at: Option<String>,
    #[schema(required)]
    warning: Option<&'static str>,
}

/// What a revocation ends, or would end.
#[derive(Serialize, ToSchema)]
#[schema(as = Revocation)]
pub(in crate::http) struct RevokedBody {
    kid: String,
    #[schema(schema_with = schemas::key_state)]
    state: &'static str,
    /// Whether it was done.
    revoked: bool,
    /// The key that signs instead.
    #[schema(required)]
    successor: Option<String>,
    #[schema(required)]
    warning: Option<&'static str>,
    losses: Vec<LossesBody>,
}

/// Sessions with tokens of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = LostSessions)]
pub(in crate::http) struct LostSessionsBody {
    sessions: Vec<LostBody>,
    /// `cursor` of the next page, if there is one.
    #[schema(required)]
    next: Option<Uuid>,
}

impl KeyBody {
    fn new(call: &Call, key: ListedKey) -> Self {
        let verifiers = &call.state.keys.keeper().policy.verifiers;
        let has_seen = |name: &String| key.seen.iter().any(|seen| seen.verifier == *name);
        let not_seen_by = verifiers.iter().filter(|name| !has_seen(name)).cloned();
        let not_seen_by = not_seen_by.collect();
        let record = key.record;
        let seen_by = key.seen.into_iter().map(|seen| SeenBody {
            verifier: seen.verifier,
            first_seen_at: rfc3339(seen.first_seen_at),
            last_seen_at: rfc3339(seen.last_seen_at),
        });
        Self {
            kid: record.kid,
            alg: record.algorithm.name(),
            state: record.state.name(),
            created_at: rfc3339(record.created_at),
            promote_at: record.promote_at.map(rfc3339),
            active_at: record.active_at.map(rfc3339),
            retired_at: record.retired_at.map(rfc3339),
            gone_at: record.gone_at.map(rfc3339),
            seen_by: seen_by.collect(),
            not_seen_by,
        }
    }
}

impl From<Losses> for LossesBody {
    fn from(losses: Losses) -> Self {
        Self {
            client_id: losses.client_id,
            sessions: losses.sessions,
            users: losses.users,
            latest_expiry: rfc3339(losses.latest_expiry),
        }
    }
}

impl From<LostSession> for LostBody {
    fn from(lost: LostSession) -> Self {
        Self {
            sub: lost.user_id,
            sid: lost.session_id,
            client_id: lost.client_id,
            expires_at: rfc3339(lost.expires_at),
        }
    }
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(read("/keys", list))
        .service(web::resource("/keys/rotate").route(web::post().to(rotate)))
        .service(web::resource("/keys/{kid}/revoke").route(web::post().to(revoke)))
        .service(read("/keys/{kid}/sessions", sessions));
}

/// `GET /admin/v1/keys`
async fn list(call: Call) -> HttpResponse {
    call.to_the_end(|call| async move {
        let keys = call.state.keys.keeper().list().await?;
        let keys = keys.into_iter().map(|key| KeyBody::new(&call, key));
        let keys: Vec<KeyBody> = keys.collect();
        Ok(Reply::json(200, &KeysBody { keys }))
    })
    .await
}

/// `POST /admin/v1/keys/rotate`
async fn rotate(call: Call, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let (why, at_once) = change(&call.fields(&body)?, "now", "/now")?;
        let keeper = call.state.keys.keeper();
        let rotation = keeper.rotate(at_once, by(&call, &why)?).await;
        let rotation = rotation.map_err(problem)?;
        catch_up(&call).await;
        let body = RotationBody {
            kid: rotation.kid,
            alg: rotation.algorithm.name(),
            promote_at: rotation.promote_at.map(rfc3339),
            warning: rotation.is_early.then_some(EARLY),
        };
        Ok(Reply::json(200, &body))
    })
    .await
}

/// `POST /admin/v1/keys/{kid}/revoke`
async fn revoke(call: Call, kid: Path<String>, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let (why, dry_run) = change(&call.fields(&body)?, "dry_run", "/dry_run")?;
        let keeper = call.state.keys.keeper();
        let revoked = keeper.revoke(&kid, dry_run, by(&call, &why)?).await;
        let revoked = revoked.map_err(problem)?;
        if !dry_run {
            catch_up(&call).await;
        }
        let losses = revoked.losses.into_iter().map(LossesBody::from);
        let body = RevokedBody {
            kid: kid.into_inner(),
            state: revoked.state.name(),
            revoked: !dry_run,
            successor: revoked.successor,
            warning: revoked.is_early.then_some(EARLY),
            losses: losses.collect(),
        };
        Ok(Reply::json(200, &body))
    })
    .await
}

/// `GET /admin/v1/keys/{kid}/sessions`: also those of a key that is revoked.
async fn sessions(call: Call, kid: Path<String>) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let mut query = Query::parse(call.request().query_string());
        let most = query.take("/limit", |text| {
            query::within(text, 1..=LARGEST_PAGE, "must be 1 to 1000")
        });
        let after = query.take("/cursor", query::id);
        query.finish()?;
        let most = most.unwrap_or(PAGE);
        let keeper = call.state.keys.keeper();
        // One more than is asked for tells whether there is a next page.
        let found = keeper.lost_sessions(&kid, after, most + 1).await?;
        let is_known = || async {
            let keys = keeper.keys().await?;
            Ok::<_, Problem>(keys.iter().any(|key| key.kid == *kid))
        };
        if found.is_empty() && !is_known().await? {
            return Err(not_found());
        }
        let mut sessions: Vec<LostBody> = found.into_iter().map(LostBody::from).collect();
        let page = usize::try_from(most).unwrap_or(usize::MAX);
        let has_next = sessions.len() > page;
        sessions.truncate(page);
        let next = sessions.last().filter(|_| has_next).map(|last| last.sid);
        Ok(Reply::json(200, &LostSessionsBody { sessions, next }))
    })
    .await
}

/// Lets this replica know what it just changed; where that fails, it looks again within a second.
async fn catch_up(call: &Call) {
    if let Err(error) = call.state.keys.refresh().await {
        tracing::warn!(error = %Chain(&error), "signing keys not read again");
    }
}

fn by<'a>(call: &'a Call, why: &'a Remark) -> Result<By<'a>, Problem> {
    Ok(By::Operator {
        id: call.operator()?.id.as_ref(),
        reason: Some(why),
        trace_id: Some(call.trace_id()),
    })
}

/// The reason, and whether a member is true.
pub(super) fn change(
    fields: &Fields,
    name: &str,
    pointer: &'static str,
) -> Result<(Remark, bool), Problem> {
    let mut faults = Faults::default();
    let flag = match fields.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(flag) => flag.as_bool().ok_or("must be true or false"),
    };
    let flag = faults.note(pointer, flag);
    let why = reason(&mut faults, fields);
    why.zip(flag).ok_or_else(|| {
        let faults = faults.problem();
        faults.unwrap_or_else(|| Problem::new(Code::InvalidRequest))
    })
}

fn not_found() -> Problem {
    Problem::new(Code::NotFound).detail("There is no such key.")
}

fn problem(error: KeyError) -> Problem {
    match error {
        KeyError::Store(error) => error.into(),
        KeyError::Unknown(_) => not_found(),
        KeyError::Moved => Problem::new(Code::ServiceUnavailable).wait(AGAIN),
        KeyError::Generate
        | KeyError::Interrupted(_)
        | KeyError::Unusable(_)
        | KeyError::NotRsa
        | KeyError::Seal(_)
        | KeyError::WrongMasterKey
        | KeyError::NoActive
        | KeyError::KidTaken(_)
        | KeyError::OtherAlgorithm { .. }
        | KeyError::Publish(_)
        | KeyError::Verify(_) => Problem::internal(&error),
    }
}
