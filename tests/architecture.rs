//! The arrows between the modules, and where SQL may be: what `src/lib.rs` draws must stay true.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// All Rust files below a directory, with their text up to their tests.
fn sources(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .split("#[cfg(test)]")
                .next()
                .unwrap_or_default()
                .to_owned();
            found.push((path, code));
        }
    }
    found
}

fn sources_of(module: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let directory = root.join(module);
    if directory.is_dir() {
        found.extend(sources(&directory));
    }
    let file = root.join(format!("{module}.rs"));
    if file.is_file() {
        found.push((file.clone(), fs::read_to_string(file).unwrap()));
    }
    assert!(!found.is_empty(), "there is no module {module}");
    found
}

/// What lies above whatever the use cases share.
const ABOVE: &[&str] = &[
    "actix_web",
    "reqwest",
    "crate::http",
    "crate::otp",
    "crate::token",
    "crate::sign_in",
    "crate::config",
];

/// What lies above sessions, which hand themselves to `token`.
const ABOVE_SESSION: &[&str] = &[
    "actix_web",
    "reqwest",
    "crate::http",
    "crate::otp",
    "crate::sign_in",
    "crate::config",
];

/// Each module, and what it must not name.
const RULES: &[(&str, &[&str])] = &[
    (
        "otp",
        &[
            "actix_web",
            "reqwest",
            "crate::http",
            "crate::token",
            "crate::sign_in",
            "startmessaging",
            "crate::config",
        ],
    ),
    (
        "token",
        &["actix_web", "reqwest", "crate::http", "crate::config"],
    ),
    (
        "sign_in",
        &[
            "actix_web",
            "reqwest",
            "crate::http",
            "crate::provider",
            "crate::config",
        ],
    ),
    ("session", ABOVE_SESSION),
    ("revocation", ABOVE),
    (
        "gateway",
        &[
            "actix_web",
            "reqwest",
            "sqlx",
            "crate::http",
            "crate::otp",
            "crate::session",
            "crate::config",
        ],
    ),
    (
        "doctor",
        &[
            "actix_web",
            "crate::http",
            "crate::otp",
            "crate::sign_in",
            "crate::cli::",
        ],
    ),
    ("audit", ABOVE),
    ("operator", ABOVE),
    ("people", ABOVE),
    ("retention", ABOVE),
    ("vitals", ABOVE),
    ("master_key", ABOVE),
    ("limit", ABOVE),
    ("seats", ABOVE),
    (
        "telemetry",
        &[
            "actix_web",
            "crate::audit",
            "crate::http",
            "crate::otp",
            "crate::config",
        ],
    ),
    ("rules", ABOVE),
    (
        "provider",
        &["actix_web", "crate::http", "sqlx", "crate::config"],
    ),
    (
        "metrics",
        &[
            "actix_web",
            "reqwest",
            "sqlx",
            "crate::http",
            "crate::otp",
            "crate::config",
        ],
    ),
    (
        "phone",
        &[
            "actix_web",
            "sqlx",
            "crate::http",
            "crate::otp",
            "crate::config",
        ],
    ),
    (
        "secrets",
        &[
            "actix_web",
            "sqlx",
            "crate::http",
            "crate::otp",
            "crate::config",
        ],
    ),
    (
        "sandbox",
        &[
            "sqlx",
            "crate::otp",
            "crate::http",
            "crate::token",
            "crate::config",
        ],
    ),
    (
        "verifier",
        &["crate::http", "crate::token", "crate::config", "sqlx"],
    ),
    (
        "fuzzing",
        &["sqlx", "crate::otp", "crate::config", "crate::sandbox"],
    ),
    ("http", &["crate::config", "crate::sandbox", "crate::dev::"]),
];

#[test]
fn no_module_uses_what_lies_above_it() {
    for (module, forbidden) in RULES {
        for (path, code) in sources_of(module) {
            let code: String = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            for name in *forbidden {
                assert!(!code.contains(name), "{} names {name}", path.display());
            }
        }
    }
}

#[test]
fn sql_is_in_store_files_only() {
    let allowed = ["store.rs", "idempotency.rs", "database.rs", "health.rs"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (path, code) in sources(&root) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let in_store = path.parent().unwrap().ends_with("store");
        let is_dev = path.components().any(|part| part.as_os_str() == "dev");
        if !allowed.contains(&name) && !in_store && !is_dev {
            assert!(
                !code.contains("sqlx::query"),
                "{} holds SQL",
                path.display()
            );
        }
    }
}

#[test]
fn no_source_file_is_longer_than_four_hundred_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for directory in ["src", "tests"] {
        for (path, _) in sources(&root.join(directory)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 400, "{} has {lines} lines", path.display());
        }
    }
}

/// The image is built without tests/ and benches/: Cargo looks for a target that has no path there,
/// and stops.
#[test]
fn every_target_that_the_manifest_names_has_a_path() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
    for kind in ["bin", "test", "bench", "example"] {
        let targets = manifest.get(kind).and_then(toml::Value::as_array);
        for target in targets.into_iter().flatten() {
            assert!(target.get("path").is_some(), "{kind} {target}");
        }
    }
}
