//! The envelope around every answer, in the real server's order of members.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::refusal::Refusal;
use super::throttle::Allowance;
use crate::random::{self, Random, RandomUnavailable};

/// `application/json` as Express writes it.
const JSON: &str = "application/json; charset=utf-8";

/// What leaves the server.
pub(super) struct Reply {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The JSON text.
    pub(super) body: String,
    /// The throttle's three headers, absent where the throttle was not asked or said no.
    pub(super) allowance: Option<Allowance>,
    /// `Retry-After` in seconds.
    pub(super) retry_after: Option<u32>,
}

impl Reply {
    /// The reply to a request that was granted with this rendered body.
    pub(super) fn granted(granted: Granted, allowance: Option<Allowance>) -> Self {
        let Granted { status, body } = granted;
        Self {
            status,
            body,
            allowance,
            retry_after: None,
        }
    }

    /// The reply to a request that was not granted.
    pub(super) fn refused(
        refusal: &Refusal,
        allowance: Option<Allowance>,
        random: &dyn Random,
        now: DateTime<Utc>,
    ) -> Self {
        let retry_after = if let Refusal::Throttled(seconds) = refusal {
            Some(*seconds)
        } else {
            None
        };
        let body = failure(refusal, random, now);
        Self {
            status: refusal.status(),
            body,
            allowance,
            retry_after,
        }
    }
}

impl From<Reply> for HttpResponse {
    fn from(reply: Reply) -> Self {
        let mut response = Self::build(reply.status);
        response.content_type(JSON);
        if let Some(allowance) = reply.allowance {
            response.insert_header(("X-RateLimit-Limit", allowance.limit));
            response.insert_header(("X-RateLimit-Remaining", allowance.remaining));
            response.insert_header(("X-RateLimit-Reset", allowance.reset_seconds));
        }
        if let Some(seconds) = reply.retry_after {
            response.insert_header(("Retry-After", seconds));
        }
        response.body(reply.body)
    }
}

/// A granted request's status and body, ready to leave (or to be replayed).
#[derive(Clone)]
pub(super) struct Granted {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The JSON text of the whole envelope.
    pub(super) body: String,
}

impl Granted {
    /// Puts `data` into the success envelope.
    ///
    /// # Errors
    /// [`Refusal::Internal`] when there is no randomness for the correlation id.
    pub(super) fn new(
        status: StatusCode,
        data: &impl Serialize,
        random: &dyn Random,
        now: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        let envelope = Granting {
            success: true,
            status_code: status.as_u16(),
            request_id: correlation_id(random).map_err(|RandomUnavailable| Refusal::Internal)?,
            timestamp: iso(now),
            data,
        };
        let body = serde_json::to_string(&envelope).unwrap_or_default();
        Ok(Self { status, body })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Granting<'a, T> {
    success: bool,
    status_code: u16,
    request_id: String,
    timestamp: String,
    data: &'a T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refusing<'a> {
    success: bool,
    status_code: u16,
    request_id: Uuid,
    timestamp: String,
    error: RefusalBody<'a>,
}

#[derive(Serialize)]
struct RefusalBody<'a> {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail<'a>>,
}

#[derive(Serialize)]
struct Detail<'a> {
    message: &'a str,
}

/// The error envelope; its `requestId` is a bare UUID, not the `req_` id of a success.
fn failure(refusal: &Refusal, random: &dyn Random, now: DateTime<Utc>) -> String {
    let envelope = Refusing {
        success: false,
        status_code: refusal.status().as_u16(),
        request_id: random::uuid_v4(random).unwrap_or(Uuid::nil()),
        timestamp: iso(now),
        error: RefusalBody {
            code: refusal.code(),
            message: refusal.message(),
            details: refusal
                .details()
                .iter()
                .map(|message| Detail { message })
                .collect(),
        },
    };
    serde_json::to_string(&envelope).unwrap_or_default()
}

/// `req_` and 16 hexadecimal digits.
fn correlation_id(random: &dyn Random) -> Result<String, RandomUnavailable> {
    let bytes: [u8; 8] = random::bytes(random)?;
    Ok(format!("req_{:016x}", u64::from_be_bytes(bytes)))
}

/// ISO 8601 in UTC with milliseconds and `Z`, as JavaScript's `toISOString` writes it.
pub(super) fn iso(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// [`iso`] as a serde `serialize_with`.
pub(super) fn serialize_iso<S: Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&iso(*time))
}
