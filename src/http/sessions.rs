//! `/v1/sessions` and `/v1/userinfo`: what a user sees and ends with his access token.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::bearer::Bearer;
use super::body::uuid;
use super::call::Call;
use super::codes::Code;
use super::problem::Problem;
use super::reply::Reply;
use crate::audit::Actor;
use crate::clock::rfc3339;
use crate::session::{EndReason, Ending, Listed, Whose};

/// A session as it is told.
#[derive(Serialize)]
pub struct SessionBody {
    session_id: Uuid,
    client_id: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    user_agent: Option<String>,
    address_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<bool>,
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
        let sessions: Vec<SessionBody> = sessions.collect();
        Ok(Reply::json(200, &json!({"sessions": sessions})))
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
        let mut told = json!({"sub": bearer.session.user_id()});
        if bearer.claims.has_scope("phone")
            && let (Some(phone), Some(told)) = (bearer.session.phone(), told.as_object_mut())
        {
            told.insert("phone_number".to_owned(), json!(phone.as_e164()));
            told.insert("phone_number_verified".to_owned(), json!(true));
        }
        Ok(Reply::json(200, &told))
    })
    .await
}
