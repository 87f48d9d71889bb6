//! `GET /messages/:id`, the only way to learn of a delivery: the real server calls nobody back.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use uuid::Uuid;

use super::envelope::Granted;
use super::exchange;
use super::faults::Route;
use super::refusal::Refusal;
use super::state::State;

/// Handles `GET /messages/:id`. An unknown id is no error: `data` is null. An id that is no UUID
/// trips the real server's database, which makes it a 500.
pub(super) async fn handle(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> HttpResponse {
    state.count(Route::Message);
    let caller = exchange::caller(&request);
    state
        .answer(Route::Message, &caller, None, |inner, now| {
            let id = Uuid::try_parse(&id).ok().ok_or(Refusal::Internal)?;
            let data = inner.messages.customer_view(id);
            Granted::new(StatusCode::OK, &data, state.random.as_ref(), now)
        })
        .into()
}
