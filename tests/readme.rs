//! What README and docs/ say must be what the code does, and what they show what the tests run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use otp_auth::http::codes::Code;

#[test]
fn the_table_of_errors_is_the_table_in_the_code() {
    let readme = include_str!("../README.md");
    let table = readme.split("| status | `code` | when |").nth(1).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let told: BTreeSet<(u16, String)> = rows
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

/// The end-to-end tests run these files.
#[test]
fn the_snippets_of_the_documentation_are_the_files_that_are_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/tokens.md")).unwrap();
    for (path, language) in [
        ("docs/examples/verify.py", "python"),
        ("docs/examples/verify.mjs", "js"),
        ("docs/examples/refresh.mjs", "js"),
        ("docs/examples/verify.rs", "rust"),
    ] {
        let file = fs::read_to_string(root.join(path)).unwrap();
        let block = format!("<!-- {path} -->\n```{language}\n{file}```\n");
        assert!(text.contains(&block), "docs/tokens.md shows another {path}");
    }
}
