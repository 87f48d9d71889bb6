//! `/admin/v1/users/{sub}/sessions` and `/admin/v1/sessions/{id}`: where a user is logged in, and
//! logging him out.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::call::Call;
use crate::http::codes::Code;
use crate::http::problem::Problem;
use crate::http::query;
use crate::http::reply::Reply;
use crate::http::sessions::{SessionBody, SessionsBody};
use crate::session::{EndReason, Ending, Whose};

/// How many sessions ended.
#[derive(Serialize, ToSchema)]
#[schema(as = Ended)]
pub(in crate::http) struct EndedBody {
    ended: usize,
}

fn not_found() -> Problem {
    Problem::new(Code::NotFound)
}

/// `GET /admin/v1/users/{sub}/sessions`
pub(super) async fn list(call: Call, path: Path<String>) -> HttpResponse {
    call.to_the_end(|call| async move {
        let user = query::id(&path).ok().ok_or_else(not_found)?;
        let sessions = call.state.sessions.list(user, call.now()).await?;
        let sessions = sessions.into_iter();
        let sessions = sessions
            .map(|listed| SessionBody::new(listed, None))
            .collect();
        Ok(Reply::json(200, &SessionsBody { sessions }))
    })
    .await
}

/// `DELETE /admin/v1/users/{sub}/sessions`
pub(super) async fn end_all(call: Call, path: Path<String>) -> HttpResponse {
    call.to_the_end(|call| async move {
        let user = query::id(&path).ok().ok_or_else(not_found)?;
        let ended = call
            .state
            .sessions
            .end(Whose::User(user), call.by_operator()?);
        Ok(Reply::json(
            200,
            &EndedBody {
                ended: ended.await?,
            },
        ))
    })
    .await
}

/// `DELETE /admin/v1/sessions/{id}`
pub(super) async fn end_one(call: Call, path: Path<String>) -> HttpResponse {
    call.to_the_end(|call| async move {
        let id = query::id(&path).ok().ok_or_else(not_found)?;
        let ended = call
            .state
            .sessions
            .end(Whose::Session(id), call.by_operator()?);
        if ended.await? == 0 {
            return Err(not_found());
        }
        Ok(Reply::empty(204))
    })
    .await
}

impl Call {
    fn by_operator(&self) -> Result<Ending<'_>, Problem> {
        Ok(Ending {
            reason: EndReason::Admin,
            actor: self.operator()?.into(),
            trace_id: self.trace_id(),
            address: None,
            now: self.now(),
        })
    }
}
