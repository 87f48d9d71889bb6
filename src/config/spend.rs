//! `[limits.spend]` and `[limits.pumping]`: what all messages together may cost, and how many of them may
//! stay unused.

use std::{collections::BTreeMap, fmt, num::NonZeroU32, num::NonZeroU64, ops::RangeInclusive};

use super::{
    limits::{MAX, always_on},
    reader::{Read, Reader},
};
use crate::client::{Client, Clients};
use crate::limit::{
    budget::{Least, Mode},
    spend::Ceilings,
};
use crate::phone::{Country, PhoneRules};

/// Highest amount in whole units of the currency; its millionths fit the counters (bigint) 9000 times.
pub(super) const AMOUNT_MAX: u64 = 1_000_000_000;
/// Highest price of one message in whole units of the currency: [`MAX`] messages at it still fit the
/// counters.
const PRICE_MAX: u64 = 1_000_000;
/// Millionths in one.
const MICROS: u64 = 1_000_000;
/// Decimals that millionths can hold.
const DECIMALS: usize = 6;
/// Percent of a ceiling that known users may have for themselves. With more, strangers would be what the
/// service refuses most of the time.
const RESERVED: RangeInclusive<u32> = 0..=50;

/// `[limits.spend]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// Of the whole service.
    pub ceilings: Ceilings,
    /// What prices and amounts are in.
    pub currency: Currency,
    /// Price of one message, in millionths of the currency.
    pub prices: BTreeMap<Country, u64>,
    /// The last part of each ceiling, in percent, is kept for known users; 0 to 50.
    pub reserved_for_known_percent: u32,
}

/// The three capital letters of a currency (ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Currency([char; 3]);

/// `[limits.pumping]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pumping {
    /// What a spent budget does.
    pub mode: Mode,
    /// The least budget of a prefix or country; from 1 each.
    pub least: Least,
    /// The least budget of one address; from 1 each.
    pub address_least: Least,
    /// Right codes a day that are expected from the default region; `None` = nobody said, nor can it be
    /// told from the ceiling of a day.
    pub expected_logins_per_day: Option<NonZeroU32>,
    /// Whether a number that logged in before counts as known, or only a device that did.
    pub trust_accounts: bool,
}

