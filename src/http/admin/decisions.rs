//! `/admin/v1/decisions`: why a code was not sent.

use actix_web::HttpResponse;
use actix_web::web::Path;

use super::audit::EventBody;
use crate::http::call::Call;
use crate::http::codes::Code;
use crate::http::problem::Problem;
use crate::http::query;
use crate::http::reply::Reply;

/// `GET /admin/v1/decisions/{id}`
pub(super) async fn show(call: Call, path: Path<String>) -> HttpResponse {
    let found = async {
        let not_found = || Problem::new(Code::NotFound).detail("There is no such decision.");
        let id = query::id(&path).ok().ok_or_else(not_found)?;
        let entry = call.state.audit.decision(id).await?;
        let entry = entry.ok_or_else(not_found)?;
        Ok::<_, Problem>(Reply::json(200, &EventBody::from(entry)))
    };
    call.answer(found.await)
}
