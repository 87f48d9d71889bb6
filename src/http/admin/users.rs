//! `/admin/v1/users`: a person's right to be forgotten.

use actix_web::HttpResponse;
use actix_web::web::Path;

use crate::http::call::Call;
use crate::http::codes::Code;
use crate::http::problem::Problem;
use crate::http::query;
use crate::http::reply::Reply;

/// `DELETE /admin/v1/users/{sub}`
pub(super) async fn erase(call: Call, path: Path<String>) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let not_found = || Problem::new(Code::NotFound).detail("There is no such user.");
        let user = query::id(&path).ok().ok_or_else(not_found)?;
        let people = &call.state.people;
        if people.erase(user, call.change()?).await? {
            call.state.revocations.look().await;
            Ok(Reply::empty(204))
        } else {
            Err(not_found())
        }
    })
    .await
}
