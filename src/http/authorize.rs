//! `/v1/authorize`: what gateways call for each request, with any method and below any path.
//!
//! Only 200, 401 and 403 are answered: nginx makes a 500 of anything else. The body is never read. What
//! the request says of an identity is not looked at, and none of it is sent back.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    WWW_AUTHENTICATE,
};
use url::form_urlencoded;

use super::State;
use super::call::Call;
use super::cookies;
use crate::gateway::{Checked, Denied, Requirement, Unmet};
use crate::metrics::Authorized;

/// Adds one option as it was written.
type Require = fn(&mut Requirement, &str);

/// The same option in the query and as a header.
type Named = (&'static str, HeaderName);

static AUDIENCE: Named = (
    "audience",
    HeaderName::from_static("x-auth-require-audience"),
);
static SCOPE: Named = ("scope", HeaderName::from_static("x-auth-require-scope"));
static MAX_AGE: Named = ("max_age", HeaderName::from_static("x-auth-require-max-age"));

/// `ANY /v1/authorize`
pub async fn authorize(call: Call) -> HttpResponse {
    answer(&call, call.request().query_string())
}

/// `ANY /v1/authorize/{tail}`: the tail is the client's path, and the query the client's own, as Envoy
/// appends them. Neither says anything here.
pub async fn authorize_below(call: Call) -> HttpResponse {
    answer(&call, "")
}

fn answer(call: &Call, query: &str) -> HttpResponse {
    let cookie = call.state.gateway.cookie.as_deref();
    if is_preflight(call) && token(call.headers(), cookie) == Err(Denied::NoToken) {
        call.state.metrics.authorized(Authorized::Preflight);
        return HttpResponse::Ok().finish();
    }
    decided(&call.state, query, call.headers())
}

/// Whether a request with these headers may pass, under what the query requires.
pub(super) fn decided(state: &State, query: &str, headers: &HeaderMap) -> HttpResponse {
    let (gateway, metrics) = (&state.gateway, &state.metrics);
    let token = token(headers, gateway.cookie.as_deref());
    let required = required(query, headers);
    let decided = token.and_then(|token| gateway.decide(&token, &required, state.clock.now()));
    match decided {
        Ok(checked) => {
            metrics.authorized(Authorized::Allowed);
            let mut response = HttpResponse::Ok().finish();
            tell(&checked, response.headers_mut());
            response
        }
        Err(denied) => {
            let forbidden = matches!(denied, Denied::Unmet(_));
            let (mut response, counted) = if forbidden {
                (HttpResponse::Forbidden(), Authorized::Forbidden)
            } else {
                (HttpResponse::Unauthorized(), Authorized::Unauthorized)
            };
            metrics.authorized(counted);
            response.insert_header((WWW_AUTHENTICATE, challenge(&denied)));
            response.finish()
        }
    }
}

static SUBJECT: HeaderName = HeaderName::from_static("x-auth-subject");
static SESSION: HeaderName = HeaderName::from_static("x-auth-session");
static CLIENT: HeaderName = HeaderName::from_static("x-auth-client");
static SCOPES: HeaderName = HeaderName::from_static("x-auth-scope");
static EXPIRES: HeaderName = HeaderName::from_static("x-auth-expires");
static PHONE: HeaderName = HeaderName::from_static("x-auth-phone");

/// The identity, for the gateway to hand on. What cannot be a header is left out; no token of ours has it.
fn tell(checked: &Checked, headers: &mut HeaderMap) {
    let claims = checked.claims();
    let mut tell = |name: &HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name.clone(), value);
        }
    };
    tell(&SUBJECT, claims.subject());
    tell(&SESSION, claims.session_id());
    tell(&CLIENT, claims.client_id());
    tell(&SCOPES, checked.scopes());
    tell(&EXPIRES, checked.expires_at());
    // A client without the scope has no such claim.
    if let Some(phone) = claims.phone_number() {
        tell(&PHONE, phone.as_e164());
    }
}

