//! `POST /otp/verify`, which only dialect A knows.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Mode;
use super::body::Members;
use super::envelope::Granted;
use super::exchange;
use super::faults::{FaultKind, Route};
use super::refusal::Refusal;
use super::state::{Inner, State};
use super::validate;

/// Handles `POST /otp/verify`: the real server has no such route.
pub(super) async fn handle(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> HttpResponse {
    match state.mode() {
        Mode::Vendor => {
            exchange::serve(Route::Verify, &request, payload, &state, vendor_verify).await
        }
        Mode::Service => {
            state.count(Route::Verify);
            exchange::not_found(request, payload, state).await
        }
    }
}

#[derive(Serialize)]
struct VerifyData {
    verified: bool,
}

fn vendor_verify(
    state: &State,
    inner: &mut Inner,
    body: &Members,
    _fault: Option<FaultKind>,
    now: DateTime<Utc>,
) -> Result<Granted, Refusal> {
    let verify = validate::vendor_verify(body).map_err(Refusal::Invalid)?;
    inner
        .verifications
        .check(&verify.request_id, &verify.otp_code, now)?;
    Granted::new(
        StatusCode::OK,
        &VerifyData { verified: true },
        state.random.as_ref(),
        now,
    )
}
