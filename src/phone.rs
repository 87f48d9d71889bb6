//! Phone numbers: parsed once at the edge, then carried as a type that cannot be printed.
//!
//! Owns the spelling rules (what a caller may type), the check against the numbering plans, and
//! the masked forms. It knows nothing of HTTP, of the database or of how a number is sealed.
//!
//! Invariants:
//! - every spelling of one number becomes the same E.164 text, or is refused (OWASP ASVS 5.0,
//!   2.2.1: one phone must not be able to appear as two subjects);
//! - neither `Debug` nor `Display` of any type here shows more than the last two digits;
//! - the test numbers of [`PhoneRules`] are accepted by their E.164 text, before any plan is asked; each
//!   of them is a text that the plans refuse, or one to which they turn every spelling of that number;
//! - a number outside the allowed countries is judged by its length alone. The library compiles a
//!   country's patterns at first use and keeps them, so strangers must not be able to make this
//!   process hold the numbering plans of the whole world (some 6 MB, or 100 with patterns that know Unicode).
//!
//! The library writes the numbers it parses to the `log` facade at level trace. So no logger may be
//! installed there, and `tracing-log`, which would do it, stays out of the build.

mod country;
mod spelling;
#[cfg(test)]
mod tests;

use std::fmt;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType};
use secrecy::{ExposeSecret, SecretString};

pub use country::{Country, PhoneRules, PhoneRulesError, UnknownCountry};

/// Fewest digits of an E.164 number that the provider accepts (`^\+[1-9]\d{6,14}$`).
const E164_MIN_DIGITS: usize = 7;
/// Most digits of an E.164 number (ITU-T E.164 (11/2010), section 6.2.1).
const E164_MAX_DIGITS: usize = 15;
/// Most digits that [`PhoneNumber::masked`] leaves readable at the end.
const MASKED_TAIL: usize = 4;
/// Digits in which the numbers of one block differ; a block of 10,000 is what a carrier is given and what
/// SMS pumping runs through.
const BLOCK_DIGITS: usize = 4;
/// Digits that `Debug` and `Display` leave readable at the end.
const PRINTED_TAIL: usize = 2;

/// Why a phone number was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// The text is no phone number that exists in any numbering plan we accept. Answered with
    /// 400 `invalid_phone_number`.
    #[error("this is not a valid phone number")]
    Invalid,
    /// The number may well exist, but its country is not on the list or it is no mobile. Answered
    /// with 403 `phone_number_not_allowed`, the same for both reasons.
    #[error("phone numbers of this country or kind are not accepted")]
    NotAllowed,
}

/// A phone number in E.164 form. Its own text is wiped from memory when it is dropped; copies that
/// the library made while parsing are not.
#[derive(Clone)]
pub struct PhoneNumber {
    e164: SecretString,
    /// Digits of the country calling code, 0 when the numbering plans do not know the number.
    calling_code_digits: usize,
    country: Option<Country>,
}

impl PhoneNumber {
    /// Parses what a person typed. Spaces, dashes, dots, brackets, a national `0`, an
    /// international `00` or `+` and the digits of other scripts are understood; extensions,
    /// letters and lists of numbers are refused.
    ///
    /// # Errors
    /// [`PhoneError::Invalid`] when it is no number, [`PhoneError::NotAllowed`] when the rules
    /// do not accept it.
    pub fn parse(input: &str, rules: &PhoneRules) -> Result<Self, PhoneError> {
        let plain = spelling::normalize(input).ok_or(PhoneError::Invalid)?;
        if let Some(number) = rules.test_number(&plain) {
            return Ok(number.clone());
        }
        if let Some(international) = plain.strip_prefix('+')
            && !rules.has_calling_code_of(international)
        {
            return Err(foreign(international));
        }
        let default_region = Some(rules.default_region().region());
        let number =
            written_out(&plain).or_else(|| PHONE_NUMBER_UTIL.parse(plain, default_region).ok());
        let Some(number) = number else {
            return Err(PhoneError::Invalid);
        };
        // No kind at all is what the library calls not valid; each of its answers looks through patterns, so
        // that it is asked once.
        let kind = number.get_type();
        if kind == PhoneNumberType::Unknown {
            return Err(PhoneError::Invalid);
        }
        let country = number.get_region_code().and_then(Country::from_region);
        let Some(country) = country.filter(|country| rules.allows(*country)) else {
            return Err(PhoneError::NotAllowed);
        };
        if !takes_messages(kind, rules.mobile_only()) {
            return Err(PhoneError::NotAllowed);
        }

        Ok(Self {
            e164: number
                .format_as(PhoneNumberFormat::E164)
                .into_owned()
                .into(),
            calling_code_digits: digits_of(number.country_code),
            country: Some(country),
        })
    }

    /// Parses a number that need not be one: with `+` and country code, and no numbering plan is asked
    /// whether anybody can have it. What the rules accept is read as they do, so that it stays one number.
    ///
    /// # Errors
    /// [`PhoneError::Invalid`] when the rules do not accept it and it is not `+` and 7 to 15 digits.
    pub fn parse_test_number(input: &str, rules: &PhoneRules) -> Result<Self, PhoneError> {
        Self::parse(input, rules).or_else(|_| {
            let plain = spelling::normalize(input).ok_or(PhoneError::Invalid)?;
            Self::from_stored_e164(&plain)
        })
    }

