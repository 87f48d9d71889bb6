//! The version before runs on against the tables of this one: what docs/upgrading.md promises.
//!
//! Two halves hold it. Migrations that could break it say why they do not; and every statement of the version
//! before is prepared against the tables of this one, and must still mean the same.
//!
//! `before.json` holds those statements. When a version is released, it keeps its own there for the next one:
//! `otp-auth test-database -- cargo test --test upgrade -- --ignored`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sqlx::{
    AssertSqlSafe, Column as _, Either, Executor as _, PgPool, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
};

/// The last migration of the version before.
const BEFORE: i64 = 20_261_128_000_001;

/// What can break the version before, in the words of SQL.
const RISKS: [&str; 15] = [
    "ADD CONSTRAINT",
    "CREATE TRIGGER",
    "CREATE UNIQUE INDEX",
    "DROP COLUMN",
    "DROP CONSTRAINT",
    "DROP DEFAULT",
    "DROP FUNCTION",
    "DROP TABLE",
    "DROP TRIGGER",
    "DROP VIEW",
    "RENAME",
    "REPLACE FUNCTION",
    "SET NOT NULL",
    "TRUNCATE",
    " TYPE ",
];
/// The comment that says why it does not.
const REASON: &str = "-- compatible: ";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of a migration that could break the version before and do not say why they do not.
fn unexplained(migration: &str) -> Vec<&str> {
    let mut explained = false;
    let mut found = Vec::new();
    for line in migration.lines() {
        let code = line.trim();
        if code.starts_with("--") {
            explained |= code.starts_with(REASON) && code.len() > REASON.len();
            continue;
        }
        let capitals = code.to_uppercase();
        // What a new row must have, which the version before does not know of.
        let demands = capitals.contains("ADD COLUMN")
            && capitals.contains("NOT NULL")
            && !capitals.contains("DEFAULT");
        let risky = demands || RISKS.iter().any(|risk| capitals.contains(risk));
        if risky && !explained {
            found.push(code);
        }
        // A reason is one for the statement below it.
        if code.ends_with(';') || code.is_empty() {
            explained = false;
        }
    }
    found
}

#[test]
fn migrations_only_add_or_say_why_they_break_nothing() {
    for file in fs::read_dir(root().join("migrations")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let version: i64 = name.split('_').next().unwrap().parse().unwrap();
        if version > BEFORE {
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(
                unexplained(&text),
                [""; 0],
                "{name}: the version before must run on: move this into a later version, or say above it \
                 why it does no harm: {REASON}..."
            );
        }
    }
}

#[test]
fn what_could_break_the_version_before_is_noticed() {
    for risky in [
        "ALTER TABLE users DROP COLUMN created_at;",
        "ALTER TABLE users\n    RENAME phone_index TO number_index;",
        "alter table users alter column phone_sealed set not null;",
        "ALTER TABLE users ADD COLUMN email text NOT NULL;",
        "ALTER TABLE users ALTER created_at TYPE date;",
        "-- compatible: nobody reads it\nDROP TABLE a;\nDROP TABLE b;",
        "-- compatible: \nDROP TABLE a;",
    ] {
        assert_eq!(unexplained(risky).len(), 1, "{risky}");
    }
    for safe in [
        "CREATE TABLE a (b text NOT NULL);\n-- DROP TABLE a",
        "ALTER TABLE users ADD COLUMN email text NOT NULL DEFAULT '';",
        "-- compatible: nobody reads it\nDROP TABLE a;",
    ] {
        assert_eq!(unexplained(safe), [""; 0], "{safe}");
    }
}

/// What PostgreSQL makes of a statement.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Meaning {
    parameters: Vec<String>,
    columns: Vec<(String, String)>,
}

async fn meaning(pool: &PgPool, statement: &str) -> Result<Meaning, sqlx::Error> {
    let sql = AssertSqlSafe(statement.to_owned()).into_sql_str();
    let prepared = pool.prepare(sql).await?;
    let parameters = prepared.parameters().and_then(Either::left);
    let columns = prepared.columns().iter();
    Ok(Meaning {
        parameters: parameters
            .unwrap_or_default()
            .iter()
            .map(|kind| kind.name().to_owned())
            .collect(),
        columns: columns
            .map(|column| {
                (
                    column.name().to_owned(),
                    column.type_info().name().to_owned(),
                )
            })
            .collect(),
    })
}

fn before() -> PathBuf {
    root().join("tests/upgrade/before.json")
}

#[sqlx::test]
async fn every_statement_of_the_version_before_means_the_same(pool: PgPool) {
    let text = fs::read_to_string(before()).unwrap();
    let statements: BTreeMap<String, Meaning> = serde_json::from_str(&text).unwrap();
    assert!(statements.len() > 100, "{}", statements.len());

    for (statement, meant) in statements {
        match meaning(&pool, &statement).await {
            Ok(means) => assert_eq!(means, meant, "{statement}"),
            Err(error) => panic!("{error}: {statement}"),
        }
    }
}

#[sqlx::test]
async fn a_statement_that_lost_its_column_is_noticed(pool: PgPool) {
    assert!(meaning(&pool, "SELECT created_at FROM users").await.is_ok());
    let change = sqlx::raw_sql("ALTER TABLE users RENAME created_at TO made_at");
    pool.execute(change).await.unwrap();
    // Spelled differently: a connection remembers what it prepared.
    assert!(
        meaning(&pool, "SELECT users.created_at FROM users")
            .await
            .is_err()
    );
}

/// Not a check: it keeps the statements of this version, when it is released.
#[sqlx::test]
#[ignore = "writes before.json"]
async fn keep(pool: PgPool) {
    let mut kept = BTreeMap::new();
    for file in fs::read_dir(root().join(".sqlx")).unwrap() {
        let statement = statement(&file.unwrap().path());
        if let Ok(means) = meaning(&pool, &statement).await {
            kept.insert(statement, means);
        }
    }
    let text = serde_json::to_string_pretty(&kept).unwrap();
    fs::write(before(), text + "\n").unwrap();
}

fn statement(file: &Path) -> String {
    #[derive(Deserialize)]
    struct Learnt {
        query: String,
    }
    let text = fs::read_to_string(file).unwrap();
    serde_json::from_str::<Learnt>(&text).unwrap().query
}
