//! The OpenAPI documents of the two listeners (OpenAPI 3.1).
//!
//! Schemas of answers are derived from the types that are answered with; the rest is told here, one file for
//! each of the handlers' files. `tests/openapi/` holds it against the service.

mod admin;
mod authorize;
mod discovery;
mod headers;
mod operation;
mod otp;
mod problems;
mod revocations;
pub mod schemas;
mod security;
mod sessions;
mod token;
mod tutorial;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use self::operation::Operation;
use self::schemas::Schemas;

/// Of the language that the document is in.
const VERSION: &str = "3.1.0";
const DESCRIPTION: &str = "\
A code by SMS proves a phone, and becomes a signed JWT that other services check by themselves.

Errors are `application/problem+json` (RFC 9457) with a `code` that never changes; the calls of OAuth and of the \
tutorial have error bodies of their own. A wrong method is 405 (`method_not_allowed`, with `Allow`), an unknown path \
404 (`not_found`). What answers GET answers HEAD too, without the body. Bodies have at most 16 KiB; unknown members \
are ignored.";

/// The document of the public listener of a service with this issuer.
pub fn document(issuer: &str) -> Value {
    let operations = [
        otp::operations(),
        tutorial::operations(),
        token::operations(),
        revocations::operations(),
        sessions::operations(),
        authorize::operations(),
        discovery::operations(),
    ];
    let schemas = [
        otp::schemas,
        tutorial::schemas,
        token::schemas,
        revocations::schemas,
        sessions::schemas,
        discovery::schemas,
    ];
    let schemas = schemas
        .into_iter()
        .fold(Schemas::default(), |all, add| add(all));
    pruned(json!({
        "openapi": VERSION,
        "info": info("otp-auth", DESCRIPTION),
        "servers": [{"url": issuer}],
        "tags": tags(),
        "paths": paths(operations.into_iter().flatten()),
        "components": components(issuer, schemas, &security::schemes()),
    }))
}

/// The document of its admin listener.
pub fn admin_document(issuer: &str) -> Value {
    admin::document(issuer)
}

fn info(title: &str, description: &str) -> Value {
    json!({
        "title": title,
        "version": env!("CARGO_PKG_VERSION"),
        "description": description,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    })
}

/// All that calls can refer to.
fn components(issuer: &str, schemas: Schemas, security: &Value) -> Value {
    json!({
        "schemas": schemas.and(problems::schemas()).into_value(),
        "headers": headers::all(),
        "examples": problems::examples(issuer),
        "securitySchemes": security,
    })
}

/// A document without the components that no call refers to, not even by way of another component.
fn pruned(mut document: Value) -> Value {
    let mut used = BTreeSet::new();
    let mut new = references(document.get("paths").unwrap_or(&Value::Null));
    while let Some(reference) = new.pop() {
        if used.insert(reference.clone()) {
            let component = reference
                .strip_prefix('#')
                .and_then(|at| document.pointer(at));
            new.extend(component.map(references).unwrap_or_default());
        }
    }
    for kind in ["schemas", "headers", "examples"] {
        let components = document.pointer_mut(&format!("/components/{kind}"));
        if let Some(components) = components.and_then(Value::as_object_mut) {
            components.retain(|name, _| used.contains(&format!("#/components/{kind}/{name}")));
        }
    }
    document
}

/// What a value refers to.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(members) => {
            let own = members
                .get("$ref")
                .and_then(Value::as_str)
                .map(str::to_owned);
            own.into_iter()
                .chain(members.values().flat_map(references))
                .collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn tags() -> Value {
    json!([
        {"name": "Codes", "description": "Texting a code, and checking what a user typed."},
        {"name": "Tokens", "description": "Refreshing, revoking and asking about tokens."},
        {"name": "Sessions", "description": "What a user sees and ends with an access token."},
        {"name": "Gateway", "description": "Whether a gateway may let a request through."},
        {"name": "Discovery", "description": "What anyone may read."},
        {"name": "Tutorial", "description": "The two calls of StartMessaging's tutorial."},
    ])
}

fn paths(operations: impl Iterator<Item = Operation>) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations {
        let (path, method) = (operation.path, operation.method);
        let item = paths.entry(path).or_default();
        item.insert(method.to_owned(), operation.into_value());
    }
    json!(paths)
}