    /// Takes back a number that came out of our own sealed storage. Only the E.164 shape is
    /// checked: rules and numbering plans may have changed since it was stored, and its owner
    /// must still be found.
    ///
    /// # Errors
    /// [`PhoneError::Invalid`] when the text is not `+` and 7 to 15 digits.
    pub fn from_stored_e164(e164: &str) -> Result<Self, PhoneError> {
        if !has_e164_shape(e164) {
            return Err(PhoneError::Invalid);
        }
        let known = written_out(e164).or_else(|| PHONE_NUMBER_UTIL.parse(e164, None).ok());
        Ok(Self {
            e164: e164.into(),
            calling_code_digits: known
                .as_ref()
                .map_or(0, |number| digits_of(number.country_code)),
            country: known
                .and_then(|number| number.get_region_code())
                .and_then(Country::from_region),
        })
    }

    /// The number in clear, for the provider, for a sealed column and for the `phone_number`
    /// claim. Nothing else may ask for it.
    pub fn as_e164(&self) -> &str {
        self.e164.expose_secret()
    }

    /// The form shown to whoever already knows the number: `+91******3210`. At most the last four
    /// digits stay, and never more than half of the national number.
    pub fn masked(&self) -> String {
        let digits = self.as_e164().trim_start_matches('+');
        let (code, national) = digits
            .split_at_checked(self.calling_code_digits)
            .unwrap_or(("", digits));
        let tail = MASKED_TAIL.min(national.len() / 2);
        format!("+{code}{}", star_all_but(tail, national))
    }

    /// The number without its last four digits: what the numbers of one block have in common. In clear,
    /// so it is for a keyed hash only.
    pub fn prefix(&self) -> &str {
        let e164 = self.as_e164();
        e164.get(..e164.len().saturating_sub(BLOCK_DIGITS))
            .unwrap_or_default()
    }

    /// The country the number belongs to. `None` only for a stored number that today's numbering
    /// plans no longer know.
    pub fn country(&self) -> Option<Country> {
        self.country
    }
}

impl PartialEq for PhoneNumber {
    fn eq(&self, other: &Self) -> bool {
        self.as_e164() == other.as_e164()
    }
}

impl Eq for PhoneNumber {}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.as_e164().trim_start_matches('+');
        write!(f, "+{}", star_all_but(PRINTED_TAIL, digits))
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber({self})")
    }
}

/// Compiles the patterns of every allowed country, so that the first caller does not wait for it
/// (the first parse of a process takes some 10 ms, later ones 20 microseconds).
pub fn warm_up(rules: &PhoneRules) {
    for country in rules.countries() {
        let example = PHONE_NUMBER_UTIL
            .get_example_number_for_type_and_region(country.region(), PhoneNumberType::Mobile);
        if let Ok(example) = example {
            let national = example.get_national_significant_number();
            for spelling in [
                example.format_as(PhoneNumberFormat::E164).as_ref(),
                &national,
            ] {
                // Only the side effect is wanted: the compiled patterns stay in the library.
                drop(PhoneNumber::parse(spelling, rules));
            }
        }
    }
}

/// The parts of a mobile number of India that is written with its calling code. Nothing can stand between the two, so
/// that the library, which looks for a prefix to dial, has nothing to find; to look is what takes it longest.
fn written_out(e164: &str) -> Option<rlibphonenumber::PhoneNumber> {
    let national = e164.strip_prefix("+91")?;
    let is_mobile = national.len() == 10 && national.starts_with(['6', '7', '8', '9']);
    let is_plain = national.bytes().all(|byte| byte.is_ascii_digit());
    Some(rlibphonenumber::PhoneNumber {
        country_code: 91,
        national_number: national.parse().ok().filter(|_| is_mobile && is_plain)?,
        ..Default::default()
    })
}

/// What to say of a number (calling code first) whose country is not on the list. Looks only at
/// lengths, see the module's third invariant.
fn foreign(international: &str) -> PhoneError {
    let looks_real = PHONE_NUMBER_UTIL
        .get_supported_calling_codes()
        .any(|country_code| {
            international
                .strip_prefix(&country_code.to_string())
                .and_then(|national| national.parse().ok())
                .is_some_and(|national_number| {
                    let number = rlibphonenumber::PhoneNumber {
                        country_code,
                        national_number,
                        ..Default::default()
                    };
                    PHONE_NUMBER_UTIL.is_possible_number(&number)
                })
        });
    if looks_real {
        PhoneError::NotAllowed
    } else {
        PhoneError::Invalid
    }
}

/// Whether a number of this kind can be sent a text. Without `mobile_only` fixed lines and
/// internet telephony pass too; numbers that bill their caller never do, because texting them is
/// how message pumping earns its money.
fn takes_messages(kind: PhoneNumberType, mobile_only: bool) -> bool {
    match kind {
        PhoneNumberType::Mobile | PhoneNumberType::FixedLineOrMobile => true,
        PhoneNumberType::FixedLine | PhoneNumberType::VoIP | PhoneNumberType::PersonalNumber => {
            !mobile_only
        }
        PhoneNumberType::TollFree
        | PhoneNumberType::PremiumRate
        | PhoneNumberType::SharedCost
        | PhoneNumberType::Pager
        | PhoneNumberType::UAN
        | PhoneNumberType::VoiceMail
        | PhoneNumberType::Unknown => false,
    }
}

fn has_e164_shape(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (E164_MIN_DIGITS..=E164_MAX_DIGITS).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

fn star_all_but(tail: usize, digits: &str) -> String {
    let hidden = digits.len().saturating_sub(tail);
    let shown = digits.get(hidden..).unwrap_or_default();
    format!("{}{shown}", "*".repeat(hidden))
}

fn digits_of(calling_code: i32) -> usize {
    calling_code.to_string().len()
}
