//! `/admin/v1/rules`

use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::operation::{Answer, Operation};
use super::super::schemas::{self, Schemas};
use super::{OF_BODY, REASON, RULE_ID, call, in_pages, query, with_id};
use crate::http::admin::rules::{RuleBody, RulesBody};
use crate::http::codes::Code;
use crate::rules::Verdict;
use crate::rules::target::Kind;

const TAG: &str = "Rules";

/// Whom to block or let through.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the handler reads the members one by one")]
struct NewRule {
    #[schema(schema_with = schemas::rule_kind)]
    kind: String,
    /// A whole number, the beginning of numbers (`+91 98`), or a network (`192.0.2.0/24`).
    value: String,
    #[schema(schema_with = schemas::verdict)]
    verdict: String,
    /// 1 to 200 characters without a phone number.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
    /// Never, if left out.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

pub(super) fn schemas(all: Schemas) -> Schemas {
    all.with::<NewRule>().with::<RuleBody>().with::<RulesBody>()
}

pub(super) fn operations() -> Vec<Operation> {
    vec![list(), set(), read(), remove()]
}

fn rule() -> Value {
    json!({
        "id": RULE_ID,
        "kind": Kind::Network.name(),
        "value": "192.0.2.0/24",
        "verdict": Verdict::Block.name(),
        "reason": REASON,
        "created_at": "2026-11-23T07:03:24.120Z",
        "expires_at": "2026-12-23T00:00:00.000Z",
    })
}

fn list() -> Operation {
    let one_of = |names: &[&str]| json!({"type": "string", "enum": names});
    let found = call(
        ("get", "/admin/v1/rules"),
        (TAG, "listRules"),
        ("Lists the rules", "The newest first."),
        &[Code::InvalidRequest],
    )
    .parameter(query(
        "kind",
        "Of this kind.",
        &one_of(&Kind::ALL.map(Kind::name)),
        &json!("phone"),
    ))
    .parameter(query(
        "verdict",
        "With this verdict.",
        &one_of(&Verdict::ALL.map(Verdict::name)),
        &json!("block"),
    ));
    in_pages(found, 50, 200, &RULE_ID.to_string()).answer(
        200,
        Answer::new("The rules.")
            .json::<RulesBody>(&[("one", json!({"rules": [rule()], "next": null}))]),
    )
}

fn set() -> Operation {
    let new = json!({
        "kind": Kind::Network.name(),
        "value": "192.0.2.0/24",
        "verdict": Verdict::Block.name(),
        "reason": REASON,
        "expires_at": "2026-12-23T00:00:00Z",
    });
    let kept = |what: &str| {
        Answer::new(what)
            .json::<RuleBody>(&[("rule", rule())])
            .located("/admin/v1/rules/")
    };
    call(
        ("post", "/admin/v1/rules"),
        (TAG, "setRule"),
        (
            "Blocks, or lets through",
            "The longest match wins. Every replica goes by it within a second. A phone that is blocked is logged out.",
        ),
        &OF_BODY,
    )
    .body::<NewRule>("application/json", &[("block", new)])
    .answer(200, kept("The rule was there, and says this now."))
    .answer(201, kept("The rule is there."))
}

fn read() -> Operation {
    let found = call(
        ("get", "/admin/v1/rules/{id}"),
        (TAG, "readRule"),
        ("Reads a rule", "As the list tells it."),
        &[Code::NotFound],
    );
    with_id(found, "id", "Of the rule.", RULE_ID).answer(
        200,
        Answer::new("The rule.").json::<RuleBody>(&[("rule", rule())]),
    )
}

fn remove() -> Operation {
    let gone = call(
        ("delete", "/admin/v1/rules/{id}"),
        (TAG, "removeRule"),
        (
            "Takes a rule away",
            "Every replica goes by that within a second.",
        ),
        &[Code::NotFound],
    );
    with_id(gone, "id", "Of the rule.", RULE_ID).answer(204, Answer::new("It is gone."))
}
