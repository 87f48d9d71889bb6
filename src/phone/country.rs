//! Countries by their two-letter code, and the rules that say whose numbers are accepted.

use std::{collections::BTreeSet, fmt};

use rlibphonenumber::{PHONE_NUMBER_UTIL, Region, RegionStr};

use super::PhoneNumber;

/// A country or territory that has a numbering plan, by its ISO 3166-1 alpha-2 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Country {
    region: Region,
    code: RegionStr,
}

/// The text is not the two-letter code of a country that has phones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a two-letter country code (ISO 3166-1) with a numbering plan")]
pub struct UnknownCountry;

impl Country {
    /// Reads a code such as `IN`, in either case.
    ///
    /// # Errors
    /// [`UnknownCountry`] for any other text, and for the code of a place without a numbering plan.
    pub fn parse(code: &str) -> Result<Self, UnknownCountry> {
        Region::from_code(code)
            .ok()
            .and_then(Self::from_region)
            .ok_or(UnknownCountry)
    }

    /// `None` for a region that is no country: a reserved code, or the world-wide services.
    pub(super) fn from_region(region: Region) -> Option<Self> {
        let country = Self {
            region,
            code: region.as_region_str(),
        };
        (region != Region::World && country.calling_code().is_some()).then_some(country)
    }

    /// The two upper-case letters.
    pub fn code(&self) -> &str {
        self.code.as_str()
    }

    pub(super) fn region(self) -> Region {
        self.region
    }

    fn calling_code(self) -> Option<i32> {
        PHONE_NUMBER_UTIL.get_country_code_for_region(self.region)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Whose numbers are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneRules {
    default_region: Country,
    countries: BTreeSet<Country>,
    /// The calling codes of `countries`, looked up once.
    calling_codes: BTreeSet<String>,
    mobile_only: bool,
    /// Accepted whatever the rules above say.
    test_numbers: Vec<PhoneNumber>,
}

/// Why a set of rules makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneRulesError {
    /// No country at all: nobody could log in.
    #[error("no country is allowed")]
    NoCountries,
    /// A number without a country code would be read as one that is then refused.
    #[error("the default region is not one of the allowed countries")]
    DefaultRegionNotAllowed,
}

impl PhoneRules {
    /// Accepts the numbers of `countries`, reads a number without a country code as one of
    /// `default_region`, and with `mobile_only` refuses what cannot be a mobile.
    ///
    /// # Errors
    /// [`PhoneRulesError`] when the rules would refuse everyone or contradict themselves.
    pub fn new(
        default_region: Country,
        countries: BTreeSet<Country>,
        mobile_only: bool,
    ) -> Result<Self, PhoneRulesError> {
        if countries.is_empty() {
            return Err(PhoneRulesError::NoCountries);
        }
        if !countries.contains(&default_region) {
            return Err(PhoneRulesError::DefaultRegionNotAllowed);
        }
        let calling_codes = countries
            .iter()
            .filter_map(|country| country.calling_code().map(|code| code.to_string()))
            .collect();
        Ok(Self {
            default_region,
            countries,
            calling_codes,
            mobile_only,
            test_numbers: Vec::new(),
        })
    }

    /// Accepts these numbers too, where their E.164 text is typed with country code: they may be ones
    /// that no numbering plan gives to anybody.
    #[must_use]
    pub fn with_test_numbers<'a>(
        mut self,
        numbers: impl IntoIterator<Item = &'a PhoneNumber>,
    ) -> Self {
        self.test_numbers.extend(numbers.into_iter().cloned());
        self
    }

    /// The test number with exactly this E.164 text.
    pub(super) fn test_number(&self, e164: &str) -> Option<&PhoneNumber> {
        self.test_numbers
            .iter()
            .find(|number| number.as_e164() == e164)
    }

    /// The country of a number that is typed without a country code.
    pub fn default_region(&self) -> Country {
        self.default_region
    }

    /// The allowed countries in alphabetical order; never empty.
    pub fn countries(&self) -> impl Iterator<Item = Country> + '_ {
        self.countries.iter().copied()
    }

    /// Whether only mobiles are accepted, and numbers that cannot be told from one (as in the
    /// United States).
    pub fn mobile_only(&self) -> bool {
        self.mobile_only
    }

    /// Whether numbers of `country` are accepted.
    pub fn allows(&self, country: Country) -> bool {
        self.countries.contains(&country)
    }

    /// Whether an international number, without its `+`, begins with the calling code of an
    /// allowed country. No calling code is the beginning of another.
    pub(super) fn has_calling_code_of(&self, international: &str) -> bool {
        self.calling_codes
            .iter()
            .any(|code| international.starts_with(code))
    }
}
