//! The members of bodies that handlers read are those that the document tells.
//!
//! Handlers take bodies apart member by member, to name every fault at once, so no type of theirs can
//! tell. Their text can.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{admin_document, document, operations, resolved};

/// How members are read: what is before the name.
const READS: [&str; 9] = [
    ".text(\"",
    ".optional_text(\"",
    ".optional_texts(\"",
    "form.get(\"",
    "self.get(\"",
    "(fields, \"",
    "(&fields, \"",
    "&body)?, \"",
    "fields.get(\"",
];

/// Of the public listener.
const HANDLERS: [&str; 5] = ["caller.rs", "form.rs", "otp.rs", "token.rs", "tutorial.rs"];

/// Of the admin listener.
const ADMIN_HANDLERS: [&str; 5] = [
    "admin/keys.rs",
    "admin/mod.rs",
    "admin/phones.rs",
    "admin/rules.rs",
    "admin/switches.rs",
];

fn read(handlers: &[&str]) -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let mut names = BTreeSet::new();
    for file in handlers {
        let text = fs::read_to_string(directory.join(file)).unwrap();
        for before in READS {
            let found = text.split(before).skip(1);
            names.extend(found.map(|after| after.split('"').next().unwrap().to_owned()));
        }
    }
    names
}

fn told(document: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, told) in operations(document) {
        let content = told["requestBody"]["content"].as_object();
        for (_, content) in content.into_iter().flatten() {
            let schema = resolved(document, &content["schema"]);
            names.extend(schema["properties"].as_object().unwrap().keys().cloned());
        }
    }
    names
}

#[test]
fn the_members_that_are_read_are_those_that_are_told() {
    // `audience` of a form can come several times, and is looked for by hand; the hint is taken, but nobody
    // needs it.
    let mut read = read(&HANDLERS);
    read.extend(["audience", "token_type_hint"].map(str::to_owned));

    assert_eq!(read, told(&document()));
}

#[test]
fn the_members_that_operators_give_are_those_that_are_told() {
    assert_eq!(read(&ADMIN_HANDLERS), told(&admin_document()));
}
