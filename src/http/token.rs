//! `/v1/token*`: refresh, revoke, introspect.

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::body::{FieldError, Fields, uuid};
use super::call::Call;
use super::form::{Form, OauthError, caller_of};
use super::incoming::Body;
use super::openapi::schemas;
use super::problem::Problem;
use super::reply::Reply;
use crate::audit::Actor;
use crate::client::Client;
use crate::session::{EndReason, Ending, Refresh, SessionError, Tokens, Whose};
use crate::token::claims::Audience;
use crate::token::grant::Wanted;
use crate::token::refresh::RefreshToken;
use crate::verifier::{Claims, PhoneNumber};

/// The next tokens of a session (RFC 6749 section 5.1).
#[derive(Serialize, ToSchema)]
#[schema(as = Tokens)]
pub(super) struct TokensBody<'a> {
    /// A JWT (RFC 9068).
    access_token: &'a str,
    #[schema(schema_with = schemas::bearer)]
    token_type: &'static str,
    /// Seconds that the access token is good for.
    #[schema(minimum = 1)]
    expires_in: u64,
    /// Replaces the one that was sent.
    refresh_token: &'a str,
    /// Seconds that the refresh token is good for.
    #[schema(minimum = 0)]
    refresh_expires_in: i64,
    /// With one blank between; missing if there is none.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required = false)]
    scope: &'a str,
}

/// What is told of a token that is good (RFC 7662 section 2.2), beside the claims that operators gave its
/// client.
#[derive(Serialize, ToSchema)]
#[schema(as = ActiveToken)]
pub(super) struct ActiveBody<'a> {
    #[schema(schema_with = schemas::always_true)]
    active: bool,
    #[schema(schema_with = schemas::bearer)]
    token_type: &'static str,
    #[schema(format = Uri)]
    iss: &'a str,
    /// The user.
    #[schema(format = Uuid)]
    sub: &'a str,
    /// Who the token is for; one text where it is one.
    #[schema(schema_with = schemas::one_or_several)]
    aud: Audience<'a>,
    client_id: &'a str,
    /// In seconds since 1970.
    iat: i64,
    /// In seconds since 1970.
    exp: i64,
    jti: &'a str,
    /// The session.
    #[schema(format = Uuid)]
    sid: &'a str,
    /// How the user was recognised (RFC 8176).
    amr: &'a [String],
    /// When the user typed the code, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    auth_time: Option<i64>,
    /// With one blank between.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope: Option<String>,
    /// With scope `phone`, in E.164.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    phone_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    phone_number_verified: Option<bool>,
}

/// What is told of any other token: nothing.
#[derive(Serialize, ToSchema)]
#[schema(as = InactiveToken)]
pub(super) struct InactiveBody {
    #[schema(schema_with = schemas::always_false)]
    active: bool,
}

/// `POST /v1/token` (RFC 6749 section 6)
pub async fn token(call: Call, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let outcome = refresh_by_form(&call, &body).await;
        Ok(call.form_reply(outcome))
    })
    .await
}

async fn refresh_by_form(call: &Call, body: &[u8]) -> Result<Reply, OauthError> {
    let form = Form::parse(call, body)?;
    match form.get("grant_type") {
        Some("refresh_token") => {}
        Some(_) => return Err(OauthError::GrantType),
        None => return Err(OauthError::Request("grant_type is required")),
    }
    let client = call.form_client(&form)?;
    let token = form.get("refresh_token");
    let token = token.ok_or(OauthError::Request("refresh_token is required"))?;
    let wanted = form.wanted()?;
    let tokens = refreshed(call, client, token, &wanted).await?;
    Ok(tokens_reply(&tokens?))
}

/// `POST /v1/token/refresh`: the same for callers of JSON.
pub async fn refresh(call: Call, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let fields = call.fields(&body)?;
        let caller = call.caller(&fields)?;
        let client = call.client_of(&caller)?;
        let wanted = wanted(&fields)?;
        let token = fields.text("refresh_token");
        let token = token.map_err(|error| Problem::field("/refresh_token", &error.to_string()))?;
        let tokens = refreshed(&call, client, token, &wanted).await?;
        Ok(tokens_reply(&tokens?))
    })
    .await
}

/// The next tokens, once there is a seat.
async fn refreshed(
    call: &Call,
    client: &Client,
    token: &str,
    wanted: &Wanted,
) -> Result<Result<Tokens, SessionError>, Problem> {
    let Some(token) = RefreshToken::parse(token, &call.state.keyring) else {
        return Ok(Err(SessionError::Invalid));
    };
    let _seat = call.seat().await?;
    let ask = Refresh {
        token: &token,
        client,
        wanted,
        origin: &call.origin(&caller_of(client)),
    };
    Ok(call.state.sessions.refresh(ask, call.now()).await)
}

