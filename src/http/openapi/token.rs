//! `/v1/token*`

use serde_json::{Value, json};
use utoipa::ToSchema;

use super::operation::{Answer, Operation};
use super::schemas::{self, Schemas};
use super::security;
use crate::http::codes::Code;
use crate::http::form::OauthBody;
use crate::http::token::{ActiveBody, InactiveBody, TokensBody};

const TAG: &str = "Tokens";
const FORM: &str = "application/x-www-form-urlencoded";
/// Ours begin so.
const REFRESH_TOKEN: &str = "rt_AaIHN02oh1xW";

/// Asks for the next tokens (RFC 6749 section 6).
#[derive(ToSchema)]
#[expect(dead_code, reason = "the handler reads the parameters one by one")]
struct TokenForm {
    #[schema(schema_with = schemas::grant_type)]
    grant_type: String,
    #[schema(min_length = 1)]
    refresh_token: String,
    /// Less than the last ones had, if wanted; with one blank between.
    #[schema(nullable = false, pattern = "^$|^[!#-\\[\\]-~]+( [!#-\\[\\]-~]+)*$")]
    scope: Option<String>,
    /// Fewer than the last ones were for, if wanted.
    #[schema(nullable = false)]
    audience: Option<Vec<String>>,
    /// Of a client that does not use HTTP Basic; may be left out where the only client is public.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// Of a confidential client that does not use HTTP Basic.
    #[schema(nullable = false)]
    client_secret: Option<String>,
}

/// Asks for the next tokens.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the handler reads the members one by one")]
struct RefreshRequest {
    refresh_token: String,
    /// A public client's name; may be left out where the only client is public.
    client_id: Option<String>,
    /// Less than the last ones had, if wanted; with one blank between.
    #[schema(pattern = "^$|^[!#-\\[\\]-~]+( [!#-\\[\\]-~]+)*$")]
    scope: Option<String>,
    /// Fewer than the last ones were for, if wanted.
    #[schema(schema_with = schemas::one_or_several_or_none, required = false)]
    audience: Option<Vec<String>>,
}

/// Names a token, of either kind.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the handler reads the parameters one by one")]
struct AboutToken {
    #[schema(min_length = 1)]
    token: String,
    /// Makes no difference: the kinds are told apart.
    #[schema(nullable = false)]
    token_type_hint: Option<String>,
    /// Of a client that does not use HTTP Basic.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// Of a confidential client that does not use HTTP Basic.
    #[schema(nullable = false)]
    client_secret: Option<String>,
}

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<TokenForm>()
        .with::<RefreshRequest>()
        .with::<AboutToken>()
        .with::<TokensBody<'_>>()
        .with::<ActiveBody<'_>>()
        .with::<InactiveBody>()
        .with::<OauthBody<'_>>()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![refresh_by_form(), refresh_by_json(), revoke(), introspect()]
}

fn refresh_by_form() -> Operation {
    let call = Operation::new(
        ("post", "/v1/token"),
        (TAG, "refreshTokens"),
        "Buys the next tokens",
        "RFC 6749 section 6. A refresh token is good for once; for some seconds after that it gets the same successor \
         again, and later it ends the session.",
    )
    .body::<TokenForm>(
        FORM,
        &[(
            "refresh",
            json!({
                "grant_type": "refresh_token",
                "refresh_token": REFRESH_TOKEN,
                "client_id": "web",
            }),
        )],
    )
    .answer(200, tokens());
    oauth(
        call,
        &[
            "invalid_request",
            "invalid_grant",
            "unsupported_grant_type",
            "invalid_scope",
            "invalid_target",
        ],
    )
}

fn refresh_by_json() -> Operation {
    Operation::new(
        ("post", "/v1/token/refresh"),
        (TAG, "refreshTokensByJson"),
        "Buys the next tokens, in JSON",
        "The same as `POST /v1/token`, with problems for errors.",
    )
    .security(security::client_or_named())
    .body::<RefreshRequest>(
        "application/json",
        &[(
            "refresh",
            json!({"refresh_token": REFRESH_TOKEN, "client_id": "web"}),
        )],
    )
    .answer(200, tokens())
    .problems(&[
        Code::InvalidRequest,
        Code::InvalidClient,
        Code::InvalidToken,
        Code::RequestTimeout,
        Code::PayloadTooLarge,
        Code::UnsupportedMediaType,
        Code::ServiceUnavailable,
    ])
}

