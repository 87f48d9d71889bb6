//! `/v1/sessions` and `/v1/userinfo`: what a user sees and ends with his access token.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::bearer::Bearer;
use super::body::uuid;
use super::call::Call;
use super::codes::Code;
use super::problem::Problem;
use super::reply::Reply;
use crate::audit::Actor;
use crate::clock::rfc3339;
use crate::phone::PhoneNumber;
use crate::session::{EndReason, Ending, Listed, Whose};

/// A session as it is told.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionBody {
    session_id: Uuid,
    client_id: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_used_at: String,
    /// When it ends if nobody uses it, at the latest.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Of the last use.
    #[schema(required)]
    user_agent: Option<String>,
    /// The network of the last use.
    #[schema(required)]
    address_prefix: Option<String>,
    /// Whether the token of this call is of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    current: Option<bool>,
}

/// Where a user is logged in.
#[derive(Serialize, ToSchema)]
#[schema(as = Sessions)]
pub(super) struct SessionsBody {
    pub(super) sessions: Vec<SessionBody>,
}

/// Who a token belongs to.
#[derive(Serialize, ToSchema)]
#[schema(as = UserInfo)]
pub(super) struct UserBody<'a> {
    /// The user.
    sub: Uuid,
    /// With scope `phone`, in E.164.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    phone_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    phone_number_verified: Option<bool>,
}

impl SessionBody {
    /// A session as it is told to whoever calls with the session `own`.
    pub fn new(listed: Listed, own: Option<Uuid>) -> Self {
        Self {
            session_id: listed.id,
            client_id: listed.client,
            created_at: rfc3339(listed.created_at),
            last_used_at: rfc3339(listed.last_used_at),
            expires_at: rfc3339(listed.expires_at),
            user_agent: listed.seen.user_agent,
            address_prefix: listed.seen.address_prefix,
            current: own.map(|own| own == listed.id),
        }
    }
}

/// `GET /v1/sessions`
pub async fn list(call: Call) -> HttpResponse {
    call.to_the_end(|call| async move {
        let own = call.bearer().await?.session;
        let sessions = call.state.sessions.list(own.user_id(), call.now()).await?;
        let sessions = sessions.into_iter();
        let sessions = sessions.map(|listed| SessionBody::new(listed, Some(own.id())));
        let sessions = sessions.collect();
        Ok(Reply::json(200, &SessionsBody { sessions }))
    })
    .await
}

/// `DELETE /v1/sessions`
pub async fn end_all(call: Call) -> HttpResponse {
    call.to_the_end(|call| async move {
        let bearer = call.bearer().await?;
        end(&call, &bearer, Whose::User(bearer.session.user_id())).await?;
        Ok(Reply::empty(204))
    })
    .await
}

/// `DELETE /v1/sessions/{id}`
pub async fn end_one(call: Call, path: Path<String>) -> HttpResponse {
    call.to_the_end(|call| async move {
        let bearer = call.bearer().await?;
        let not_found = || Problem::new(Code::NotFound).detail("There is no such session.");
        let id = uuid(&path).ok_or_else(not_found)?;
        let whose = Whose::OneOf(id, bearer.session.user_id());
        if end(&call, &bearer, whose).await? == 0 {
            return Err(not_found());
        }
        Ok(Reply::empty(204))
    })
    .await
}

async fn end(call: &Call, bearer: &Bearer, whose: Whose<'_>) -> Result<usize, Problem> {
    let client = call.state.clients.get(bearer.claims.client_id());
    let ending = Ending {
        reason: EndReason::User,
        actor: client.map_or(Actor::Service, |client| Actor::Client(client.id.clone())),
        trace_id: call.trace_id(),
        address: None,
        now: call.now(),
    };
    Ok(call.state.sessions.end(whose, ending).await?)
}

/// `GET /v1/userinfo`
pub async fn userinfo(call: Call) -> HttpResponse {
    call.to_the_end(|call| async move {
        let bearer = call.bearer().await?;
        let has_phone = bearer.claims.has_scope("phone");
        let phone = bearer.session.phone().filter(|_| has_phone);
        let told = UserBody {
            sub: bearer.session.user_id(),
            phone_number: phone.map(PhoneNumber::as_e164),
            phone_number_verified: phone.map(|_| true),
        };
        Ok(Reply::json(200, &told))
    })
    .await
}
