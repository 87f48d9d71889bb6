//! `[[clients]]`.

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::{development, development_with_file, faults, hex, production_with_file};
use crate::config::Settings;
use crate::limit::spend::Ceilings;
use crate::phone::Country;

const HASH: &str = "6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090";

fn with(text: &str) -> Settings {
    development_with_file(text, &[]).unwrap()
}

fn faults_of(text: &str) -> Vec<String> {
    faults(development_with_file(text, &[]))
}

#[test]
fn every_field_of_a_client_is_read() {
    let settings = with(&format!(
        "[[clients]]\nid = 'orders.v2_x-1'\nsecret_hash = 'sha256:{HASH}'\naudience = ['api', \
         'billing']\nallowed_origins = ['https://app.example.com', \
         'http://localhost:3000']\naccess_token_ttl = 60\nscopes = ['phone', \
         'orders:read']\nmay_introspect = true\ncountries = ['NP', 'in']\nmessages_per_hour = \
         1\nmessages_per_day = 1000000\namount_per_hour = 3\namount_per_day = \
         1000000000\namount_per_month = 5\n[phone]\ncountries = ['IN', 'NP', 'US']\n"
    ));

    let client = settings.clients.get("orders.v2_x-1").unwrap();
    let hash = hex(&client.secret_hash.as_ref().unwrap().0);
    assert_eq!(hash, HASH);
    assert_eq!(client.audience, ["api", "billing"]);
    assert_eq!(
        client.allowed_origins,
        ["https://app.example.com", "http://localhost:3000"]
    );
    assert_eq!(client.access_token_ttl, Duration::from_mins(1));
    assert_eq!(client.scopes, ["phone", "orders:read"]);
    assert!(client.may_introspect);
    assert!(!client.is_public());
    let country = |code| Country::parse(code).unwrap();
    let countries = BTreeSet::from([country("IN"), country("NP")]);
    assert_eq!(client.countries, Some(countries));
    let ceilings = Ceilings {
        messages_per_hour: NonZeroU32::new(1),
        messages_per_day: NonZeroU32::new(1_000_000),
        amount_per_hour: NonZeroU64::new(3_000_000),
        amount_per_day: NonZeroU64::new(1_000_000_000_000_000),
        amount_per_month: NonZeroU64::new(5_000_000),
    };
    assert_eq!(client.ceilings, ceilings);
}

#[test]
fn fields_of_a_client_that_are_left_out_have_their_documented_meaning() {
    let settings =
        with("[[clients]]\nid = 'a'\naudience = 'api'\n[tokens]\naccess_ttl_seconds = 77\n");

    let client = settings.clients.get("a").unwrap();
    assert!(client.is_public());
    assert_eq!(client.access_token_ttl, Duration::from_secs(77));
    assert_eq!(client.scopes.len() + client.allowed_origins.len(), 0);
    assert!(!client.may_introspect);
    assert_eq!(client.countries, None);
    assert_eq!(client.ceilings, Ceilings::default());
}

#[test]
fn a_bare_hash_is_as_good_as_one_with_its_name() {
    let settings = with(&format!(
        "[[clients]]\nid = 'a'\naudience = 'api'\nsecret_hash = '{}'\n",
        HASH.to_uppercase()
    ));

    assert!(!settings.clients.get("a").unwrap().is_public());
}

#[test]
fn the_sole_public_client_is_only_one_that_is_alone_and_public() {
    let public = "[[clients]]\nid = 'a'\naudience = 'api'\n";
    let confidential = format!("[[clients]]\nid = 'b'\naudience = 'api'\nsecret_hash = '{HASH}'\n");

    assert!(with(public).clients.sole_public().is_some());
    assert!(with(&confidential).clients.sole_public().is_none());
    assert!(
        with(&(public.to_owned() + &confidential))
            .clients
            .sole_public()
            .is_none()
    );
}

#[test]
fn each_faulty_field_of_each_client_is_told() {
    let found = faults_of(
        "[[clients]]\nid = 'a b'\naudience = []\nsecret_hash = 'md5:00'\nscopes = ['x y']\n\
         [[clients]]\naudience = 'api'\nallowed_origins = ['*', 'https://a.example/', 'b']\n\
         may_introspect = true\naccess_token_ttl = 59\nscope = ['phone']\n\
         [[clients]]\nid = 'c'\naudience = 'api'\ncountries = ['XX', 'NP', 'IN']\n\
         messages_per_hour = -1\nmessages_per_day = 1000001\namount_per_month = 1000000001\n\
         [[clients]]\nid = 'd'\naudience = 'api'\ncountries = []\n",
    );

    let expected = [
        "clients[0].id (from FILE): is no client id; use 1 to 64 of A-Z a-z 0-9 . _ -",
        "clients[0].secret_hash (from FILE): is not sha256: and 64 hex digits; make it with: \
         printf %s \"$secret\" | sha256sum",
        "clients[0].audience (from FILE): is missing or empty; name who takes its tokens, such as \
         \"api\"",
        "clients[0].scopes (from FILE): \"x y\" is no scope; use printable ASCII without blank, \
         \" and \\",
        "clients[1].id (from FILE): is missing; add it",
        "clients[1].allowed_origins (from FILE): one of them is not an address; write it like \
         https://auth.example.com",
        "clients[1].allowed_origins (from FILE): one of them is not an origin; write it like \
         https://app.example.com, without path or wildcard",
        "clients[1].allowed_origins (from FILE): one of them is not an address; write it like \
         https://auth.example.com",
        "clients[1].access_token_ttl (from FILE): is not a whole number of seconds from 60 to \
         86400",
        "clients[1].may_introspect (from FILE): needs a client with a secret; add a secret_hash",
        "clients[1].scope (from FILE): is unknown; did you mean scopes?",
        "clients[2].countries (from FILE): \"XX\" cannot be used; give the two letters of a country, \
         such as IN",
        "clients[2].countries (from FILE): NP is not one of phone.countries; add it there or remove \
         it here",
        "clients[2].messages_per_hour (from FILE): is not a whole number from 0 to 1000000",
        "clients[2].messages_per_day (from FILE): is not a whole number from 0 to 1000000",
        "clients[2].amount_per_month (from FILE): is not a whole number from 0 to 1000000000",
        "clients[3].countries (from FILE): is empty; name one, or leave it out for all",
    ];
    assert_eq!(found, expected);
}

