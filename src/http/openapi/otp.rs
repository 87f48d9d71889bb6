//! `/v1/otp/*`

use serde_json::{Value, json};
use utoipa::ToSchema;

use super::headers::idempotency_key;
use super::operation::{Answer, Operation};
use super::problems::REQUEST_ID;
use super::schemas::{self, Schemas};
use super::security;
use crate::http::codes::Code;
use crate::http::otp::{IssuedBody, ReportBody, SignedInBody};

const TAG: &str = "Codes";
/// Of the examples.
pub(super) const LOGIN_EXPIRES_AT: &str = "2026-11-23T07:08:14.553Z";

/// Asks for a code.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the handler reads the members one by one, to name every fault"
)]
struct SendRequest {
    /// In any usual spelling.
    #[schema(min_length = 1, format = "phone")]
    phone_number: String,
    /// A public client's name; may be left out where the only client is public.
    client_id: Option<String>,
    /// What the code is for.
    #[schema(schema_with = schemas::purpose)]
    purpose: Option<String>,
    /// Of the last login from this device.
    device_receipt: Option<String>,
}

/// Asks for the same digits again.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the handler reads the members one by one, to name every fault"
)]
struct ResendRequest {
    #[schema(format = Uuid)]
    request_id: String,
    /// A public client's name; may be left out.
    client_id: Option<String>,
    /// Of the last login from this device.
    device_receipt: Option<String>,
}

/// A code that a user typed.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the handler reads the members one by one, to name every fault"
)]
struct VerifyRequest {
    #[schema(format = Uuid)]
    request_id: String,
    #[schema(pattern = "^[0-9]{6}$")]
    code: String,
    /// A public client's name; may be left out.
    client_id: Option<String>,
    /// What the tokens shall be able to do, with one blank between; without it, all that the client has.
    #[schema(pattern = "^$|^[!#-\\[\\]-~]+( [!#-\\[\\]-~]+)*$")]
    scope: Option<String>,
    /// Who the tokens shall be for; without it, all that the client has.
    #[schema(schema_with = schemas::one_or_several_or_none, required = false)]
    audience: Option<Vec<String>>,
    /// Of the last login from this device.
    device_receipt: Option<String>,
}

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<SendRequest>()
        .with::<ResendRequest>()
        .with::<VerifyRequest>()
        .with::<IssuedBody>()
        .with::<ReportBody>()
        .with::<SignedInBody<'_>>()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![send(), resend(), report(), verify()]
}

fn send() -> Operation {
    Operation::new(
        ("post", "/v1/otp/send"),
        (TAG, "sendCode"),
        "Texts a code",
        "Known and unknown numbers get the same answer. An older request of the same phone ends.",
    )
    .security(security::client_or_named())
    .parameter(idempotency_key())
    .body::<SendRequest>(
        "application/json",
        &[(
            "login",
            json!({"phone_number": "+919876543210", "client_id": "web"}),
        )],
    )
    .answer(201, issued("The code is on its way.").header("Location"))
    .problems(&[&[Code::InvalidPhoneNumber][..], REFUSALS, PROVIDER].concat())
    .limited()
}

fn resend() -> Operation {
    Operation::new(
        ("post", "/v1/otp/resend"),
        (TAG, "resendCode"),
        "Texts the same digits again",
        "Not before `resend_at`, and as often as `sends_remaining` says. The code does not live longer for it.",
    )
    .security(security::client_or_named())
    .parameter(idempotency_key())
    .body::<ResendRequest>("application/json", &[("again", json!({"request_id": REQUEST_ID}))])
    .answer(200, issued("The code is on its way once more."))
    .problems(&[&[Code::OtpRequestExpired][..], REFUSALS, PROVIDER].concat())
    .limited()
}

fn report() -> Operation {
    Operation::new(
        ("get", "/v1/otp/{request_id}"),
        (TAG, "reportRequest"),
        "Tells where a request stands",
        "Never the number in the clear, and never the code.",
    )
    .in_path(
        "request_id",
        "Of the send.",
        &json!({"type": "string", "format": "uuid"}),
        &REQUEST_ID.to_string(),
    )
    .answer(
        200,
        Answer::new("Where it stands.").json::<ReportBody>(&[(
            "pending",
            json!({
                "request_id": REQUEST_ID,
                "status": "pending",
                "delivery": "sent",
                "attempts_remaining": 5,
                "sends_remaining": 2,
                "expires_at": LOGIN_EXPIRES_AT,
                "resend_at": "2026-11-23T07:03:44.553Z",
            }),
        )]),
    )
    .problems(&[
        Code::InvalidRequest,
        Code::OtpRequestExpired,
        Code::ServiceUnavailable,
    ])
}

