//! `[phone]`: whose numbers are accepted.

use std::collections::BTreeSet;

use super::reader::{Read, Reader};
use crate::phone::{Country, PhoneRules, PhoneRulesError};

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
