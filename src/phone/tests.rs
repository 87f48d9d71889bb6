//! Spellings, refusals and masks, by table and by generated input.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rlibphonenumber::PHONE_NUMBER_UTIL;

use super::{Country, PhoneError, PhoneNumber, PhoneRules, PhoneRulesError, warm_up, written_out};

fn rules(countries: &[&str], mobile_only: bool) -> PhoneRules {
    let set: BTreeSet<Country> = countries
        .iter()
        .map(|code| Country::parse(code).unwrap())
        .collect();
    PhoneRules::new(Country::parse(countries[0]).unwrap(), set, mobile_only).unwrap()
}

fn india() -> PhoneRules {
    rules(&["IN"], true)
}

/// Security check 13: variants of one number are one subject or are refused.
#[test]
fn every_accepted_spelling_of_a_number_is_the_same_number() {
    let spellings = [
        ("9876543210", "as it is dialled in India"),
        ("09876543210", "with the trunk zero"),
        ("919876543210", "country code without plus"),
        ("+919876543210", "E.164"),
        ("+91 98765 43210", "printed"),
        ("  +91-98765-43210  ", "dashes and outer blanks"),
        ("+91 (98765) 43210", "brackets"),
        ("+91.98765.43210", "dots"),
        ("+91 (0) 98765 43210", "trunk zero behind the country code"),
        ("0091 98765 43210", "international prefix of India"),
        ("９８７６５４３２１０", "full-width digits"),
        ("＋９１９８７６５４３２１０", "full-width plus"),
        ("९८७६५४३२१०", "Devanagari digits"),
        (
            "\u{202a}+91 98765\u{a0}43210\u{202c}",
            "copied from an address book",
        ),
        ("+91 98765 \u{2011} 43210", "non-breaking hyphen"),
    ];
    for (input, why) in spellings {
        let number = PhoneNumber::parse(input, &india());
        assert_eq!(
            number.as_ref().map(PhoneNumber::as_e164),
            Ok("+919876543210"),
            "{why}"
        );
    }
}

#[test]
fn what_is_no_single_phone_number_is_refused() {
    let inputs = [
        ("", "empty"),
        (" ", "blank"),
        ("+", "plus alone"),
        ("++919876543210", "two pluses"),
        ("+91+9876543210", "plus inside"),
        ("9876543210+", "plus behind"),
        ("987654321", "one digit short"),
        ("98765432101", "one digit long"),
        ("+9198765432101", "one digit long, with country code"),
        ("91987654321", "country code and one digit short"),
        ("+910876543210", "no area and no mobile begins so"),
        ("+91 00 98765 43210", "prefixes in the wrong order"),
        ("00+919876543210", "two international prefixes"),
        ("00009876543210", "two international prefixes"),
        ("+1234", "too short for the United States"),
        ("+4474001234567890", "too long for the United Kingdom"),
        ("+09876543210", "no country code starts with zero"),
        ("+9999876543210", "no such country"),
        ("9876543210;ext=12", "extension of RFC 3966"),
        ("9876543210x123", "extension"),
        ("9876543210 ext. 1", "extension"),
        ("9876543210#1", "extension"),
        ("tel:+919876543210", "URI"),
        ("98765ABCDE", "letters of the keypad"),
        ("1800FLOWERS", "letters of the keypad"),
        ("9876543210,9876543211", "two numbers"),
        ("9876543210/9876543211", "two numbers"),
        ("9876543210\n", "line end"),
        ("98765\t43210", "tab"),
        ("98765\u{0}43210", "null"),
        ("9876543210\u{b2}", "superscript"),
        ("call 9876543210", "a sentence"),
    ];
    for (input, why) in inputs {
        assert_eq!(
            PhoneNumber::parse(input, &india()),
            Err(PhoneError::Invalid),
            "{why}"
        );
    }
}

#[test]
fn numbers_of_other_countries_and_kinds_are_not_allowed() {
    let inputs = [
        ("+14155552671", "United States"),
        ("+447400123456", "United Kingdom"),
        ("+97148888888", "Emirates"),
        (
            "001 415 555 2671",
            "international prefix to the United States",
        ),
        ("+80012345678", "world-wide free phone"),
        ("+912223456789", "Mumbai fixed line"),
        ("022 2345 6789", "Mumbai fixed line, national"),
        ("1234567890", "by the plan a fixed line"),
        ("1800 123 4567", "Indian toll-free"),
    ];
    for (input, why) in inputs {
        assert_eq!(
            PhoneNumber::parse(input, &india()),
            Err(PhoneError::NotAllowed),
            "{why}"
        );
    }
}