impl Currency {
    fn parse(text: &str) -> Option<Self> {
        let letters: Vec<char> = text.chars().collect();
        let letters = <[char; 3]>::try_from(letters).ok()?;
        letters
            .iter()
            .all(char::is_ascii_uppercase)
            .then_some(Self(letters))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_iter(self.0))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

pub(super) fn read(reader: &mut Reader) -> Read<Spend> {
    let messages_per_hour = always_on(reader, "limits.spend.messages_per_hour", MAX);
    let messages_per_day = always_on(reader, "limits.spend.messages_per_day", MAX);
    let currency = currency(reader);
    let prices = prices(reader);
    let amount_per_hour = amount(reader, "limits.spend.amount_per_hour");
    let amount_per_day = amount(reader, "limits.spend.amount_per_day");
    let amount_per_month = amount(reader, "limits.spend.amount_per_month");
    let reserved = reader.integer("limits.spend.reserved_for_known_percent", RESERVED);
    Ok(Spend {
        ceilings: Ceilings {
            messages_per_hour: messages_per_hour?,
            messages_per_day: messages_per_day?,
            amount_per_hour: amount_per_hour?,
            amount_per_day: amount_per_day?,
            amount_per_month: amount_per_month?,
        },
        currency: currency?,
        prices: prices?,
        reserved_for_known_percent: reserved?,
    })
}

fn currency(reader: &mut Reader) -> Read<Currency> {
    const KEY: &str = "limits.spend.currency";
    let text = reader.text(KEY)?;
    Currency::parse(&text).ok_or_else(|| {
        let problem = format!("{text:?} is no currency; give its three capital letters (ISO 4217)");
        reader.fault(KEY, problem)
    })
}

fn prices(reader: &mut Reader) -> Read<BTreeMap<Country, u64>> {
    const KEY: &str = "limits.spend.prices";
    let mend = format!(
        "give a country and the price of one message there, such as IN=0.25: at most {PRICE_MAX}, \
         with at most {DECIMALS} decimals"
    );
    let pairs = reader.parsed_list(KEY, &mend, |item| {
        let (country, price) = item.split_once('=')?;
        let country = Country::parse(country.trim()).ok()?;
        let price = micros(price.trim()).filter(|price| *price <= PRICE_MAX * MICROS)?;
        Some((country, price))
    })?;
    let mut prices = BTreeMap::new();
    for (country, price) in pairs {
        if prices.insert(country, price).is_some() {
            reader.fault(
                KEY,
                format!("holds two prices for {country}; keep one of them"),
            );
        }
    }
    Ok(prices)
}

/// A decimal number in millionths, without the rounding of floating point; `None` if it is none, or
/// has more decimals than millionths can hold.
fn micros(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) || decimals.len() > DECIMALS {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let decimals: u64 = format!("{decimals:0<DECIMALS$}").parse().ok()?;
    whole.checked_mul(MICROS)?.checked_add(decimals)
}

/// An amount in whole units of the currency; 0 switches it off.
fn amount(reader: &mut Reader, key: &str) -> Read<Option<NonZeroU64>> {
    reader.integer(key, 0..=AMOUNT_MAX).map(amount_of)
}

/// Whole units of the currency as a ceiling; 0 is none.
pub(super) fn amount_of(units: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(units.saturating_mul(MICROS))
}

pub(super) fn read_pumping(reader: &mut Reader, spend: Read<&Spend>) -> Read<Pumping> {
    let mode = mode(reader);
    let per_day = reader.integer("limits.pumping.least_per_day", 1..=MAX);
    let per_hour = reader.integer("limits.pumping.least_per_hour", 1..=MAX);
    let address_per_day = reader.integer("limits.pumping.address_least_per_day", 1..=MAX);
    let address_per_hour = reader.integer("limits.pumping.address_least_per_hour", 1..=MAX);
    let expected = reader.limit("limits.pumping.expected_logins_per_day", MAX);
    let trust_accounts = reader.flag("limits.pumping.trust_accounts");
    // That ceiling is to be three to five times the peak.
    let quarter = |most: NonZeroU32| NonZeroU32::new(most.get() / 4);
    let of_ceiling = spend.map(|spend| spend.ceilings.messages_per_day.and_then(quarter));
    Ok(Pumping {
        mode: mode?,
        least: Least {
            per_day: per_day?,
            per_hour: per_hour?,
        },
        address_least: Least {
            per_day: address_per_day?,
            per_hour: address_per_hour?,
        },
        expected_logins_per_day: expected?.or(of_ceiling?),
        trust_accounts: trust_accounts?,
    })
}

fn mode(reader: &mut Reader) -> Read<Mode> {
    const KEY: &str = "limits.pumping.mode";
    match reader.text(KEY)?.as_str() {
        "enforce" => Ok(Mode::Enforce),
        "record_only" => Ok(Mode::RecordOnly),
        other => Err(reader.fault(
            KEY,
            format!("{other:?} is unknown; use \"enforce\" or \"record_only\""),
        )),
    }
}

/// Notes countries whose messages would count as free against a ceiling in money.
pub(super) fn check_prices(
    reader: &mut Reader,
    spend: &Spend,
    phone: &PhoneRules,
    clients: &Clients,
) {
    let ceilings = clients.iter().map(|client: &Client| &client.ceilings);
    if !ceilings
        .chain([&spend.ceilings])
        .any(Ceilings::has_an_amount)
    {
        return;
    }
    let without: Vec<String> = phone
        .countries()
        .filter(|country| !spend.prices.contains_key(country))
        .map(|country| country.to_string())
        .collect();
    if !without.is_empty() {
        reader.fault_in_production(
            "limits.spend.prices",
            format!(
                "lacks {}, whose messages no amount_per_... would count; add what one costs there",
                without.join(", ")
            ),
        );
    }
}
