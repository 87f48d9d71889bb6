//! What docs/ shows of code must be the files that the end-to-end tests run, and every alert must have its runbook.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The blocks of a page that a comment such as `<!-- docs/examples/verify.py -->` says are a file's: path,
/// language, text.
fn blocks(page: &str) -> Vec<(&str, &str, &str)> {
    let mut found = Vec::new();
    for after in page.split("\n<!-- ").skip(1) {
        let Some((path, block)) = after.split_once(" -->\n```") else {
            continue;
        };
        let (language, rest) = block.split_once('\n').unwrap();
        let end = rest.find("\n```\n").expect("the block has an end") + 1;
        found.push((path, language, rest.get(..end).unwrap()));
    }
    found
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).unwrap()
}

/// The files that a page shows whole, each of which must be as shown.
fn shown_whole(page: &str) -> BTreeSet<&str> {
    let shown = blocks(page);
    for &(path, language, text) in &shown {
        let extension = Path::new(path).extension().and_then(|end| end.to_str());
        let expected = match extension {
            Some("py") => "python",
            Some("mjs") => "js",
            Some("rs") => "rust",
            Some("sh") => "sh",
            Some("toml") => "toml",
            other => panic!("{path}: no language is known for {other:?}"),
        };
        assert_eq!(language, expected, "{path}");
        assert_eq!(text, read(path), "{path} and its block differ");
    }
    shown.iter().map(|&(path, _, _)| path).collect()
}

#[test]
fn the_examples_in_tokens_md_are_the_files_that_are_tested() {
    let expected = [
        "docs/examples/refresh.mjs",
        "docs/examples/verify.mjs",
        "docs/examples/verify.py",
        "examples/verify.rs",
    ];
    let page = read("docs/tokens.md");
    assert_eq!(shown_whole(&page), BTreeSet::from(expected));
}

#[test]
fn the_examples_in_siblings_md_are_the_files_that_are_tested() {
    let expected = [
        "docs/examples/login.sh",
        "docs/examples/orders.toml",
        "examples/revocations.mjs",
        "examples/revocations.py",
        "examples/sibling.mjs",
        "examples/sibling.py",
        "examples/sibling.rs",
    ];
    let page = read("docs/siblings.md");
    assert_eq!(shown_whole(&page), BTreeSet::from(expected));
}

#[test]
fn the_scripts_in_backup_md_are_the_files_that_are_tested() {
    let page = read("docs/backup.md");
    let expected = ["docs/examples/backup.sh", "docs/examples/restore.sh"];
    assert_eq!(shown_whole(&page), BTreeSet::from(expected));
    let test = read("tests/e2e/restore.test.mjs");
    let statement =
        "UPDATE sessions SET ended_at = now(), ended_by = 'restored' WHERE ended_at IS NULL";
    assert!(page.contains(statement) && test.contains(statement));
}

#[test]
fn the_blocks_in_gateways_md_are_parts_of_the_files_that_are_tested() {
    let page = read("docs/gateways.md");

    let shown = blocks(&page);

    for &(path, _, text) in &shown {
        // Whole lines, to the byte.
        let file = format!("\n{}", read(path));
        assert!(
            file.contains(&format!("\n{text}")),
            "the block is not in {path}:\n{text}"
        );
    }
    assert_eq!(
        shown.len() * 2,
        page.matches("```").count(),
        "each block says which file it is of"
    );
}

#[test]
fn gateways_md_links_to_every_file_of_a_gateway() {
    let page = read("docs/gateways.md");
    let tests = read("tests/e2e/support/gateways.mjs");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/gateways");

    let mut count = 0;
    for gateway in fs::read_dir(root).unwrap() {
        let directory = gateway.unwrap().path();
        for file in fs::read_dir(&directory).unwrap() {
            let name = format!(
                "{}/{}",
                directory.file_name().unwrap().to_str().unwrap(),
                file.unwrap().file_name().to_str().unwrap()
            );
            let link = format!("[{name}](../deploy/gateways/{name})");
            assert!(page.contains(&link), "{name} is not linked to");
            assert!(tests.contains(&name), "{name} is not tested");
            count += 1;
        }
    }
    assert!(count > 0);
}

/// The part of a page below each heading of the second order, by that heading.
fn sections(page: &str) -> BTreeMap<&str, &str> {
    let sections = page.split("\n## ").skip(1);
    sections
        .map(|section| section.split_once('\n').unwrap())
        .collect()
}

/// The rules of alerts.yml, by their names.
fn alerts(rules: &str) -> BTreeMap<&str, &str> {
    let alerts = rules.split("\n      - ").skip(1);
    alerts
        .filter_map(|rule| rule.strip_prefix("alert: ")?.split_once('\n'))
        .collect()
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let (rules, page) = (
        read("deploy/observability/alerts.yml"),
        read("docs/runbooks.md"),
    );
    let alerts = alerts(&rules);
    assert!(alerts.len() >= 30);
    for (name, rule) in &alerts {
        let anchor = name.to_lowercase();
        let url = format!("runbook_url: https://example.com/otp-auth/docs/runbooks.md#{anchor}\n");
        for part in [
            url.as_str(),
            "          summary: ",
            "          description: ",
        ] {
            assert!(format!("{rule}\n").contains(part), "{name}: {part}");
        }
        let severities = ["severity: page\n", "severity: ticket\n"];
        let severities = severities
            .iter()
            .filter(|severity| rule.contains(*severity));
        assert_eq!(severities.count(), 1, "{name}");
    }
    let mut runbooks = sections(&page);
    assert!(runbooks.remove("Before anything else").is_some());
    for (name, text) in &runbooks {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["**It means**", "**Users see**", "**Do not**"] {
            assert!(text.contains(part), "{name}: {part}");
        }
    }
    assert!(runbooks.keys().eq(alerts.keys()));
    // Where a runbook sends its reader, there must be something.
    for link in page.split("](#").skip(1) {
        let anchor = link.split(')').next().unwrap();
        let mut names = runbooks.keys().map(|name| name.to_lowercase());
        assert!(names.any(|name| name == anchor), "{anchor}");
    }
}

#[test]
fn every_alert_is_seen_to_fire_and_to_be_quiet() {
    let (rules, tests) = (
        read("deploy/observability/alerts.yml"),
        read("deploy/observability/alerts_test.yml"),
    );
    let alerts = alerts(&rules);
    for name in alerts.keys() {
        let question = format!(r#"alertname="{name}",alertstate="firing""#);
        let answers = tests.split(&question).skip(1);
        let answers =
            answers.filter_map(|after| after.split("exp_samples: ").nth(1)?.lines().next());
        let answers: Vec<&str> = answers.collect();
        assert!(answers.contains(&"[]"), "{name} is never quiet");
        assert!(
            answers.iter().any(|answer| *answer != "[]"),
            "{name} never fires"
        );
    }
}
