//! What docs/ shows of code must be the files that the end-to-end tests run.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::collections::BTreeSet;
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

#[test]
fn the_examples_in_tokens_md_are_the_files_that_are_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/tokens.md")).unwrap();

    let shown = blocks(&page);

    for &(path, language, text) in &shown {
        let extension = Path::new(path).extension().and_then(|end| end.to_str());
        let expected = match extension {
            Some("py") => "python",
            Some("mjs") => "js",
            Some("rs") => "rust",
            other => panic!("{path}: no language is known for {other:?}"),
        };
        assert_eq!(language, expected, "{path}");
        let file = fs::read_to_string(root.join(path)).unwrap();
        assert_eq!(text, file, "{path} and its block differ");
    }
    let paths: BTreeSet<&str> = shown.iter().map(|&(path, _, _)| path).collect();
    let expected = [
        "docs/examples/refresh.mjs",
        "docs/examples/verify.mjs",
        "docs/examples/verify.py",
        "examples/verify.rs",
    ];
    assert_eq!(paths, BTreeSet::from(expected));
}