#[test]
fn fixed_lines_pass_only_when_the_rules_say_so_and_toll_free_never_does() {
    let all_kinds = rules(&["IN"], false);

    assert!(PhoneNumber::parse("+912223456789", &all_kinds).is_ok());
    assert_eq!(
        PhoneNumber::parse("18001234567", &all_kinds),
        Err(PhoneError::NotAllowed)
    );
}

#[test]
fn a_number_that_may_be_fixed_or_mobile_counts_as_mobile() {
    let number = PhoneNumber::parse("(415) 555-2671", &rules(&["US"], true)).unwrap();

    assert_eq!(number.as_e164(), "+14155552671");
    assert_eq!(number.country(), Country::parse("US").ok());
}

#[test]
fn countries_that_share_a_calling_code_are_told_apart() {
    let canadian = "+16135550123";

    assert_eq!(
        PhoneNumber::parse(canadian, &rules(&["US"], true)),
        Err(PhoneError::NotAllowed)
    );
    assert!(PhoneNumber::parse(canadian, &rules(&["US", "CA"], true)).is_ok());
}

#[test]
fn an_input_of_more_than_64_bytes_is_refused_before_it_is_parsed() {
    let number = "9876543210";
    for (length, accepted) in [(63, true), (64, true), (65, false)] {
        let input = format!("{}{number}", " ".repeat(length - number.len()));
        assert_eq!(
            PhoneNumber::parse(&input, &india()).is_ok(),
            accepted,
            "{length} bytes"
        );
    }
}

#[test]
fn the_mask_keeps_the_country_code_and_at_most_four_digits() {
    let cases = [
        ("+919876543210", "+91******3210"),
        ("+14155552671", "+1******2671"),
        ("+6591234567", "+65****4567"),
        ("+29051234", "+290***34"),
        ("+999876543210", "+********3210"),
    ];
    for (e164, masked) in cases {
        assert_eq!(
            PhoneNumber::from_stored_e164(e164).unwrap().masked(),
            masked
        );
    }
}

#[test]
fn a_stored_number_needs_the_shape_of_e164_and_nothing_else() {
    let cases = [
        ("+123456", false, "6 digits"),
        ("+1234567", true, "7 digits"),
        ("+12345678", true, "8 digits"),
        ("+12345678901234", true, "14 digits"),
        ("+123456789012345", true, "15 digits"),
        ("+1234567890123456", false, "16 digits"),
        ("919876543210", false, "no plus"),
        ("+0919876543210", false, "leading zero"),
        ("+91 9876543210", false, "blank"),
        ("+91987654321०", false, "other script"),
        ("+912223456789", true, "a fixed line that was once allowed"),
        ("", false, "empty"),
    ];
    for (e164, accepted, why) in cases {
        let stored = PhoneNumber::from_stored_e164(e164);
        assert_eq!(stored.is_ok(), accepted, "{why}");
        if let Ok(stored) = stored {
            assert_eq!(stored.as_e164(), e164);
        }
    }
}

#[test]
fn rules_without_a_country_or_with_a_foreign_default_are_refused() {
    let india = Country::parse("IN").unwrap();
    let nepal = Country::parse("np").unwrap();

    let none = PhoneRules::new(india, BTreeSet::new(), true);
    let foreign = PhoneRules::new(nepal, BTreeSet::from([india]), true);

    assert_eq!(none, Err(PhoneRulesError::NoCountries));
    assert_eq!(foreign, Err(PhoneRulesError::DefaultRegionNotAllowed));
    assert_eq!(nepal.code(), "NP");
}

