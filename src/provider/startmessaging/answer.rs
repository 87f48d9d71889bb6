//! What StartMessaging's answers mean.
//!
//! The shapes are those of its server as read on 2026-11-23, which its tutorials do not tell: errors
//! are `{"success":false,"error":{"code","message"}}`, the per-number limit is a 400, an empty
//! balance is a 400, and its 429 and 5xx share one code. So the status decides first, then the code.
//! Reading is tolerant (unknown, missing and null members, flat bodies of its older dialects, any
//! `Content-Type`); meaning is strict: only what is certain to have done nothing is said to have.

use std::time::Duration;

use serde_json::{Map, Value};

use super::super::http::{Answer, id};
use super::super::{Accepted, AccountFault, CodeOwner, Progress, ProviderError, Verdict};

/// The provider's per-number window: a refusal lasts at most that long.
const NUMBER_WINDOW: Duration = Duration::from_mins(5);
/// The provider's throttle window, for a 429 without a usable `Retry-After`.
const THROTTLE_WINDOW: Duration = Duration::from_secs(10);

/// The envelope around every answer.
pub(super) struct Envelope {
    success: Option<bool>,
    members: Map<String, Value>,
}

impl Envelope {
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        let members = answer.members()?;
        let success = members.get("success").and_then(Value::as_bool);
        Some(Self { success, members })
    }

    fn data(&self, name: &str) -> Option<&Value> {
        self.members.get("data")?.get(name)
    }

    /// The stable name of an error.
    fn code(&self) -> Option<&str> {
        self.members.get("error")?.get("code")?.as_str()
    }

    /// The sentence of an error, in the real and in the tutorials' place.
    pub(super) fn message(&self) -> Option<&str> {
        let nested = self.members.get("error").and_then(|e| e.get("message"));
        nested.or_else(|| self.members.get("message"))?.as_str()
    }
}

/// What the answer to `POST /otp/send` means.
pub(super) fn sent(answer: &Answer, mode: CodeOwner) -> Result<Accepted, ProviderError> {
    let status = answer.status;
    let envelope = Envelope::of(answer);
    if !(200..=299).contains(&status) {
        return Err(refusal(answer, envelope.as_ref(), mode));
    }
    let envelope = envelope.ok_or(ProviderError::Nonsense { status })?;
    if envelope.success == Some(false) {
        return Err(ProviderError::Failed { status });
    }
    // The top level's `requestId` names the HTTP call, not the code.
    let reference = id(envelope.data("otpRequestId")).or_else(|| id(envelope.data("requestId")));
    if mode == CodeOwner::Vendor && reference.is_none() {
        // The SMS is out, but its code cannot be checked until the same key is told the reference.
        return Err(ProviderError::Nonsense { status });
    }
    Ok(Accepted {
        message_id: id(envelope.data("messageId")),
        reference: reference.filter(|_| mode == CodeOwner::Vendor),
    })
}

/// What the answer to `POST /otp/verify` means. The real server has no such route; what is known of
/// it is what the tutorials claim.
pub(super) fn checked(answer: &Answer) -> Result<Verdict, ProviderError> {
    let status = answer.status;
    let envelope = Envelope::of(answer);
    let code = envelope.as_ref().and_then(Envelope::code);
    match (status, code) {
        (200..=299, _) => {
            let envelope = envelope.ok_or(ProviderError::Nonsense { status })?;
            let verified = envelope.data("verified");
            let verified = verified.or_else(|| envelope.members.get("verified"));
            match verified {
                Some(Value::Bool(true)) if envelope.success != Some(false) => Ok(Verdict::Right),
                Some(Value::Bool(false)) => Ok(Verdict::Wrong),
                Some(_) | None => Err(ProviderError::Nonsense { status }),
            }
        }
        (410, _) | (400, Some("OTP_EXPIRED" | "INVALID_REQUEST_ID")) => Ok(Verdict::Gone),
        (400, Some("ALREADY_VERIFIED")) => Ok(Verdict::AlreadyUsed),
        (400, Some("MAX_ATTEMPTS_EXCEEDED")) => Ok(Verdict::Spent),
        // An exception without a code of its own is INVALID_INPUT; the flat form has none at all.
        (400, Some("OTP_INVALID" | "INVALID_INPUT")) => Ok(Verdict::Wrong),
        (400, None) if envelope.as_ref().and_then(Envelope::message).is_some() => {
            Ok(Verdict::Wrong)
        }
        _ => Err(refusal(answer, envelope.as_ref(), CodeOwner::Vendor)),
    }
}

/// What the answer to `GET /messages/:id` means: both spellings, and `data: null` for an unknown id.
pub(super) fn progress(answer: &Answer) -> Result<Option<Progress>, ProviderError> {
    let status = answer.status;
    let envelope = Envelope::of(answer);
    match status {
        200..=299 => {
            let envelope = envelope.ok_or(ProviderError::Nonsense { status })?;
            if envelope.success == Some(false) {
                return Err(ProviderError::Failed { status });
            }
            Ok(match envelope.data("status").and_then(Value::as_str) {
                Some("delivered") => Some(Progress::Delivered),
                Some("failed" | "expired") => Some(Progress::Failed),
                Some(_) => Some(Progress::Pending),
                None => None,
            })
        }
        404 => Ok(None),
        _ => Err(refusal(answer, envelope.as_ref(), CodeOwner::Service)),
    }
}

/// What an answer that is no 2xx means.
fn refusal(answer: &Answer, envelope: Option<&Envelope>, mode: CodeOwner) -> ProviderError {
    let status = answer.status;
    let account = |fault| ProviderError::AccountFault { fault, status };
    match (status, envelope.and_then(Envelope::code)) {
        (429, _) => ProviderError::Throttled {
            retry_after: answer.retry_after.unwrap_or(THROTTLE_WINDOW),
        },
        (400, Some("RATE_LIMIT_EXCEEDED")) => ProviderError::NumberCooling {
            retry_after: NUMBER_WINDOW,
        },
        (402, _) | (400, Some("INSUFFICIENT_BALANCE")) => account(AccountFault::Balance),
        (401, _) => account(AccountFault::Key),
        (403, _) => account(AccountFault::Onboarding),
        // The provider's carrier call and its own bookkeeping fail alike: the SMS may be out.
        (400, Some("OTP_SEND_FAILED")) => ProviderError::SendFailed { status },
        // The real server's words for a body in the tutorials' form.
        (400, Some("VALIDATION_ERROR"))
            if mode == CodeOwner::Vendor
                && envelope
                    .and_then(Envelope::message)
                    .is_some_and(|message| message.starts_with("variables must be")) =>
        {
            ProviderError::WrongMode { status }
        }
        (404 | 405, _) => ProviderError::WrongMode { status },
        (400, Some(_)) | (406..=428 | 430..=499, _) => ProviderError::Rejected { status },
        // A bare 400 may come from anything on the way, also after the SMS is out.
        _ => ProviderError::Failed { status },
    }
}

#[cfg(test)]
mod tests;
