//! The problems that the document tells are those of the code.

use otp_auth::http::codes::Code;
use serde_json::Value;

use crate::{ISSUER, admin_document, document, operations, resolved};

/// The problem codes that an answer shows.
fn codes(document: &Value, answer: &Value) -> Vec<String> {
    let examples = &answer["content"]["application/problem+json"]["examples"];
    let examples = examples.as_object().into_iter().flatten();
    let code = |example| resolved(document, example)["value"]["code"].clone();
    examples
        .map(|(_, example)| code(example).as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_problem_is_told_where_it_can_come_up() {
    let document = document();
    let calls = operations(&document);
    for code in Code::ALL {
        let mut answers = calls
            .iter()
            .flat_map(|(_, told)| told["responses"].as_object().unwrap());
        let is_told =
            answers.any(|(_, answer)| codes(&document, answer).contains(&code.name().to_owned()));
        // A method that is told of is allowed; the tutorial's calls have no codes; operators have roles.
        let has_no_call = matches!(
            code,
            Code::MethodNotAllowed | Code::OriginNotAllowed | Code::InsufficientScope
        );
        assert_eq!(is_told, !has_no_call, "{}", code.name());
    }
}

#[test]
fn an_answer_shows_the_problems_of_its_schema_and_status() {
    assert_shows_its_problems(&document());
    assert_shows_its_problems(&admin_document());
}

fn assert_shows_its_problems(document: &Value) {
    for (call, told) in operations(document) {
        for (status, answer) in told["responses"].as_object().unwrap() {
            let schema = &answer["content"]["application/problem+json"]["schema"];
            let schemas = schema["oneOf"].as_array().cloned();
            let schemas = schemas.unwrap_or_else(|| vec![schema.clone()]);
            let of_schemas: Vec<String> = schemas
                .iter()
                .filter(|schema| !schema.is_null())
                .map(|schema| {
                    let schema = resolved(document, schema);
                    let code = &schema["properties"]["code"]["enum"][0];
                    code.as_str().unwrap().to_owned()
                })
                .collect();

            let mut shown = codes(document, answer);

            for code in &shown {
                let code = Code::parse(code).unwrap();
                assert_eq!(
                    code.status().to_string(),
                    *status,
                    "{call}: {}",
                    code.name()
                );
            }
            shown.sort();
            let mut expected = of_schemas;
            expected.sort();
            assert_eq!(shown, expected, "{call} {status}");
        }
    }
}

#[test]
fn the_problems_that_are_shown_are_as_the_service_renders_them() {
    let shown = assert_shows_as_rendered(&document()) + assert_shows_as_rendered(&admin_document());
    assert!(shown > Code::ALL.len());
}

/// Returns of how many codes the document has an example.
fn assert_shows_as_rendered(document: &Value) -> usize {
    let examples = document["components"]["examples"].as_object().unwrap();
    for (name, shown) in examples {
        let (name, shown) = (name.as_str(), &shown["value"]);
        let code = Code::parse(name).unwrap();

        assert_eq!(shown["code"], name);
        assert_eq!(shown["title"], code.title(), "{name}");
        assert_eq!(shown["status"], code.status(), "{name}");
        assert_eq!(shown["type"], format!("{ISSUER}/problems/{name}"));
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut schemas = schemas.values();
        let schema = schemas
            .find(|schema| schema["properties"]["code"]["enum"][0] == name)
            .unwrap_or_else(|| panic!("no schema of {name}"));
        let told = schema["properties"].as_object().unwrap();
        for member in shown.as_object().unwrap().keys() {
            assert!(told.contains_key(member), "{member} of {name}");
        }
        for member in schema["required"].as_array().unwrap() {
            assert!(
                !shown[member.as_str().unwrap()].is_null(),
                "{member} of {name}"
            );
        }
    }
    examples.len()
}
