//! The OpenAPI documents: whole in themselves, and those in docs/. `tests/api/openapi.rs` holds it against the
//! service, `tests/e2e/openapi.test.mjs` has others read it and call what it tells.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod members;
mod problems;
mod roles;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use otp_auth::http::openapi;
use serde_json::Value;

const ISSUER: &str = "https://login.example";

/// That of the public listener.
fn document() -> Value {
    openapi::document(ISSUER)
}

/// That of the admin listener.
fn admin_document() -> Value {
    openapi::admin_document(ISSUER)
}

/// Every call: method, path, and what is told of it.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let calls = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, told)| (format!("{method} {path}"), told))
    });
    calls.collect()
}

/// What is at the end of a reference, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap();
            let found = document.pointer(pointer);
            resolved(document, found.unwrap_or_else(|| panic!("no {reference}")))
        }
        None => value,
    }
}

/// Calls `visit` with every value of the document.
fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_documents_in_docs_are_those_that_are_served() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (file, document) in [
        ("openapi.json", document()),
        ("admin-openapi.json", admin_document()),
    ] {
        let committed = fs::read_to_string(docs.join(file)).unwrap();

        let same = committed == format!("{document:#}\n");

        assert!(
            same,
            "docs/{file} is out of date; ./test prepare mends that"
        );
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    assert_is_whole(&document());
    assert_is_whole(&admin_document());
}

fn assert_is_whole(document: &Value) {
    let mut references = BTreeSet::new();
    walk(document, &mut |value| {
        if let Some(reference) = value["$ref"].as_str() {
            resolved(document, value);
            references.insert(reference.to_owned());
        }
    });

    for kind in ["schemas", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(
                references.contains(&reference),
                "nothing refers to {reference}"
            );
        }
    }
}

#[test]
fn every_call_is_told_in_full() {
    assert_is_told_in_full(&document());
    assert_is_told_in_full(&admin_document());
}

fn assert_is_told_in_full(document: &Value) {
    let mut ids = BTreeSet::new();
    for (call, told) in operations(document) {
        for member in ["summary", "description"] {
            assert!(
                !told[member].as_str().unwrap().is_empty(),
                "{member} of {call}"
            );
        }
        assert!(told["security"].is_array(), "{call}");
        let id = told["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is told twice");
        let tag = &told["tags"][0];
        let tags = document["tags"].as_array().unwrap();
        assert!(tags.iter().any(|known| known["name"] == *tag), "{call}");
        if let Some(body) = told.get("requestBody") {
            assert_has_examples(&call, &body["content"]);
            let may = call.starts_with("post ") || call.starts_with("put ");
            assert!(may, "{call} has a body");
        }
        for parameter in told["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            assert!(parameter["description"].is_string(), "{name} of {call}");
            assert!(!parameter["example"].is_null(), "{name} of {call}");
        }
    }
    for (call, told) in operations(document) {
        for (status, answer) in told["responses"].as_object().unwrap() {
            let call = format!("{call} {status}");
            assert!(
                !answer["description"].as_str().unwrap().is_empty(),
                "{call}"
            );
            assert!(answer["headers"]["X-Request-Id"].is_object(), "{call}");
            assert_has_examples(&call, &answer["content"]);
            let waits = ["429", "503"].contains(&status.as_str());
            assert_eq!(
                answer["headers"]["Retry-After"].is_object(),
                waits,
                "{call}"
            );
            for (name, link) in answer["links"].as_object().into_iter().flatten() {
                let next = link["operationId"].as_str().unwrap();
                assert!(ids.contains(next), "{call}: {name}");
            }
        }
    }
}

fn assert_has_examples(call: &str, content: &Value) {
    for (media_type, content) in content.as_object().into_iter().flatten() {
        let examples = content["examples"].as_object();
        assert!(
            examples.is_some_and(|examples| !examples.is_empty()),
            "{call} shows no {media_type}"
        );
    }
}