#[test]
fn unknown_fields_are_told_in_alphabetical_order() {
    let found = faults_of(
        "[[clients]]\nid = 'a'\naudience = 'b'\nd = 1\nz = 1\nq = 1\nc = 1\nm = 1\nk = 1\n",
    );

    let fields = ["c", "d", "k", "m", "q", "z"];
    let expected =
        fields.map(|field| format!("clients[0].{field} (from FILE): is unknown; remove it"));
    assert_eq!(found, expected);
}

#[test]
fn values_of_the_wrong_type_are_told_without_being_shown() {
    let found = faults_of(
        "[[clients]]\nid = 5\naudience = ['a', 6]\nsecret_hash = 7\naccess_token_ttl = '60'\n\
         may_introspect = 'yes'\n[[test_numbers]]\nphone_number = 9876543210\ncode = 123456\n",
    );

    let expected = [
        "clients[0].id (from FILE): must be text in quotes",
        "clients[0].secret_hash (from FILE): must be text in quotes",
        "clients[0].audience (from FILE): must be text in quotes, or a list of texts",
        "clients[0].access_token_ttl (from FILE): must be a whole number",
        "clients[0].may_introspect (from FILE): must be true or false",
        "test_numbers[0].phone_number (from FILE): must be text in quotes",
        "test_numbers[0].code (from FILE): must be text in quotes",
    ];
    assert_eq!(found, expected);
}

#[test]
fn ids_of_clients_have_1_to_64_plain_characters_and_are_told_apart() {
    for (id, accepted) in [
        (String::new(), false),
        ("a".to_owned(), true),
        ("a".repeat(63), true),
        ("a".repeat(64), true),
        ("a".repeat(65), false),
        ("a/b".to_owned(), false),
        ("ä".to_owned(), false),
    ] {
        let file = format!("[[clients]]\nid = '{id}'\naudience = 'api'\n");
        assert_eq!(faults_of(&file).is_empty(), accepted, "{id:?}");
    }
    let twice = "[[clients]]\nid = 'a'\naudience = 'api'\n".repeat(2);
    assert_eq!(
        faults_of(&twice),
        ["clients[1] (from FILE): has the id of one before, a; rename it"]
    );
}

#[test]
fn the_life_of_a_clients_tokens_is_bounded_and_covered_by_the_keys() {
    for (seconds, accepted) in [
        (-1, false),
        (59, false),
        (60, true),
        (61, true),
        (86_400, true),
        (86_401, false),
    ] {
        let file = format!("[[clients]]\nid = 'a'\naudience = 'b'\naccess_token_ttl = {seconds}\n");
        assert_eq!(faults_of(&file).is_empty(), accepted, "{seconds}");
    }
    let file = "[[clients]]\nid = 'a'\naudience = 'b'\naccess_token_ttl = 2000\n\
                [tokens]\nkeep_after_seconds = 1999\n";
    assert!(faults_of(file)[0].contains("is longer than tokens.keep_after_seconds"));
}

#[test]
fn production_refuses_plain_http_origins_except_on_this_machine() {
    let file = |origin: &str| {
        format!("[[clients]]\nid = 'a'\naudience = 'b'\nallowed_origins = ['{origin}']\n")
    };
    for (origin, accepted) in [
        ("https://app.example.com", true),
        ("http://localhost:3000", true),
        ("http://127.0.0.1:3000", true),
        ("http://app.example.com", false),
    ] {
        assert!(faults_of(&file(origin)).is_empty(), "{origin}");
        let found = faults(production_with_file(&file(origin), &[]));
        assert_eq!(found.is_empty(), accepted, "{found:?}");
    }
}

#[test]
fn lists_of_tables_need_two_brackets_and_a_file() {
    let single = faults_of("[clients]\nid = 'a'\n");
    let scalar = faults_of("clients = 'web'\n");
    let entry = faults_of("clients = ['web']\n");
    let variable = faults(development(&[("OTP_AUTH__CLIENTS", "web")]));

    let brackets = "clients.id (from FILE): is a list; write its heading with two brackets: \
                    [[clients]]";
    assert_eq!(single, [brackets]);
    assert_eq!(
        scalar,
        ["clients (from FILE): must be a list of tables; write [[clients]]"]
    );
    assert_eq!(entry, ["clients[0] (from FILE): must be a table of fields"]);
    let expected = "OTP_AUTH__CLIENTS: cannot be given in the environment; write [[clients]] in \
                    the file given by --config";
    assert_eq!(variable, [expected]);
}
