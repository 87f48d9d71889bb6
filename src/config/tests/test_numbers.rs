//! `[[test_numbers]]`.

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;

use super::{CLIENT, development_with_file, faults, now, production_with_file};
use crate::config::{Settings, TestNumber};
use crate::phone::PhoneNumber;

fn with(text: &str) -> Settings {
    development_with_file(&format!("{CLIENT}{text}"), &[]).unwrap()
}

fn faults_of(text: &str) -> Vec<String> {
    faults(development_with_file(&format!("{CLIENT}{text}"), &[]))
}

fn production_faults_of(text: &str) -> Vec<String> {
    faults(production_with_file(&format!("{CLIENT}{text}"), &[]))
}

fn entry(phone: &str, code: &str) -> String {
    format!("[[test_numbers]]\nphone_number = '{phone}'\ncode = '{code}'\n")
}

fn only(mut settings: Settings) -> TestNumber {
    assert_eq!(settings.test_numbers.len(), 1);
    settings.test_numbers.remove(0)
}

#[test]
fn every_field_of_a_test_number_is_read() {
    let number = only(with(
        "[[clients]]\nid = 'shop'\naudience = 'api'\n[[test_numbers]]\nphone = '+12025550100'\ncode = \
         '012345'\nvalid_until = '2026-12-15T18:00:00+05:30'\nclients = ['shop']\n",
    ));

    assert_eq!(number.phone_number.as_e164(), "+12025550100");
    assert_eq!(number.code.expose_secret(), "012345");
    let until: DateTime<Utc> = "2026-12-15T12:30:00Z".parse().unwrap();
    assert_eq!(number.valid_until, Some(until));
    let clients = number.clients.unwrap();
    let names: Vec<&str> = clients
        .iter()
        .map(crate::client::ClientId::as_str)
        .collect();
    assert_eq!(names, ["shop"]);
}

#[test]
fn fields_of_a_test_number_that_are_left_out_mean_for_ever_and_for_all() {
    let number = only(with(&entry("+12025550100", "708213")));

    assert_eq!(number.valid_until, None);
    assert!(number.clients.is_none());
}

/// A number that one can have is read as callers' spellings of it are.
#[test]
fn a_test_number_may_be_one_that_nobody_can_have() {
    for (typed, e164, is_accepted_anyway) in [
        ("98765 43210", "+919876543210", true),
        ("+91 (0) 98765 43210", "+919876543210", true),
        ("+91 00000 00001", "+910000000001", false),
        ("+1 (202) 555-0100", "+12025550100", false),
        ("001 202 555 0100", "+12025550100", false),
        ("+912223456789", "+912223456789", false),
        ("+1234567", "+1234567", false),
        ("+123456789012345", "+123456789012345", false),
    ] {
        let settings = with(&entry(typed, "708213"));
        let rules = settings.phone.clone();
        let number = only(settings);
        assert_eq!(number.phone_number.as_e164(), e164, "{typed}");
        assert_eq!(number.is_accepted_anyway, is_accepted_anyway, "{typed}");
        let parsed = PhoneNumber::parse(e164, &rules);
        assert_eq!(parsed, Ok(number.phone_number), "{typed}");
    }
}

#[test]
fn each_faulty_field_of_each_test_number_is_told() {
    let found = faults_of(
        &[
            &entry("12", "12345"),
            &entry("+1234567890123456", "1234567"),
            &entry("9876543210", "12345a"),
            &entry("9876543211", "708213"),
            &entry("+919876543211", "708213"),
            "[[test_numbers]]\nphone = '+1234567'\nphone_number = '+1234568'\nclients = []\n",
            "[[test_numbers]]\nphone = 'x'\ncode = '708213'\nvalid_until = 'soon'\nclients = \
             ['web', 'shop']\nuntil = ''\n",
        ]
        .concat(),
    );

    let phone = "is no phone number; give + and 7 to 15 digits, such as +12025550100";
    let code = "is not 6 digits in quotes";
    let expected = [
        format!("test_numbers[0].phone_number (from FILE): {phone}"),
        format!("test_numbers[0].code (from FILE): {code}"),
        format!("test_numbers[1].phone_number (from FILE): {phone}"),
        format!("test_numbers[1].code (from FILE): {code}"),
        format!("test_numbers[2].code (from FILE): {code}"),
        "test_numbers[4] (from FILE): has the number of one before; remove one of them".to_owned(),
        "test_numbers[5].phone (from FILE): is phone_number by another name; remove one of them"
            .to_owned(),
        "test_numbers[5].code (from FILE): is missing; add it".to_owned(),
        "test_numbers[5].clients (from FILE): is empty; name one, or leave it out for all".to_owned(),
        format!("test_numbers[6].phone (from FILE): {phone}"),
        "test_numbers[6].valid_until (from FILE): is no time; give a day or a time with its offset, \
         such as 2026-12-31 or 2026-12-31T18:00:00Z"
            .to_owned(),
        "test_numbers[6].clients (from FILE): \"shop\" is the id of no client; mend it".to_owned(),
        "test_numbers[6].until (from FILE): is unknown; remove it".to_owned(),
    ];
    assert_eq!(found, expected);
}