fn revoke() -> Operation {
    let call = Operation::new(
        ("post", "/v1/token/revoke"),
        (TAG, "revokeToken"),
        "Ends the session of a token",
        "RFC 7009. The answer is the same for what is no token, or is another client's.",
    )
    .body::<AboutToken>(
        FORM,
        &[(
            "log_out",
            json!({"token": REFRESH_TOKEN, "client_id": "web"}),
        )],
    )
    .answer(200, Answer::new("The token is not good, or not any more."));
    oauth(call, &["invalid_request"])
}

fn introspect() -> Operation {
    let told = json!({"anyOf": [
        schemas::of::<ActiveBody<'_>>(),
        schemas::of::<InactiveBody>(),
    ]});
    let call = Operation::new(
        ("post", "/v1/token/introspect"),
        (TAG, "introspectToken"),
        "Tells whether a token is good",
        "RFC 7662. For confidential clients with `may_introspect`, about access tokens for their audiences or of their \
         own. Anything else is inactive, refresh tokens too.",
    )
    .body::<AboutToken>(FORM, &[("ask", json!({"token": "eyJ0eXAiOiJhdCtqd3Qi.e30.c2ln"}))])
    .answer(
        200,
        Answer::new("What the token says, if it is good.").body(
            "application/json",
            &told,
            &[
                ("good", active_example()),
                ("not_good", json!({"active": false})),
            ],
        ),
    );
    oauth(call, &["invalid_request", "unauthorized_client"])
}

fn tokens() -> Answer {
    let next = "$response.body#/refresh_token";
    Answer::new("The next tokens of the session.")
        .json::<TokensBody<'_>>(&[(
            "next",
            json!({
                "access_token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl",
                "token_type": "Bearer",
                "expires_in": 900,
                "refresh_token": "rt_BbJIO13piyX2",
                "refresh_expires_in": 2_592_000,
                "scope": "phone",
            }),
        )])
        .link(
            "refreshTokensByJson",
            "Buys the tokens after these.",
            &json!({"requestBody": {"refresh_token": next}}),
        )
        .link(
            "revokeToken",
            "Ends the session.",
            &json!({"requestBody": {"token": next}}),
        )
}

/// What every call of OAuth can end with (RFC 6749 section 5.2), and the errors that are 400 in this one.
fn oauth(call: Operation, bad_requests: &[&str]) -> Operation {
    call.security(security::client_or_named())
        .problems(&[
            Code::RequestTimeout,
            Code::PayloadTooLarge,
            Code::UnsupportedMediaType,
        ])
        .answer(
            400,
            failure("The call is malformed, or not allowed.", bad_requests),
        )
        .answer(
            401,
            failure("Client authentication failed.", &["invalid_client"])
                .header("WWW-Authenticate"),
        )
        .answer(500, failure("The service failed.", &["server_error"]))
        .answer(
            503,
            failure("The service cannot work now.", &["temporarily_unavailable"])
                .header("Retry-After"),
        )
}

fn failure(description: &str, errors: &[&str]) -> Answer {
    let examples: Vec<(&str, Value)> = errors
        .iter()
        .map(|error| {
            let body = json!({"error": error, "error_description": "What is wrong, for people."});
            (*error, body)
        })
        .collect();
    let only = json!({"properties": {"error": {"enum": errors}}});
    let schema = json!({"allOf": [schemas::of::<OauthBody<'_>>(), only]});
    Answer::new(description).body("application/json", &schema, &examples)
}

fn active_example() -> Value {
    json!({
        "active": true,
        "token_type": "Bearer",
        "iss": "https://login.example",
        "sub": "7c3f23f2-5302-42b8-a93e-d1306e5bf0d0",
        "aud": "api",
        "client_id": "web",
        "iat": 1_795_417_395,
        "exp": 1_795_418_295,
        "jti": "Q2S3bYqf1jzrJ0m1",
        "sid": "01a20737-4da8-7c5d-96e9-0c829bc0fa1b",
        "amr": ["otp", "sms"],
        "auth_time": 1_795_417_395,
        "scope": "phone",
        "phone_number": "+919876543210",
        "phone_number_verified": true,
    })
}
