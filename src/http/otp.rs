//! `/v1/otp/*`: send, resend, report, verify.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Path;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{Faults, Fields, uuid};
use super::call::Call;
use super::codes::Code;
use super::incoming::Body;
use super::openapi::schemas;
use super::problem::Problem;
use super::reply::Reply;
use super::token::wanted;
use crate::clock::rfc3339;
use crate::device_receipt::DeviceReceipt;
use crate::limit::Quota;
use crate::otp::code::Guess;
use crate::otp::request::{Purpose, RequestId};
use crate::otp::resend::ResendCode;
use crate::otp::send::{Issued, SendCode};
use crate::phone::{PhoneNumber, PhoneRules};
use crate::sign_in::{SignedIn, VerifyCode};

/// A code that was sent.
#[derive(Serialize, ToSchema)]
#[schema(as = SentCode)]
pub(super) struct IssuedBody {
    /// Verify, resend and report take it.
    #[schema(format = Uuid)]
    request_id: String,
    /// Masked.
    phone_number: String,
    #[schema(schema_with = schemas::channel)]
    channel: &'static str,
    /// Digits in the code.
    #[schema(minimum = 1)]
    code_length: usize,
    #[schema(format = DateTime)]
    expires_at: String,
    /// Seconds until `expires_at`.
    #[schema(minimum = 0)]
    expires_in: i64,
    /// When it may be resent.
    #[schema(format = DateTime)]
    resend_at: String,
    /// SMS that this request has left.
    #[schema(minimum = 0)]
    sends_remaining: i32,
}

/// Where a request stands.
#[derive(Serialize, ToSchema)]
#[schema(as = RequestReport)]
pub(super) struct ReportBody {
    #[schema(format = Uuid)]
    request_id: String,
    #[schema(schema_with = schemas::status)]
    status: &'static str,
    #[schema(schema_with = schemas::delivery)]
    delivery: &'static str,
    /// Wrong codes that this request may still get.
    #[schema(minimum = 0)]
    attempts_remaining: i32,
    /// SMS that this request has left.
    #[schema(minimum = 0)]
    sends_remaining: i32,
    #[schema(format = DateTime)]
    expires_at: String,
    /// When it may be resent.
    #[schema(format = DateTime)]
    resend_at: String,
}

/// A right code's worth.
#[derive(Serialize, ToSchema)]
#[schema(as = SignedIn)]
pub(super) struct SignedInBody<'a> {
    #[schema(schema_with = schemas::always_true)]
    verified: bool,
    #[schema(schema_with = schemas::bearer)]
    token_type: &'static str,
    /// A JWT (RFC 9068).
    access_token: &'a str,
    /// Seconds that the access token is good for.
    #[schema(minimum = 1)]
    expires_in: u64,
    /// Good for once; see `POST /v1/token`.
    refresh_token: &'a str,
    /// Seconds that the refresh token is good for.
    #[schema(minimum = 0)]
    refresh_expires_in: i64,
    /// The user: `sub` of the token.
    subject: Uuid,
    /// The session: `sid` of the token.
    session_id: Uuid,
    /// Whether this is the first login with the phone.
    new_user: bool,
    /// Send it along with the next send, resend or verify from this device.
    device_receipt: &'a str,
}

/// `POST /v1/otp/send`
pub async fn send(call: Call, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let fields = call.fields(&body)?;
        let caller = call.caller(&fields)?;
        let quotas = call.limit(&caller)?;
        let client = call.client_of(&caller)?.id.clone();
        let reply = call.once(client.as_str(), "send", &body, async |operation, seat| {
            let (phone, purpose) = send_fields(&fields, &call.state.phone_rules)?;
            let ask = SendCode {
                phone,
                client: client.clone(),
                purpose,
                origin: call.origin(&caller),
                receipt: receipt(&fields)?,
            };
            let (otp, now) = (Arc::clone(&call.state.otp), call.now());
            let send = async move { otp.send(ask, operation, seat, now).await };
            let issued = call.apart(send).await??;
            let location = format!("/v1/otp/{}", issued.request_id);
            Ok(issued_reply(201, issued).at(location))
        });
        with_quotas(quotas, reply.await)
    })
    .await
}

/// `POST /v1/otp/resend`
pub async fn resend(call: Call, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let fields = call.fields(&body)?;
        let caller = call.caller(&fields)?;
        let quotas = call.limit(&caller)?;
        let reply = call.once(caller.name(), "resend", &body, async |operation, seat| {
            let ask = ResendCode {
                request: request_id(&fields)?,
                caller: caller.clone(),
                origin: call.origin(&caller),
                receipt: receipt(&fields)?,
            };
            let (otp, now) = (Arc::clone(&call.state.otp), call.now());
            let resend = async move { otp.resend(ask, operation, seat, now).await };
            let issued = call.apart(resend).await??;
            Ok(issued_reply(200, issued))
        });
        with_quotas(quotas, reply.await)
    })
    .await
}

/// `POST /v1/otp/verify`
pub async fn verify(call: Call, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let fields = call.fields(&body)?;
        let caller = call.caller(&fields)?;
        let quotas = call.limit(&caller)?;
        let reply = call.once(caller.name(), "verify", &body, async |operation, seat| {
            let (request, guess) = verify_fields(&fields)?;
            let ask = VerifyCode {
                request,
                guess,
                wanted: wanted(&fields)?,
                caller: caller.clone(),
                origin: call.origin(&caller),
                receipt: receipt(&fields)?,
            };
            let (state, now) = (call.state.clone(), call.now());
            let verify = async move { state.sign_in.verify(&ask, operation, seat, now).await };
            Ok(signed_in_reply(&call.apart(verify).await??))
        });
        with_quotas(quotas, reply.await)
    })
    .await
}