fn tokens_reply(tokens: &Tokens) -> Reply {
    let body = TokensBody {
        access_token: tokens.access.expose(),
        token_type: "Bearer",
        expires_in: tokens.access.expires_in(),
        refresh_token: &tokens.refresh.expose(),
        refresh_expires_in: tokens.refresh_expires_in(),
        scope: &tokens.granted.scope(),
    };
    Reply::json(200, &body)
}

/// `scope` and `audience` of a JSON body: what the tokens shall be for.
pub fn wanted(fields: &Fields) -> Result<Wanted, Problem> {
    let fault = |pointer, error: FieldError| Problem::field(pointer, &error.to_string());
    let scopes = fields.optional_text("scope");
    let scopes = scopes.map_err(|error| fault("/scope", error))?;
    let scopes = scopes.map(Wanted::parse_scopes).transpose();
    let audience = fields.optional_texts("audience");
    Ok(Wanted {
        audience: audience.map_err(|error| fault("/audience", error))?,
        scopes: scopes.map_err(|error| Problem::field("/scope", &error.to_string()))?,
    })
}

/// `POST /v1/token/revoke` (RFC 7009): ends the session of a token, whichever of its tokens it is. The
/// answer is the same for a token that is none, or another client's.
pub async fn revoke(call: Call, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let outcome = revoke_by_form(&call, &body).await;
        Ok(call.form_reply(outcome))
    })
    .await
}

async fn revoke_by_form(call: &Call, body: &[u8]) -> Result<Reply, OauthError> {
    let form = Form::parse(call, body)?;
    let client = call.form_client(&form)?;
    let token = form.get("token");
    let token = token.ok_or(OauthError::Request("token is required"))?;
    let session = match RefreshToken::parse(token, &call.state.keyring) {
        Some(refresh) => Some(refresh.session()),
        None => call
            .claims(token)
            .ok()
            .and_then(|claims| uuid(claims.session_id())),
    };
    if let Some(session) = session {
        let ending = Ending {
            reason: EndReason::Client,
            actor: Actor::Client(client.id.clone()),
            trace_id: call.trace_id(),
            address: Some(call.origin(&caller_of(client)).key),
            now: call.now(),
        };
        let whose = Whose::OfClient(session, client);
        let _seat = call.seat().await?;
        call.state.sessions.end(whose, ending).await?;
    }
    Ok(Reply::empty(200))
}

/// `POST /v1/token/introspect` (RFC 7662)
pub async fn introspect(call: Call, body: Body) -> HttpResponse {
    call.to_the_end(move |call| async move {
        let outcome = introspect_by_form(&call, &body).await;
        Ok(call.form_reply(outcome))
    })
    .await
}

async fn introspect_by_form(call: &Call, body: &[u8]) -> Result<Reply, OauthError> {
    let form = Form::parse(call, body)?;
    let client = call.form_client(&form)?;
    if client.is_public() {
        return Err(OauthError::Client);
    }
    if !client.may_introspect {
        return Err(OauthError::Unauthorized);
    }
    let token = form.get("token");
    let token = token.ok_or(OauthError::Request("token is required"))?;
    let told = told(call, client, token).await?;
    Ok(told.map_or_else(
        || Reply::json(200, &InactiveBody { active: false }),
        |claims| Reply::json(200, &claims),
    ))
}

/// What a client is told of a token: nothing, unless it is an access token whose session lives, and is
/// for one of the client's audiences or its own. A refresh token is never called active: whoever asks
/// whether to let a bearer in would let it in.
async fn told(
    call: &Call,
    client: &Client,
    token: &str,
) -> Result<Option<Map<String, Value>>, OauthError> {
    let Ok(claims) = call.claims(token) else {
        return Ok(None);
    };
    let is_for = |audience: &String| client.audience.contains(audience);
    let is_its = claims.client_id() == client.id.as_str();
    if !is_its && !claims.audience().iter().any(is_for) {
        return Ok(None);
    }
    let _seat = call.seat().await?;
    let lives = call.session_of(&claims).await?.is_some();
    Ok(lives.then(|| active(&claims)))
}

fn active(claims: &Claims) -> Map<String, Value> {
    let scopes = claims.scopes();
    let phone = claims.phone_number();
    let told = ActiveBody {
        active: true,
        token_type: "Bearer",
        iss: claims.issuer(),
        sub: claims.subject(),
        aud: claims.audience().into(),
        client_id: claims.client_id(),
        iat: claims.issued_at().timestamp(),
        exp: claims.expires_at().timestamp(),
        jti: claims.token_id(),
        sid: claims.session_id(),
        amr: claims.amr(),
        auth_time: claims.auth_time().map(|at| at.timestamp()),
        scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
        phone_number: phone.map(PhoneNumber::as_e164),
        phone_number_verified: phone.map(|_| true),
    };
    let mut all = claims.extra().clone();
    if let Ok(Value::Object(told)) = serde_json::to_value(told) {
        all.extend(told);
    }
    all
}
