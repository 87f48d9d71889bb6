//! The two calls of StartMessaging's Django tutorial, for front ends written for it: a cookie
//! instead of a request id, and Django REST framework's error bodies.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, ORIGIN};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{FieldError, Fields, is_json};
use super::call::Call;
use super::codes::Code;
use super::cookies;
use super::incoming::Body;
use super::openapi::schemas;
use super::otp::signed_in_reply;
use super::problem::Problem;
use super::reply::Reply;
use crate::client::Caller;
use crate::clock::rfc3339;
use crate::device_receipt::DeviceReceipt;
use crate::otp::code::Guess;
use crate::otp::request::{Purpose, RequestId};
use crate::otp::send::SendCode;
use crate::secrets::{Keyring, Purpose as Seal};
use crate::sign_in::VerifyCode;
use crate::token::grant::Wanted;

/// A code that was sent.
#[derive(Serialize, ToSchema)]
#[schema(as = TutorialSent)]
pub(super) struct SentBody {
    #[schema(format = DateTime)]
    expires_at: String,
}

/// A wrong code.
#[derive(Serialize, ToSchema)]
#[schema(as = TutorialIncorrect)]
pub(super) struct IncorrectBody {
    #[schema(schema_with = schemas::always_false)]
    verified: bool,
}

/// Why a call failed.
#[derive(Serialize, ToSchema)]
#[schema(as = TutorialError)]
pub(super) struct ErrorBody<'a> {
    error: &'a str,
}

/// Why a call was refused.
#[derive(Serialize, ToSchema)]
#[schema(as = TutorialDetail)]
pub(super) struct DetailBody<'a> {
    detail: &'a str,
}

