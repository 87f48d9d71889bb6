//! What README, docs/siblings.md, docs/metrics.md and docs/traces-and-logs.md say in tables must be what the code does.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use otp_auth::audit::Action;
use otp_auth::http::codes::Code;
use otp_auth::metrics::TABLE;
use otp_auth::telemetry::events::UNRECORDED;

/// The rows of the table that begins so.
fn rows<'a>(page: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let table = page.split(heading).nth(1).unwrap();
    table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
}

#[test]
fn the_table_of_errors_is_the_table_in_the_code() {
    let readme = include_str!("../README.md");
    let told: BTreeSet<(u16, String)> = rows(readme, "| status | `code` | when |")
        .map(|row| {
            let mut cells = row.split('|').skip(1).map(str::trim);
            let status = cells.next().unwrap().parse().unwrap();
            (status, cells.next().unwrap().trim_matches('`').to_owned())
        })
        .collect();

    let real: BTreeSet<(u16, String)> = Code::ALL
        .iter()
        .map(|code| (code.status(), code.name().to_owned()))
        .collect();

    assert_eq!(told, real);
}

#[test]
fn siblings_md_tells_what_to_do_about_every_problem() {
    let page = include_str!("../docs/siblings.md");
    let told: BTreeSet<&str> = rows(page, "| `code` | what you do |")
        .flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .collect();

    // Siblings are no operators.
    let real = Code::ALL
        .iter()
        .filter(|code| **code != Code::InsufficientScope);
    let real: BTreeSet<&str> = real.map(|code| code.name()).collect();

    assert_eq!(told, real);
}

#[test]
fn metrics_md_has_the_table_in_the_code() {
    let page = include_str!("../docs/metrics.md");
    let told: Vec<&str> = rows(page, "| metric | type | labels | what it says |").collect();

    let real: Vec<String> = TABLE
        .iter()
        .map(|metric| {
            let labels = metric.labels.iter().map(|label| format!("`{label}`"));
            let labels = labels.collect::<Vec<_>>().join(", ");
            let kind = metric.kind.name();
            format!(
                "| `{}` | {kind} | {labels} | {} |",
                metric.name, metric.help
            )
        })
        .collect();

    assert_eq!(told, real);
}

#[test]
fn traces_and_logs_md_has_every_event_in_the_code() {
    let page = include_str!("../docs/traces-and-logs.md");
    let told: Vec<&str> = rows(page, "| event | when |")
        .map(|row| row.split('`').nth(1).unwrap())
        .collect();

    let recorded = Action::ALL.iter().map(|action| action.name());
    let real: Vec<&str> = recorded.chain(UNRECORDED).collect();

    assert_eq!(told, real);
}
