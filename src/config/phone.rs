//! `[phone]` and `[[test_numbers]]`: whose numbers are accepted, and the ones that cost no SMS.

use std::collections::BTreeSet;

use secrecy::SecretString;

use super::{
    reader::{Read, Reader},
    table::Table,
};
use crate::phone::{Country, PhoneNumber, PhoneRules, PhoneRulesError};

/// Most test numbers in production: enough for the reviewers of every app store, too few to be
/// used as a second way in.
const TEST_NUMBERS_MAX: usize = 10;
/// Digits of a fixed code; as `otp.code_length`.
const CODE_DIGITS: usize = 6;

/// One of `[[test_numbers]]`: a number that gets a fixed code and no message.
#[derive(Clone, Debug)]
pub struct TestNumber {
    /// Passes the rules of `[phone]`.
    pub phone_number: PhoneNumber,
    /// Six digits.
    pub code: SecretString,
}

pub(super) fn read(reader: &mut Reader) -> Read<PhoneRules> {
    const COUNTRIES: &str = "phone.countries";
    const DEFAULT: &str = "phone.default_region";
    let mend = "give the two letters of a country, such as IN";
    let countries = reader.parsed_list(COUNTRIES, mend, |item| Country::parse(item).ok());
    let mobile_only = reader.flag("phone.mobile_only");
    let default_region = reader.text(DEFAULT).and_then(|text| {
        let country = Country::parse(&text).ok();
        country.ok_or_else(|| reader.fault(DEFAULT, format!("{text:?} cannot be used; {mend}")))
    });

    let countries: BTreeSet<Country> = countries?.into_iter().collect();
    PhoneRules::new(default_region?, countries, mobile_only?).map_err(|error| match error {
        PhoneRulesError::NoCountries => reader.fault(
            COUNTRIES,
            "is empty, so nobody could log in; name at least one country",
        ),
        PhoneRulesError::DefaultRegionNotAllowed => reader.fault(
            DEFAULT,
            "is not one of phone.countries; add it there or change it",
        ),
    })
}

/// With faulty `rules` only the form of the entries is checked, not their numbers.
pub(super) fn read_test_numbers(
    reader: &mut Reader,
    rules: Read<&PhoneRules>,
) -> Read<Vec<TestNumber>> {
    const KEY: &str = "test_numbers";
    let tables = reader.tables(KEY)?;
    reader.show(KEY, tables.len().to_string());
    if tables.len() > TEST_NUMBERS_MAX {
        reader.fault_in_production(
            KEY,
            format!(
                "are {}; keep at most {TEST_NUMBERS_MAX} in production",
                tables.len()
            ),
        );
    }

    let mut numbers: Vec<TestNumber> = Vec::with_capacity(tables.len());
    let mut result = Ok(());
    for (index, value) in tables.into_iter().enumerate() {
        let path = format!("{KEY}[{index}]");
        let table = Table::new(reader, path.clone(), value);
        match table.and_then(|table| test_number(table, rules)) {
            Ok(new)
                if numbers
                    .iter()
                    .any(|old| old.phone_number == new.phone_number) =>
            {
                reader.fault(&path, "has the number of one before; remove one of them");
            }
            Ok(number) => numbers.push(number),
            Err(noted) => result = Err(noted),
        }
    }
    result.map(|()| numbers)
}

fn test_number(mut table: Table<'_>, rules: Read<&PhoneRules>) -> Read<TestNumber> {
    let phone_number = table.required_text("phone_number").and_then(|text| {
        PhoneNumber::parse(&text, rules?).map_err(|error| {
            table.fault(
                "phone_number",
                format!("{error}; give one that [phone] accepts"),
            )
        })
    });
    let code = table.required_text("code").and_then(|code| {
        let is_code = code.len() == CODE_DIGITS && code.bytes().all(|byte| byte.is_ascii_digit());
        let code = is_code.then(|| SecretString::from(code));
        code.ok_or_else(|| table.fault("code", format!("is not {CODE_DIGITS} digits in quotes")))
    });
    table.refuse_others();
    Ok(TestNumber {
        phone_number: phone_number?,
        code: code?,
    })
}