/// What is wrong with each member of the body, by its name.
#[derive(Serialize, ToSchema)]
#[schema(as = TutorialFaults)]
pub(super) struct FaultsBody<'a>(BTreeMap<&'a str, [&'a str; 1]>);

pub(super) const REQUEST_COOKIE: &str = "otp_request";
/// Tells that this browser logged in before.
pub(super) const DEVICE_COOKIE: &str = "otp_device";
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// `POST /auth/send-otp/`
pub async fn send(call: Call, body: Body) -> HttpResponse {
    let answer = |call: Call| async move {
        Ok(send_code(&call, &body).await.unwrap_or_else(|reply| *reply))
    };
    call.to_the_end(answer).await
}

/// `POST /auth/verify-otp/`
pub async fn verify(call: Call, body: Body) -> HttpResponse {
    let answer = |call: Call| async move {
        Ok(verify_code(&call, &body)
            .await
            .unwrap_or_else(|reply| *reply))
    };
    call.to_the_end(answer).await
}

async fn send_code(call: &Call, body: &[u8]) -> Result<Reply, Box<Reply>> {
    let fields = fields(call, body)?;
    let caller = call.caller(&fields);
    let caller = caller.map_err(|problem| refused(call, problem))?;
    let quotas = call.limit(&caller).map_err(drf)?;
    let outcome = send_counted(call, &fields, &caller).await;
    Ok(outcome.unwrap_or_else(|reply| *reply).quotas(quotas))
}

/// Sends a code once the call was counted for its address.
async fn send_counted(call: &Call, fields: &Fields, caller: &Caller) -> Result<Reply, Box<Reply>> {
    let client = call.client_of(caller).map_err(drf)?.id.clone();
    let typed = pattern(fields, "phone_number", indian_e164)?;
    let phone = call.phone(typed);
    let phone = phone.map_err(|error| drf(Problem::from(error)))?;
    let ask = SendCode {
        phone,
        client,
        purpose: Purpose::Login,
        origin: call.origin(caller),
        receipt: device_cookie(call),
    };
    let operation = call.operation().map_err(drf)?;
    let seat = call.seat().await.map_err(drf)?;
    let (otp, now) = (Arc::clone(&call.state.otp), call.now());
    let send = async move { otp.send(ask, operation, seat, now).await };
    match call.apart(send).await.map_err(drf)? {
        Ok(issued) => {
            let life = issued.expires_at - issued.answered_at;
            let expires_at = rfc3339(issued.expires_at);
            let mut reply = Reply::json(200, &SentBody { expires_at });
            reply.set_cookies = vec![request_cookie(call, issued.request_id, life)?];
            Ok(reply.quotas(issued.quotas))
        }
        Err(error) => {
            let live = error.live_request();
            let mut reply = drf(Problem::from(error));
            if let Some(id) = live {
                // The SMS may arrive all the same; without the cookie its code would be lost.
                reply.set_cookies = vec![request_cookie(call, id, call.state.otp.ttl())?];
            }
            Err(reply)
        }
    }
}

async fn verify_code(call: &Call, body: &[u8]) -> Result<Reply, Box<Reply>> {
    let fields = fields(call, body)?;
    let caller = call.caller(&fields);
    let caller = caller.map_err(|problem| refused(call, problem))?;
    let quotas = call.limit(&caller).map_err(drf)?;
    let outcome = verify_counted(call, &fields, &caller).await;
    Ok(outcome.unwrap_or_else(|reply| *reply).quotas(quotas))
}

/// Checks a code once the call was counted for its address.
async fn verify_counted(
    call: &Call,
    fields: &Fields,
    caller: &Caller,
) -> Result<Reply, Box<Reply>> {
    let guess = pattern(fields, "code", |code| Guess::parse_tutorial(code).ok())?;
    let request = cookie_request(call).ok_or_else(session_expired)?;
    let ask = VerifyCode {
        request,
        guess,
        wanted: Wanted::default(),
        caller: caller.clone(),
        origin: call.origin(caller),
        receipt: device_cookie(call),
    };
    let operation = call.operation().map_err(drf)?;
    let seat = call.seat().await.map_err(drf)?;
    let (state, now) = (call.state.clone(), call.now());
    let verify = async move { state.sign_in.verify(&ask, operation, seat, now).await };
    let signed_in = call.apart(verify).await.map_err(drf)?;
    let signed_in = signed_in.map_err(|error| refused(call, Problem::from(error)))?;
    let mut reply = signed_in_reply(&signed_in);
    let receipt = signed_in.receipt.expose().to_owned();
    reply.set_cookies = vec![
        cookie(call, REQUEST_COOKIE, String::new(), TimeDelta::zero()),
        cookie(call, DEVICE_COOKIE, receipt, call.state.otp.receipt_life()),
    ];
    Ok(reply)
}

/// The body, after the checks that any POST with a cookie needs.
fn fields(call: &Call, body: &[u8]) -> Result<Fields, Box<Reply>> {
    if !same_site(call) {
        return Err(drf(Problem::new(Code::OriginNotAllowed)));
    }
    let content_type = call.header(&CONTENT_TYPE);
    if !content_type.is_some_and(is_json) {
        return Err(detail(415, "Unsupported media type in request."));
    }
    Fields::parse(content_type, body).or(Err(detail(400, "JSON parse error")))
}

/// Whether the page that posts may: `Origin` where the browser sends it, else `Sec-Fetch-Site`.
fn same_site(call: &Call) -> bool {
    let own = url::Url::parse(&call.state.issuer).map(|url| url.origin().ascii_serialization());
    match call.headers().get(ORIGIN) {
        // One that is not text is nobody's.
        Some(origin) => origin.to_str().is_ok_and(|origin| {
            own.is_ok_and(|own| own == origin) || call.state.clients.allow_origin(origin)
        }),
        None => call.header(&SEC_FETCH_SITE) != Some("cross-site"),
    }
}

/// A string member as `read` takes it, or Django REST framework's words for what is wrong.
pub(super) fn pattern<'a, T>(
    fields: &'a Fields,
    name: &'static str,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Result<T, Box<Reply>> {
    let message = match (fields.get(name), fields.text(name)) {
        (_, Ok("")) => "This field may not be blank.",
        (_, Ok(text)) => match read(text) {
            Some(value) => return Ok(value),
            None => "This value does not match the required pattern.",
        },
        (Some(Value::Null), Err(FieldError::Missing)) => "This field may not be null.",
        (_, Err(FieldError::Missing)) => "This field is required.",
        (_, Err(FieldError::NotText | FieldError::NotTexts)) => "Not a valid string.",
    };
    Err(field(name, message))
}