fn verify() -> Operation {
    Operation::new(
        ("post", "/v1/otp/verify"),
        (TAG, "verifyCode"),
        "Turns a right code into tokens",
        "A used code is used; only a repeat with the same `Idempotency-Key` gets the same tokens again.",
    )
    .security(security::client_or_named())
    .parameter(idempotency_key())
    .body::<VerifyRequest>(
        "application/json",
        &[("typed", json!({"request_id": REQUEST_ID, "code": "519914"}))],
    )
    .answer(200, signed_in())
    .problems(
        &[
            &[Code::OtpRequestExpired, Code::OtpIncorrect][..],
            REFUSALS,
            PROVIDER,
        ]
        .concat(),
    )
    .limited()
}

/// What each of the calls that cost something can be refused with.
const REFUSALS: &[Code] = &[
    Code::InvalidRequest,
    Code::InvalidClient,
    Code::PhoneNumberNotAllowed,
    Code::IdempotencyInProgress,
    Code::RequestTimeout,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyConflict,
    Code::TooManyAttempts,
    Code::RateLimited,
    Code::ServiceUnavailable,
];

/// What the provider does to a call.
const PROVIDER: &[Code] = &[
    Code::ProviderError,
    Code::ProviderUnavailable,
    Code::ProviderTimeout,
];

fn issued(description: &str) -> Answer {
    let id = "$response.body#/request_id";
    let body = json!({"requestBody": {"request_id": id}});
    Answer::new(description)
        .json::<IssuedBody>(&[(
            "sent",
            json!({
                "request_id": REQUEST_ID,
                "phone_number": "+91******3210",
                "channel": "sms",
                "code_length": 6,
                "expires_at": LOGIN_EXPIRES_AT,
                "expires_in": 299,
                "resend_at": "2026-11-23T07:03:44.553Z",
                "sends_remaining": 2,
            }),
        )])
        .link("verifyCode", "Verifies the code that arrives.", &body)
        .link("resendCode", "Texts the same digits again.", &body)
        .link(
            "reportRequest",
            "Tells where the request stands.",
            &json!({"parameters": {"request_id": id}}),
        )
}

/// The answer to a right code, and what its tokens are good for.
pub(super) fn signed_in() -> Answer {
    let bearer = "Bearer {$response.body#/access_token}";
    let with_token = json!({"parameters": {"header.Authorization": bearer}});
    Answer::new("The code was right. The tokens are those of a new session.")
        .json::<SignedInBody<'_>>(&[("signed_in", signed_in_example())])
        .link(
            "refreshTokens",
            "Buys the next tokens.",
            &json!({"requestBody": {
                "grant_type": "refresh_token",
                "refresh_token": "$response.body#/refresh_token",
            }}),
        )
        .link(
            "refreshTokensByJson",
            "Buys the next tokens.",
            &json!({"requestBody": {"refresh_token": "$response.body#/refresh_token"}}),
        )
        .link(
            "revokeToken",
            "Ends the session.",
            &json!({"requestBody": {"token": "$response.body#/refresh_token"}}),
        )
        .link(
            "introspectToken",
            "Tells whether the access token is good.",
            &json!({"requestBody": {"token": "$response.body#/access_token"}}),
        )
        .link(
            "listSessions",
            "Tells where the user is logged in.",
            &with_token,
        )
        .link("readUser", "Tells who the user is.", &with_token)
        .link(
            "authorize",
            "Tells whether a gateway lets it through.",
            &with_token,
        )
        .link(
            "endSession",
            "Logs out.",
            &json!({"parameters": {
                "session_id": "$response.body#/session_id",
                "header.Authorization": bearer,
            }}),
        )
}

fn signed_in_example() -> Value {
    json!({
        "verified": true,
        "token_type": "Bearer",
        "access_token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl",
        "expires_in": 900,
        "refresh_token": "rt_AaIHN02oh1xW",
        "refresh_expires_in": 2_592_000,
        "subject": "7c3f23f2-5302-42b8-a93e-d1306e5bf0d0",
        "session_id": "01a20737-4da8-7c5d-96e9-0c829bc0fa1b",
        "new_user": true,
        "device_receipt": "AfDUTTM0ooU7zqNT",
    })
}
