//! A phone number as a person typed it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::phone::{Country, PhoneNumber, PhoneRules};

/// Few countries, since each that is looked at costs memory for good.
pub(crate) static RULES: LazyLock<PhoneRules> = LazyLock::new(|| {
    let countries = ["IN", "US", "AE", "IT"].map(|code| Country::parse(code).unwrap());
    let [india, ..] = countries;
    PhoneRules::new(india, BTreeSet::from(countries), false).unwrap()
});

/// Digits that are shown of any number, at most; the calling code is no secret.
const SHOWN: usize = 4;
/// Digits of the longest calling code (ITU-T E.164 (11/2010), section 6.2.1).
const CALLING_CODE: usize = 3;

/// What was read is one number, in whichever way it is written, and does not print itself.
///
/// # Panics
/// If that does not hold.
pub fn check(typed: &[u8]) {
    let typed = String::from_utf8_lossy(typed);
    // What is stored is read back even where it is not accepted any more.
    if let Ok(stored) = PhoneNumber::from_stored_e164(&typed) {
        assert_eq!(stored.as_e164(), typed);
        hides(&stored);
    }
    let Ok(number) = PhoneNumber::parse(&typed, &RULES) else {
        return;
    };
    let e164 = number.as_e164();
    assert!(
        number
            .country()
            .is_some_and(|country| RULES.allows(country))
    );
    let stored = PhoneNumber::from_stored_e164(e164);
    assert!(stored.is_ok_and(|stored| stored == number && stored.country() == number.country()));
    let digits = e164.trim_start_matches('+');
    let spaced: Vec<String> = digits.chars().map(String::from).collect();
    for again in [
        e164.to_owned(),
        format!("00{digits}"),
        format!("+{}", spaced.join(" ")),
        format!("\u{202A}{e164}\u{202C}"),
    ] {
        let read = PhoneNumber::parse(&again, &RULES);
        assert!(read.is_ok_and(|read| read == number));
    }
    hides(&number);
}

fn hides(number: &PhoneNumber) {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
    let printed = [number.to_string(), format!("{number:?}")];
    assert!(printed.iter().all(|text| digits(text) < SHOWN));
    let masked = number.masked();
    assert!(digits(&masked) <= CALLING_CODE + SHOWN);
    assert_eq!(masked.len(), number.as_e164().len());
    assert!(number.as_e164().starts_with(number.prefix()));
}