/// `^\+91\d{10}$`
pub(super) fn indian_e164(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("+91")?;
    (digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// [`drf`] of a refusal, which the log is told of.
fn refused(call: &Call, problem: Problem) -> Box<Reply> {
    call.tell_of(&problem);
    drf(problem)
}

/// A problem in the tutorial's words.
fn drf(problem: Problem) -> Box<Reply> {
    let status = problem.code.status();
    let title = problem.code.title();
    let mut reply = match problem.code {
        Code::OtpIncorrect => {
            let body = IncorrectBody { verified: false };
            Box::new(Reply::json(401, &body))
        }
        Code::OtpRequestExpired => session_expired(),
        Code::PhoneNumberNotAllowed | Code::InvalidPhoneNumber => {
            field("phone_number", "Enter a valid mobile number.")
        }
        Code::ProviderError
        | Code::ProviderUnavailable
        | Code::ProviderTimeout
        | Code::ServiceUnavailable
        | Code::InternalError => Box::new(Reply::json(status, &ErrorBody { error: title })),
        Code::InvalidRequest
        | Code::TooManyAttempts
        | Code::RateLimited
        | Code::IdempotencyInProgress
        | Code::IdempotencyConflict
        | Code::InvalidClient
        | Code::InvalidToken
        | Code::InsufficientScope
        | Code::OriginNotAllowed
        | Code::NotFound
        | Code::MethodNotAllowed
        | Code::RequestTimeout
        | Code::PayloadTooLarge
        | Code::UnsupportedMediaType => detail(status, title),
    };
    reply.retry_after = problem.retry_after.map(super::problem::whole_seconds);
    reply.www_authenticate = problem.challenge.map(str::to_owned);
    reply.quotas = problem.quotas;
    reply
}

fn field(name: &str, message: &str) -> Box<Reply> {
    let faults = FaultsBody(BTreeMap::from([(name, [message])]));
    Box::new(Reply::json(400, &faults))
}

fn detail(status: u16, detail: &str) -> Box<Reply> {
    Box::new(Reply::json(status, &DetailBody { detail }))
}

fn session_expired() -> Box<Reply> {
    let error = "session expired";
    Box::new(Reply::json(400, &ErrorBody { error }))
}

/// The cookie that stands for a request: its id, sealed.
fn request_cookie(call: &Call, id: RequestId, life: TimeDelta) -> Result<String, Box<Reply>> {
    let random = call.state.random.as_ref();
    let sealed = call
        .state
        .keyring
        .seal(Seal::Cookie, b"", id.0.as_bytes(), random);
    let sealed = sealed.map_err(|error| drf(Problem::internal(&error)))?;
    let value = URL_SAFE_NO_PAD.encode(sealed);
    Ok(cookie(call, REQUEST_COOKIE, value, life))
}

/// A `Set-Cookie` value; a life of zero takes the cookie away.
fn cookie(call: &Call, name: &'static str, value: String, life: TimeDelta) -> String {
    Cookie::build(name, value)
        .path("/auth")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(call.state.issuer.starts_with("https:"))
        .max_age(CookieDuration::seconds(life.num_seconds()))
        .finish()
        .to_string()
}

fn cookie_request(call: &Call) -> Option<RequestId> {
    opened_request(call.headers(), &call.state.keyring)
}

/// The request that the cookie of these headers stands for.
pub(super) fn opened_request(headers: &HeaderMap, keyring: &Keyring) -> Option<RequestId> {
    let value = cookies::values(headers, REQUEST_COOKIE).next()?;
    let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
    let opened = keyring.open(Seal::Cookie, b"", &sealed).ok()?;
    Uuid::from_slice(&opened).ok().map(RequestId)
}

fn device_cookie(call: &Call) -> Option<DeviceReceipt> {
    DeviceReceipt::new(cookies::values(call.headers(), DEVICE_COOKIE).next()?)
}
