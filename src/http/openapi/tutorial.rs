//! `/auth/*`: the two calls of StartMessaging's tutorial. Each has two paths.

use serde_json::{Value, json};
use utoipa::ToSchema;

use super::operation::{Answer, Operation};
use super::otp::{LOGIN_EXPIRES_AT, signed_in};
use super::schemas::{self, Schemas};
use super::security;
use crate::http::codes::Code;
use crate::http::tutorial::{
    DEVICE_COOKIE, DetailBody, ErrorBody, FaultsBody, IncorrectBody, SentBody,
};

const TAG: &str = "Tutorial";

/// Asks for a code.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the handler reads the members one by one")]
struct TutorialSend {
    #[schema(pattern = r"^\+91[0-9]{10}$")]
    phone_number: String,
    /// A public client's name; may be left out where the only client is public.
    client_id: Option<String>,
}

/// A code that a user typed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the handler reads the members one by one")]
struct TutorialVerify {
    #[schema(pattern = "^[0-9]{4,6}$")]
    code: String,
    /// A public client's name; may be left out.
    client_id: Option<String>,
}

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<TutorialSend>()
        .with::<TutorialVerify>()
        .with::<SentBody>()
        .with::<IncorrectBody>()
        .with::<ErrorBody<'_>>()
        .with::<DetailBody<'_>>()
        .with::<FaultsBody<'_>>()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        send("/auth/send-otp/", "tutorialSend"),
        send("/auth/send-otp", "tutorialSendBare"),
        verify("/auth/verify-otp/", "tutorialVerify"),
        verify("/auth/verify-otp", "tutorialVerifyBare"),
    ]
}

fn send(path: &'static str, id: &str) -> Operation {
    let sent = Answer::new("The code is on its way. The cookie stands for the request.")
        .json::<SentBody>(&[("sent", json!({"expires_at": LOGIN_EXPIRES_AT}))])
        .header("Set-Cookie");
    let call = Operation::new(
        ("post", path),
        (TAG, id),
        "Texts a code, as the tutorial does",
        "A front end written for StartMessaging's tutorial works unchanged. Cross-site calls of pages that are not \
         registered are refused.",
    )
    .security(security::client_or_named())
    .parameter(device_cookie())
    .body::<TutorialSend>(
        "application/json",
        &[("number", json!({"phone_number": "+919876543210"}))],
    )
    .answer(200, sent)
    .answer(401, unknown_client(Answer::new("The client is not known.")));
    failures(call, "phone_number")
        .answer(
            502,
            failure(Code::ProviderError).optional_header("Set-Cookie"),
        )
        .answer(
            504,
            failure(Code::ProviderTimeout).optional_header("Set-Cookie"),
        )
}

fn verify(path: &'static str, id: &str) -> Operation {
    let incorrect = schemas::of::<IncorrectBody>();
    let detail = schemas::of::<DetailBody<'_>>();
    let refused = Answer::new("The code is wrong; or: the client is not known.")
        .body(
            "application/json",
            &json!({"oneOf": [incorrect, detail]}),
            &[
                ("wrong", json!({"verified": false})),
                ("client", json!({"detail": Code::InvalidClient.title()})),
            ],
        )
        .optional_header("WWW-Authenticate");
    let call = Operation::new(
        ("post", path),
        (TAG, id),
        "Turns a right code into tokens, as the tutorial does",
        "The cookie of the send tells which request the code is for.",
    )
    .security(security::request_of_client_or_named())
    .parameter(device_cookie())
    .body::<TutorialVerify>("application/json", &[("typed", json!({"code": "519914"}))])
    .answer(200, signed_in().header("Set-Cookie"))
    .answer(401, refused);
    failures(call, "code")
        .answer(502, failure(Code::ProviderError))
        .answer(504, failure(Code::ProviderTimeout))
}

/// What both calls fail with; `member` is what the body must have.
fn failures(call: Operation, member: &str) -> Operation {
    let malformed = Answer::new(
        "A member of the body is missing or malformed, or the number is not for us; or: the body is not JSON; or: the \
         request is over.",
    );
    let any = [
        schemas::of::<FaultsBody<'_>>(),
        schemas::of::<DetailBody<'_>>(),
        schemas::of::<ErrorBody<'_>>(),
    ];
    let malformed = malformed.body(
        "application/json",
        &json!({"anyOf": any}),
        &[
            ("member", json!({member: ["This field is required."]})),
            ("json", json!({"detail": "JSON parse error"})),
            ("over", json!({"error": "session expired"})),
        ],
    );
    call.problems(&[Code::RequestTimeout, Code::PayloadTooLarge])
        .answer(400, malformed)
        .answer(403, refusal(Code::OriginNotAllowed))
        .answer(415, refusal(Code::UnsupportedMediaType))
        .answer(429, refusal(Code::RateLimited).header("Retry-After"))
        .answer(500, failure(Code::InternalError))
        .answer(503, failure(Code::ServiceUnavailable).header("Retry-After"))
        .limited()
}

fn unknown_client(answer: Answer) -> Answer {
    answer
        .json::<DetailBody<'_>>(&[("client", json!({"detail": Code::InvalidClient.title()}))])
        .header("WWW-Authenticate")
}

fn refusal(code: Code) -> Answer {
    Answer::new(&format!("{}.", code.title()))
        .json::<DetailBody<'_>>(&[(code.name(), json!({"detail": code.title()}))])
}

fn failure(code: Code) -> Answer {
    Answer::new(&format!("{}.", code.title()))
        .json::<ErrorBody<'_>>(&[(code.name(), json!({"error": code.title()}))])
}

fn device_cookie() -> Value {
    json!({
        "name": DEVICE_COOKIE,
        "in": "cookie",
        "description": "Of the last login from this device.",
        "schema": {"type": "string"},
        "example": "AfDUTTM0ooU7zqNT",
    })
}