#[test]
fn a_test_number_is_accepted_by_its_e164_text_only() {
    let nobodys = PhoneNumber::parse_test_number("+91 00000 00001", &india()).unwrap();
    let fiction = PhoneNumber::parse_test_number("001 202 555 0100", &india()).unwrap();
    let rules = india().with_test_numbers([&nobodys, &fiction]);
    let parse =
        |input: &str| PhoneNumber::parse(input, &rules).map(|number| number.as_e164().to_owned());

    for (input, expected) in [
        ("+910000000001", Ok("+910000000001")),
        ("+91-00000-00001", Ok("+910000000001")),
        ("+12025550100", Ok("+12025550100")),
        ("0000000001", Err(PhoneError::Invalid)),
        ("910000000001", Err(PhoneError::Invalid)),
        ("+910000000002", Err(PhoneError::Invalid)),
        ("+12025550101", Err(PhoneError::NotAllowed)),
        ("9876543210", Ok("+919876543210")),
    ] {
        assert_eq!(parse(input), expected.map(str::to_owned), "{input}");
    }
}

/// It must not become a second number beside the one that callers reach.
#[test]
fn a_test_number_that_one_can_have_is_read_as_callers_spellings_are() {
    let number = PhoneNumber::parse_test_number("+91 (0) 98765 43210", &india()).unwrap();
    let rules = india().with_test_numbers([&number]);

    assert_eq!(number.as_e164(), "+919876543210");
    assert_eq!(PhoneNumber::parse("098765 43210", &rules), Ok(number));
}

#[test]
fn only_codes_of_countries_with_phones_are_known() {
    for code in ["", "I", "IND", "001", "XX", "QQ", "in ", "ZZ", "1N", "भा"] {
        assert!(Country::parse(code).is_err(), "{code:?}");
    }
}

#[test]
fn warming_up_accepts_any_rules() {
    warm_up(&india());
    warm_up(&rules(&["US", "IN", "GB", "AC"], false));
}

fn indian_mobile() -> impl Strategy<Value = String> {
    (6_000_000_000_u64..10_000_000_000).prop_map(|number| number.to_string())
}

/// Some way a person could write ten national digits.
fn spelled(national: &str, prefix: usize, group: usize, separator: usize) -> String {
    let prefix = ["", "0", "91", "+91", "0091", "+91 ", "+91-0"][prefix];
    let separator = ["", " ", "-", ".", "\u{a0}", " \u{2010} "][separator];
    let (head, tail) = national.split_at(group);
    format!("{prefix}{head}{separator}{tail}")
}

proptest! {
    #[test]
    fn any_spelling_of_an_indian_mobile_parses_to_it_or_is_refused_like_it(
        national in indian_mobile(), prefix in 0..7_usize, group in 0..=10_usize, separator in 0..6_usize,
    ) {
        let plain = PhoneNumber::parse(&format!("+91{national}"), &india());
        let spelled = PhoneNumber::parse(&spelled(&national, prefix, group, separator), &india());
        prop_assert_eq!(&plain, &spelled);
        if let Ok(number) = plain {
            prop_assert_eq!(number.as_e164(), format!("+91{national}"));
            let stored = PhoneNumber::from_stored_e164(number.as_e164()).unwrap();
            prop_assert_eq!(stored.masked(), number.masked());
            prop_assert_eq!(stored.country(), number.country());
        }
    }

    #[test]
    fn what_is_written_out_is_what_the_library_reads(national in indian_mobile()) {
        let e164 = format!("+91{national}");
        let read = PHONE_NUMBER_UTIL.parse(&e164, None).unwrap();
        prop_assert_eq!(written_out(&e164), Some(read));
    }

    #[test]
    fn nothing_printed_shows_more_than_two_digits(national in indian_mobile()) {
        let number = PhoneNumber::from_stored_e164(&format!("+91{national}")).unwrap();
        for printed in [format!("{number}"), format!("{number:?}"), format!("{number:#?}")] {
            let digits: String = printed.chars().filter(char::is_ascii_digit).collect();
            prop_assert_eq!(&digits, national.split_at(8).1);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(input in any::<String>()) {
        drop(PhoneNumber::parse(&input, &india()));
        drop(PhoneNumber::from_stored_e164(&input));
    }

    #[test]
    fn no_text_of_phone_characters_makes_the_parser_panic(input in "[+0-9 ().\\-x#;=०-९]{0,40}") {
        if let Ok(number) = PhoneNumber::parse(&input, &rules(&["IN", "US", "BR"], false)) {
            prop_assert_eq!(PhoneNumber::parse(number.as_e164(), &rules(&["IN", "US", "BR"], false)), Ok(number));
        }
    }
}
