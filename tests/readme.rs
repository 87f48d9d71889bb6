//! What README and docs/siblings.md say in tables must be what the code does.

use std::collections::BTreeSet;

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

#[test]
fn siblings_md_tells_what_to_do_about_every_problem() {
    let page = include_str!("../docs/siblings.md");
    let table = page.split("| `code` | what you do |").nth(1).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let told: BTreeSet<&str> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .collect();

    let real: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();

    assert_eq!(told, real);
}