/// RFC 6750 section 3, and RFC 9470 section 3 for a login that is too long ago.
fn challenge(denied: &Denied) -> String {
    let error = |error: &str| {
        format!(r#"Bearer realm="otp-auth", error="{error}", error_description="{denied}""#)
    };
    match denied {
        Denied::NoToken | Denied::Unreadable | Denied::Token(_) => error("invalid_token"),
        Denied::Unmet(Unmet::Audience | Unmet::Unreadable(_)) => error("insufficient_scope"),
        Denied::Unmet(Unmet::Scope(scopes)) => {
            // The characters that a scope has (RFC 6749 section 3.3) and a quoted string may.
            let unfit = |c: char| !(c.is_ascii_graphic() || c == ' ') || c == '"' || c == '\\';
            let scopes = scopes.replace(unfit, "");
            format!(r#"{}, scope="{scopes}""#, error("insufficient_scope"))
        }
        Denied::Unmet(Unmet::Age(seconds)) => {
            let error = error("insufficient_user_authentication");
            format!(r#"{error}, max_age="{seconds}""#)
        }
    }
}

/// A browser asks before it sends the token (Fetch, CORS-preflight request): that question passes, for
/// it is the service behind the gateway that has to answer it.
///
/// Only the method of this very call counts. Who believed `X-Forwarded-Method` would let through whom
/// a gateway does not keep from sending it.
fn is_preflight(call: &Call) -> bool {
    call.request().method() == Method::OPTIONS
        && call.headers().contains_key(ORIGIN)
        && call.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The one token of a request: of its `Authorization`, else of the cookie.
pub(super) fn token<'a>(
    headers: &'a HeaderMap,
    cookie: Option<&str>,
) -> Result<Cow<'a, str>, Denied> {
    let mut authorization = headers.get_all(AUTHORIZATION);
    let header = authorization.next();
    if authorization.next().is_some() {
        return Err(Denied::Unreadable);
    }
    if let Some(header) = header {
        let header = ascii(header).ok_or(Denied::Unreadable)?;
        let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
        // Schemes are compared without case (RFC 9110 section 11.1).
        if scheme.eq_ignore_ascii_case("bearer") {
            return match token.trim_matches(' ') {
                "" => Err(Denied::NoToken),
                token => Ok(Cow::Borrowed(token)),
            };
        }
    }
    let Some(name) = cookie else {
        return Err(Denied::NoToken);
    };
    let mut found = cookies::values(headers, name);
    match (found.next(), found.next()) {
        (None | Some(""), None) => Err(Denied::NoToken),
        (Some(token), None) => Ok(Cow::Borrowed(token)),
        // Another site of the domain may have set one of the two; whose is first says nothing.
        (_, Some(_)) => Err(Denied::Unreadable),
    }
}

/// [`HeaderValue::to_str`], which looks at each byte of a token by itself.
fn ascii(value: &HeaderValue) -> Option<&str> {
    let bytes = value.as_bytes();
    let text = bytes.is_ascii().then(|| std::str::from_utf8(bytes).ok());
    text.flatten()
}

/// What the gateway requires, by query and by headers.
fn required(query: &str, headers: &HeaderMap) -> Requirement {
    let mut required = Requirement::default();
    let given: Vec<(Cow<'_, str>, Cow<'_, str>)> =
        form_urlencoded::parse(query.as_bytes()).collect();
    let options: [(&Named, Require); 3] = [
        (&AUDIENCE, Requirement::audience),
        (&SCOPE, Requirement::scope),
        (&MAX_AGE, Requirement::max_age),
    ];
    for ((option, header), require) in options {
        for (_, value) in given.iter().filter(|(name, _)| name == *option) {
            require(&mut required, value);
        }
        for value in headers.get_all(header) {
            match value.to_str() {
                Ok(value) => require(&mut required, value),
                Err(_not_text) => required.unreadable(option),
            }
        }
    }
    required
}
