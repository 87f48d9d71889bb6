//! `/livez`, `/readyz`, `/metrics`, and the document itself

use serde_json::{Value, json};

use super::super::operation::{Answer, Operation};

const TAG: &str = "Health";

pub(super) fn operations() -> Vec<Operation> {
    vec![livez(), readyz(), metrics(), document()]
}

fn text(answer: Answer, example: &str) -> Answer {
    answer.body(
        "text/plain; charset=utf-8",
        &json!({"type": "string"}),
        &[("text", json!(example))],
    )
}

fn livez() -> Operation {
    Operation::new(
        ("get", "/livez"),
        (TAG, "live"),
        "Whether the process answers",
        "Without any I/O.",
    )
    .answer(200, text(Answer::new("It does."), "ok\n"))
}

fn readyz() -> Operation {
    let health = |answer: Answer, status: &str| {
        let schema: Value = json!({
            "type": "object",
            "required": ["status", "checks"],
            "properties": {
                "status": {"type": "string", "enum": ["pass", "warn", "fail"]},
                "checks": {"type": "object", "additionalProperties": {"type": "array"}},
            },
        });
        let check = json!({"componentType": "datastore", "status": status});
        let body = json!({"status": status, "checks": {"database": [check]}});
        answer.body("application/health+json", &schema, &[("health", body)])
    };
    Operation::new(
        ("get", "/readyz"),
        (TAG, "ready"),
        "Whether it can serve",
        "draft-inadarei-api-health-check-06. `warn` serves.",
    )
    .answer(200, health(Answer::new("It can."), "pass"))
    .answer(
        503,
        health(Answer::new("It cannot.").header("Retry-After"), "fail"),
    )
}

fn metrics() -> Operation {
    Operation::new(
        ("get", "/metrics"),
        (TAG, "readMetrics"),
        "What this process counts",
        "For Prometheus.",
    )
    .answer(
        200,
        Answer::new("The metrics.").body(
            "text/plain; version=0.0.4",
            &json!({"type": "string"}),
            &[("some", json!("otp_auth_signing_keys{state=\"active\"} 1\n"))],
        ),
    )
}

fn document() -> Operation {
    let document = json!({"openapi": super::super::VERSION, "info": {}, "paths": {}});
    Operation::new(
        ("get", "/openapi.json"),
        (TAG, "readAdminDocument"),
        "This document",
        "OpenAPI 3.1.",
    )
    .answer(
        200,
        Answer::new("The document.")
            .body(
                "application/json",
                &json!({"type": "object"}),
                &[("this", document)],
            )
            .header("ETag")
            .header("Cache-Control"),
    )
}
