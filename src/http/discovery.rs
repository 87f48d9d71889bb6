//! What anyone may read: the public keys, the metadata and the problem pages.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Path;
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::call::Call;
use super::codes::Code;
use super::conditional::unless_known;
use super::problem::Problem;

/// What RFC 8414 section 2 tells of a server.
#[derive(Serialize, ToSchema)]
#[schema(as = ServerMetadata)]
pub(super) struct MetadataBody<'a> {
    /// `iss` of every token.
    #[schema(format = Uri)]
    issuer: &'a str,
    #[schema(format = Uri)]
    jwks_uri: String,
    #[schema(format = Uri)]
    token_endpoint: String,
    #[schema(format = Uri)]
    revocation_endpoint: String,
    #[schema(format = Uri)]
    introspection_endpoint: String,
    #[schema(format = Uri)]
    userinfo_endpoint: String,
    /// For people.
    #[schema(format = Uri)]
    service_documentation: String,
    grant_types_supported: [&'static str; 1],
    /// Empty: there is no authorization endpoint.
    response_types_supported: [&'static str; 0],
    token_endpoint_auth_methods_supported: [&'static str; 3],
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
}

/// How long the key set may be cached. A verifier that is that far behind still knows every key
/// in use, since keys are published long before their first use.
const JWKS_CACHE: &str = "public, max-age=300, stale-while-revalidate=60";
/// The metadata changes with the settings only.
const METADATA_CACHE: &str = "public, max-age=3600";
/// Problem pages change with releases only.
const PAGE_CACHE: &str = "public, max-age=3600";

/// `GET /.well-known/jwks.json`, with `?verifier=NAME` for one whom the settings let promotions wait for.
pub async fn jwks(call: Call) -> HttpResponse {
    let keys = call.state.keys.published();
    // A HEAD is told no keys.
    if call.request().method() == Method::GET {
        let verifier = verifier(call.request().query_string());
        call.state.metrics.jwks_fetched(verifier.as_deref());
        if let Some(verifier) = verifier {
            // Also by a 304: who holds this tag holds these keys.
            call.state.keys.seen_by(&verifier, &keys);
        }
    }
    unless_known(call.request(), keys.etag(), JWKS_CACHE, |response| {
        response
            .content_type("application/json")
            .body(keys.jwks().to_vec())
    })
}

/// `GET /.well-known/oauth-authorization-server` (RFC 8414 section 2). There is no authorization endpoint,
/// so no response type either.
pub async fn metadata(call: Call) -> HttpResponse {
    let issuer = &call.state.issuer;
    let at = |path: &str| format!("{issuer}{path}");
    let proves = ["client_secret_basic", "client_secret_post"];
    let names = ["client_secret_basic", "client_secret_post", "none"];
    let metadata = MetadataBody {
        issuer,
        jwks_uri: at("/.well-known/jwks.json"),
        token_endpoint: at("/v1/token"),
        revocation_endpoint: at("/v1/token/revoke"),
        introspection_endpoint: at("/v1/token/introspect"),
        userinfo_endpoint: at("/v1/userinfo"),
        service_documentation: at("/docs"),
        grant_types_supported: ["refresh_token"],
        response_types_supported: [],
        token_endpoint_auth_methods_supported: names,
        revocation_endpoint_auth_methods_supported: names,
        introspection_endpoint_auth_methods_supported: proves,
    };
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, METADATA_CACHE))
        .json(metadata)
}

fn verifier(query: &str) -> Option<Cow<'_, str>> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let (_, verifier) = parameters.find(|(name, _)| name == "verifier")?;
    Some(verifier)
}

/// `GET /problems/{code}`: what the `type` of a problem points at.
pub async fn problem_page(call: Call, path: Path<String>) -> HttpResponse {
    let Some(code) = Code::parse(&path) else {
        return call.render(Problem::new(Code::NotFound)).into_response();
    };
    let (name, status) = (code.name(), code.status());
    let (title, meaning) = (code.title(), code.meaning());
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{name}</title>\n\
         <h1>{title}</h1>\n<p>{meaning}</p>\n\
         <p>Status {status}, code <code>{name}</code>.</p>\n</html>\n"
    );
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, PAGE_CACHE))
        .insert_header(("Content-Security-Policy", "default-src 'none'"))
        .content_type("text/html; charset=utf-8")
        .body(page)
}