#[test]
fn production_takes_at_most_10_test_numbers() {
    let file = |count: u32| -> String {
        let entry = |n| {
            format!(
                "{}valid_until = 2026-12-15\n",
                entry(&format!("98765432{n:02}"), "708213")
            )
        };
        (0..count).map(entry).collect()
    };
    for (count, accepted) in [(9, true), (10, true), (11, false)] {
        assert_eq!(faults_of(&file(count)), [""; 0], "{count}");
        let found = production_faults_of(&file(count));
        assert_eq!(found.is_empty(), accepted, "{found:?}");
    }
}

/// The program starts in the tests on 25 November 2026 at 6 o'clock.
#[test]
fn production_takes_test_numbers_for_at_most_30_days() {
    for (until, accepted) in [
        ("'2026-12-24'", true),
        ("2026-12-24", true),
        ("'2026-12-25T06:00:00Z'", true),
        ("2026-12-25T11:30:00+05:30", true),
        ("'2026-12-25T06:00:01Z'", false),
        ("'2026-12-25'", false),
        ("'2020-01-01'", true),
    ] {
        let file = format!("{}valid_until = {until}\n", entry("9876543210", "708213"));
        assert_eq!(faults_of(&file), [""; 0], "{until}");
        let found = production_faults_of(&file);
        assert_eq!(found.is_empty(), accepted, "{until}: {found:?}");
    }
    let found = production_faults_of(&entry("9876543210", "708213"));
    let expected = "test_numbers[0].valid_until (from FILE): is missing, so that its code would let \
                    people in for ever; give a day at most 30 days ahead";
    assert_eq!(found, [expected]);
}

#[test]
fn a_day_is_valid_to_its_end_in_utc_and_what_is_over_is_shown() {
    let until = |text: &str| format!("{}valid_until = '{text}'\n", entry("9876543210", "708213"));
    let today = only(with(&until("2026-11-25")));
    let midnight: DateTime<Utc> = "2026-11-26T00:00:00Z".parse().unwrap();
    assert_eq!(today.valid_until, Some(midnight));

    let shown = |text: &str| with(&until(text)).summary();
    assert!(shown("2026-11-25").contains("\ntest_numbers = 1  # "));
    let over = "\ntest_numbers = 1, of which 1 expired  # ";
    assert!(shown("2026-11-24").contains(over));
    assert!(shown(&now().to_rfc3339()).contains(over));
}

#[test]
fn production_refuses_codes_that_everybody_tries_first() {
    for (code, accepted) in [
        ("111111", false),
        ("123456", false),
        ("012345", false),
        ("456789", false),
        ("890123", false),
        ("987654", false),
        ("321098", false),
        ("121212", false),
        ("424242", false),
        ("123123", false),
        ("112112", false),
        ("112211", false),
        ("100000", false),
        ("000001", false),
        ("100002", true),
        ("123457", true),
        ("135791", true),
        ("123321", true),
        ("121213", true),
        ("708213", true),
    ] {
        let file = format!("{}valid_until = 2026-12-15\n", entry("9876543210", code));
        assert_eq!(faults_of(&file), [""; 0], "{code}");
        let found = production_faults_of(&file);
        assert_eq!(found.is_empty(), accepted, "{code}: {found:?}");
        assert!(!found.concat().contains(code), "{found:?}");
    }
}
