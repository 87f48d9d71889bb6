//! Each call of operators is told with the role that it takes, and none goes without.

use std::collections::BTreeSet;

use otp_auth::http::admin::roles;

use crate::{admin_document, operations};

#[test]
fn the_document_and_the_table_of_roles_have_the_same_calls() {
    let document = admin_document();
    let calls = operations(&document).into_iter();
    let told: BTreeSet<String> = calls
        .filter(|(call, _)| call.contains(" /admin/"))
        .map(|(call, told)| {
            let said = told["description"].as_str().unwrap();
            let (_, role) = said.rsplit_once("Least role: `").unwrap();
            format!("{call} {}", role.trim_end_matches("`."))
        })
        .collect();
    let known: BTreeSet<String> = roles::all()
        .map(|(method, path, role)| format!("{} {path} {}", method.to_lowercase(), role.name()))
        .collect();

    assert_eq!(told, known);
    assert!(known.len() > 15);
}
