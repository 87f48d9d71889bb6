//! `POST /otp/send`, in both dialects.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Mode;
use super::body::Members;
use super::envelope::{Granted, serialize_iso};
use super::exchange;
use super::faults::{FaultKind, Route};
use super::messages::{self, Message, MessageStatus};
use super::refusal::Refusal;
use super::state::{Inner, State};
use super::validate;
use super::vendor::{self, ATTEMPTS, LIFETIME, Verification};
use crate::random::RandomUnavailable;

/// Handles `POST /otp/send`.
pub(super) async fn handle(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> HttpResponse {
    let work = match state.mode() {
        Mode::Service => service_send,
        Mode::Vendor => vendor_send,
    };
    exchange::serve(Route::Send, &request, payload, &state, work).await
}

/// `data` of the real server.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceData {
    otp_request_id: Uuid,
    message_id: Uuid,
    status: MessageStatus,
    phone_number: String,
    #[serde(serialize_with = "serialize_iso")]
    created_at: DateTime<Utc>,
}

/// `data` of dialect A.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VendorData {
    request_id: Uuid,
    #[serde(serialize_with = "serialize_iso")]
    expires_at: DateTime<Utc>,
    attempts_left: u32,
}

fn service_send(
    state: &State,
    inner: &mut Inner,
    body: &Members,
    fault: Option<FaultKind>,
    now: DateTime<Utc>,
) -> Result<Granted, Refusal> {
    let send = validate::service_send(body).map_err(Refusal::Invalid)?;
    inner.take_budget(&send.phone_number, fault, now)?;
    let data = ServiceData {
        otp_request_id: state.new_id()?,
        message_id: state.new_id()?,
        status: MessageStatus::Sent,
        phone_number: send.phone_number.clone(),
        created_at: now,
    };
    let granted = Granted::new(StatusCode::CREATED, &data, state.random.as_ref(), now)?;
    let text = messages::text(&send.otp, send.app_name.as_deref(), send.expiry.as_deref());
    let key = validate::idempotency_key(body);
    let message = Message::sent(data.message_id, send.phone_number, &text, key, now);
    hand_to_carrier(state, inner, message.ok_or(Refusal::NoCodeInText)?, fault)?;
    Ok(granted)
}

fn vendor_send(
    state: &State,
    inner: &mut Inner,
    body: &Members,
    fault: Option<FaultKind>,
    now: DateTime<Utc>,
) -> Result<Granted, Refusal> {
    let send = validate::vendor_send(body).map_err(Refusal::Invalid)?;
    let key = send.idempotency_key;
    if let Some(first) = inner
        .verifications
        .replay(key.as_deref(), &send.phone_number, now)?
    {
        return Ok(first);
    }
    inner.take_budget(&send.phone_number, fault, now)?;
    let code =
        vendor::new_code(state.random.as_ref()).map_err(|RandomUnavailable| Refusal::Internal)?;
    let data = VendorData {
        request_id: state.new_id()?,
        expires_at: now + LIFETIME,
        attempts_left: ATTEMPTS,
    };
    let answer = Granted::new(StatusCode::CREATED, &data, state.random.as_ref(), now)?;
    let text = messages::text(&code, None, None);
    let phone_number = send.phone_number;
    let message = Message::sent(
        state.new_id()?,
        phone_number.clone(),
        &text,
        key.clone(),
        now,
    );
    let handed_over = hand_to_carrier(state, inner, message.ok_or(Refusal::NoCodeInText)?, fault);
    // What is on a phone can be verified, and its key is spent, whatever the caller is told.
    if handed_over.is_ok() || fault == Some(FaultKind::SendFailedAfterSend) {
        inner.verifications.push(Verification {
            id: data.request_id,
            phone_number,
            code,
            idempotency_key: key,
            created_at: now,
            attempts_left: ATTEMPTS,
            verified: false,
            answer: answer.clone(),
        });
    }
    handed_over.map(|()| answer)
}

/// Sends the SMS unless a fault says that it fails; a failed send does not count for its number.
fn hand_to_carrier(
    state: &State,
    inner: &mut Inner,
    message: Message,
    fault: Option<FaultKind>,
) -> Result<(), Refusal> {
    let (phone_number, now) = (message.phone_number.clone(), message.created_at);
    if fault != Some(FaultKind::SendFailed) {
        state.deliver(inner, message);
    }
    if matches!(
        fault,
        Some(FaultKind::SendFailed | FaultKind::SendFailedAfterSend)
    ) {
        inner.give_back(&phone_number, now);
        return Err(Refusal::SendFailed);
    }
    Ok(())
}
