//! `/.well-known/*`, `/problems/*`, and the document itself: what anyone may read.

use serde_json::{Value, json};

use super::headers::if_none_match;
use super::operation::{Answer, Operation};
use super::schemas::{self, Schemas};
use crate::http::codes::Code;
use crate::http::discovery::MetadataBody;
use crate::http::reader::Reader;

const TAG: &str = "Discovery";

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<MetadataBody<'_>>()
        .and([("KeySet".to_owned(), key_set())])
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        jwks(),
        metadata(),
        problem_page(),
        document(),
        reader("/docs", "readDocs"),
        reader("/docs/", "readDocsSlash"),
        reader_file(),
    ]
}

fn jwks() -> Operation {
    let keys = json!({"keys": [{
        "kty": "EC",
        "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        "kid": "0cJHNoXb",
        "alg": "ES256",
        "use": "sig",
    }]});
    let call = Operation::new(
        ("get", "/.well-known/jwks.json"),
        (TAG, "readKeys"),
        "The public keys",
        "RFC 7517. Those that sign, those that will, and those whose tokens may still live.",
    )
    .parameter(json!({
        "name": "verifier",
        "in": "query",
        "description": "Who asks, where the operator lets new keys wait for that one.",
        "schema": {"type": "string"},
        "example": "orders",
    }));
    let known = Answer::new("The keys.").body(
        "application/json",
        &schemas::named("KeySet"),
        &[("one", keys)],
    );
    kept(call, known)
}

/// RFC 7517, as far as keys that sign here go.
fn key_set() -> Value {
    let text = || json!({"type": "string"});
    json!({
        "type": "object",
        "description": "A JWK Set (RFC 7517).",
        "required": ["keys"],
        "properties": {"keys": {"type": "array", "minItems": 1, "items": {
            "type": "object",
            "required": ["kty", "kid", "alg", "use"],
            "properties": {
                "kty": {"type": "string", "enum": ["EC", "OKP", "RSA"]},
                "kid": text(),
                "alg": {"type": "string", "enum": ["ES256", "EdDSA", "RS256"]},
                "use": {"type": "string", "enum": ["sig"]},
                "crv": {"type": "string", "enum": ["P-256", "Ed25519"]},
                "x": text(),
                "y": text(),
                "n": text(),
                "e": text(),
            },
        }}},
    })
}

fn metadata() -> Operation {
    let ways = ["client_secret_basic", "client_secret_post"];
    let example = json!({
        "issuer": "https://login.example",
        "jwks_uri": "https://login.example/.well-known/jwks.json",
        "token_endpoint": "https://login.example/v1/token",
        "revocation_endpoint": "https://login.example/v1/token/revoke",
        "introspection_endpoint": "https://login.example/v1/token/introspect",
        "userinfo_endpoint": "https://login.example/v1/userinfo",
        "service_documentation": "https://login.example/docs",
        "grant_types_supported": ["refresh_token"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": [ways[0], ways[1], "none"],
        "revocation_endpoint_auth_methods_supported": [ways[0], ways[1], "none"],
        "introspection_endpoint_auth_methods_supported": ways,
    });
    Operation::new(
        ("get", "/.well-known/oauth-authorization-server"),
        (TAG, "readMetadata"),
        "The addresses of all of this",
        "RFC 8414.",
    )
    .answer(
        200,
        Answer::new("The metadata.")
            .json::<MetadataBody<'_>>(&[("usual", example)])
            .header("Cache-Control"),
    )
    .problems(&[])
}

fn problem_page() -> Operation {
    Operation::new(
        ("get", "/problems/{code}"),
        (TAG, "readProblem"),
        "A page about a problem",
        "What `type` of a problem points at.",
    )
    .in_path(
        "code",
        "Of the problem.",
        &json!({"type": "string", "enum": Code::ALL.map(Code::name)}),
        "rate_limited",
    )
    .answer(200, page().header("Cache-Control"))
    .problems(&[Code::NotFound])
}

fn document() -> Operation {
    let call = Operation::new(
        ("get", "/openapi.json"),
        (TAG, "readDocument"),
        "This document",
        "OpenAPI 3.1.",
    );
    let part = || json!({"type": "object"});
    let schema = json!({
        "type": "object",
        "required": ["openapi", "info", "servers", "paths", "components"],
        "properties": {
            "openapi": {"type": "string", "enum": [super::VERSION]},
            "info": part(),
            "servers": {"type": "array", "items": part()},
            "paths": part(),
            "components": part(),
        },
    });
    let example = json!({
        "openapi": super::VERSION,
        "info": {"title": "otp-auth", "version": env!("CARGO_PKG_VERSION")},
        "servers": [{"url": "https://login.example"}],
        "paths": {},
        "components": {},
    });
    let this = Answer::new("The document.").body("application/json", &schema, &[("this", example)]);
    kept(call, this)
}

fn reader(path: &'static str, id: &str) -> Operation {
    let call = Operation::new(
        ("get", path),
        (TAG, id),
        "This document, for people",
        "A page that shows every call and tries it out. It fetches nothing from elsewhere.",
    );
    kept(call, page())
}

fn reader_file() -> Operation {
    let call = Operation::new(
        ("get", "/docs/{file}"),
        (TAG, "readDocsFile"),
        "A file of that page",
        "Its script or its style, always compressed.",
    )
    .in_path(
        "file",
        "Its name.",
        &json!({"type": "string", "enum": Reader::files()}),
        "start.js",
    );
    let text = json!({"type": "string"});
    let file = Answer::new("The file.")
        .body(
            "text/javascript; charset=utf-8",
            &text,
            &[("script", json!("SwaggerUIBundle({})"))],
        )
        .body(
            "text/css; charset=utf-8",
            &text,
            &[("style", json!(".swagger-ui {}"))],
        );
    kept(call, file).problems(&[Code::NotFound])
}

fn page() -> Answer {
    Answer::new("The page.")
        .body(
            "text/html; charset=utf-8",
            &json!({"type": "string"}),
            &[("page", json!("<!doctype html>"))],
        )
        .header("Content-Security-Policy")
}

/// A call whose answer may be kept, and is not sent again to whom has it.
fn kept(call: Operation, answer: Answer) -> Operation {
    let with_headers = |answer: Answer| answer.header("ETag").header("Cache-Control");
    call.parameter(if_none_match())
        .answer(200, with_headers(answer))
        .answer(
            304,
            with_headers(Answer::new("It is the one that is known.")),
        )
        .problems(&[])
}