/// `GET /v1/otp/{request_id}`
pub async fn report(call: Call, path: Path<String>) -> HttpResponse {
    let found = async {
        let id = parse_id(&path).ok_or_else(|| Problem::field("/request_id", "must be a UUID"))?;
        let _seat = call.seat().await?;
        let report = call.state.otp.report(id, call.now()).await?;
        let report = report.ok_or_else(|| Problem::new(Code::OtpRequestExpired))?;
        Ok::<_, Problem>(ReportBody {
            request_id: report.request_id.to_string(),
            status: report.status.name(),
            delivery: report.delivery.name(),
            attempts_remaining: report.attempts_remaining,
            sends_remaining: report.sends_remaining,
            expires_at: rfc3339(report.expires_at),
            resend_at: rfc3339(report.resend_at),
        })
    };
    call.answer(found.await.map(|body| Reply::json(200, &body)))
}

impl Call {
    /// The body as a JSON object.
    pub fn fields(&self, body: &[u8]) -> Result<Fields, Problem> {
        Fields::parse(self.header(&CONTENT_TYPE), body)
    }
}

pub(super) fn send_fields(
    fields: &Fields,
    phones: &PhoneRules,
) -> Result<(PhoneNumber, Purpose), Problem> {
    let mut faults = Faults::default();
    let phone = faults.note("/phone_number", fields.text("phone_number"));
    let purpose = faults
        .note("/purpose", fields.optional_text("purpose"))
        .flatten();
    let purpose = Purpose::parse(purpose.unwrap_or("login")).ok_or("must be \"login\"");
    let purpose = faults.note("/purpose", purpose);
    match (phone, purpose, faults.problem()) {
        (Some(phone), Some(purpose), None) => Ok((PhoneNumber::parse(phone, phones)?, purpose)),
        (_, _, faults) => Err(faults.unwrap_or_else(|| Problem::new(Code::InvalidRequest))),
    }
}

pub(super) fn request_id(fields: &Fields) -> Result<RequestId, Problem> {
    let text = fields.text("request_id");
    let text = text.map_err(|error| Problem::field("/request_id", &error.to_string()))?;
    parse_id(text).ok_or_else(|| Problem::field("/request_id", "must be a UUID"))
}

pub(super) fn verify_fields(fields: &Fields) -> Result<(RequestId, Guess), Problem> {
    let mut faults = Faults::default();
    let id = faults.note("/request_id", fields.text("request_id"));
    let id = id.and_then(|id| faults.note("/request_id", parse_id(id).ok_or("must be a UUID")));
    let code = faults.note("/code", fields.text("code"));
    let code = code.and_then(|code| faults.note("/code", Guess::parse(code)));
    match (id, code) {
        (Some(id), Some(code)) => Ok((id, code)),
        _ => Err(faults
            .problem()
            .unwrap_or_else(|| Problem::new(Code::InvalidRequest))),
    }
}

/// A receipt that is no good is as good as none; only its type must be right.
pub(super) fn receipt(fields: &Fields) -> Result<Option<DeviceReceipt>, Problem> {
    let text = fields.optional_text("device_receipt");
    let text = text.map_err(|error| Problem::field("/device_receipt", &error.to_string()))?;
    Ok(text.and_then(DeviceReceipt::new))
}

fn parse_id(text: &str) -> Option<RequestId> {
    uuid(text).map(RequestId)
}

fn issued_reply(status: u16, issued: Issued) -> Reply {
    let body = IssuedBody {
        request_id: issued.request_id.to_string(),
        phone_number: issued.phone.masked(),
        channel: "sms",
        code_length: crate::otp::code::CODE_LENGTH,
        expires_at: rfc3339(issued.expires_at),
        expires_in: (issued.expires_at - issued.answered_at)
            .num_seconds()
            .max(0),
        resend_at: rfc3339(issued.resend_at),
        sends_remaining: issued.sends_remaining,
    };
    Reply::json(status, &body).quotas(issued.quotas)
}

/// The answer to a right code.
pub fn signed_in_reply(signed_in: &SignedIn) -> Reply {
    let tokens = &signed_in.tokens;
    let body = SignedInBody {
        verified: true,
        token_type: "Bearer",
        access_token: tokens.access.expose(),
        expires_in: tokens.access.expires_in(),
        refresh_token: &tokens.refresh.expose(),
        refresh_expires_in: tokens.refresh_expires_in(),
        subject: tokens.session.user_id(),
        session_id: tokens.session.id(),
        new_user: signed_in.new_user,
        device_receipt: signed_in.receipt.expose(),
    };
    Reply::json(200, &body)
}

/// Adds what is left of the address's limits to an answer, good or bad.
fn with_quotas(quotas: Vec<Quota>, outcome: Result<Reply, Problem>) -> Result<Reply, Problem> {
    match outcome {
        Ok(reply) => Ok(reply.quotas(quotas)),
        Err(problem) => Err(problem.quotas(quotas)),
    }
}
