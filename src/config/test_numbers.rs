//! `[[test_numbers]]`: the numbers that get a fixed code and cost no SMS.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use secrecy::SecretString;

use super::{
    reader::{Read, Reader},
    table::Table,
};
use crate::client::{ClientId, Clients};
use crate::phone::{PhoneNumber, PhoneRules};

/// Most test numbers in production: enough for the reviewers of every app store, too few to be
/// used as a second way in.
const TEST_NUMBERS_MAX: usize = 10;
/// Digits of a fixed code; as `otp.code_length`.
const CODE_DIGITS: usize = 6;
/// Days that a test number may last in production: a review takes days, and what is forgotten must end by
/// itself.
const DAYS_MAX: i64 = 30;

/// One of `[[test_numbers]]`: a number that gets a fixed code and no message.
#[derive(Clone, Debug)]
pub struct TestNumber {
    /// May be one that nobody can have.
    pub phone_number: PhoneNumber,
    /// Whether `[phone]` accepts it whatever is listed here. One that it does not accept must be refused
    /// where it has no fixed code: afterwards, and for other clients.
    pub is_accepted_anyway: bool,
    /// Six digits.
    pub code: SecretString,
    /// When it ends to be a test number; `None` = never.
    pub valid_until: Option<DateTime<Utc>>,
    /// Who may use it; `None` = every client.
    pub clients: Option<BTreeSet<ClientId>>,
}

/// With faulty `rules` or `clients` only the form of the entries is checked.
pub(super) fn read(
    reader: &mut Reader,
    rules: Read<&PhoneRules>,
    clients: Read<&Clients>,
    now: DateTime<Utc>,
) -> Read<Vec<TestNumber>> {
    const KEY: &str = "test_numbers";
    let tables = reader.tables(KEY)?;
    let count = tables.len();
    if count > TEST_NUMBERS_MAX {
        reader.fault_in_production(
            KEY,
            format!("are {count}; keep at most {TEST_NUMBERS_MAX} in production"),
        );
    }

    let mut numbers: Vec<TestNumber> = Vec::with_capacity(count);
    let mut result = Ok(());
    for (index, value) in tables.into_iter().enumerate() {
        let path = format!("{KEY}[{index}]");
        let table = Table::new(reader, path.clone(), value);
        match table.and_then(|table| test_number(table, rules, clients, now)) {
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
    let is_over = |number: &&TestNumber| number.valid_until.is_some_and(|until| until <= now);
    let shown = match numbers.iter().filter(is_over).count() {
        0 => count.to_string(),
        over => format!("{count}, of which {over} expired"),
    };
    reader.show(KEY, shown);
    result.map(|()| numbers)
}

fn test_number(
    mut table: Table<'_>,
    rules: Read<&PhoneRules>,
    clients: Read<&Clients>,
    now: DateTime<Utc>,
) -> Read<TestNumber> {
    let phone_number = phone_number(&mut table, rules);
    let code = code(&mut table);
    let valid_until = valid_until(&mut table, now);
    let clients = names(&mut table, clients);
    table.refuse_others();
    let phone_number = phone_number?;
    Ok(TestNumber {
        is_accepted_anyway: PhoneNumber::parse(phone_number.as_e164(), rules?).is_ok(),
        phone_number,
        code: code?,
        valid_until: valid_until?,
        clients: clients?,
    })
}

/// `phone` is what people write who know the field from elsewhere.
fn phone_number(table: &mut Table<'_>, rules: Read<&PhoneRules>) -> Read<PhoneNumber> {
    let (field, text) = match table.text("phone")? {
        Some(_) if table.text("phone_number")?.is_some() => {
            return Err(table.fault(
                "phone",
                "is phone_number by another name; remove one of them",
            ));
        }
        Some(text) => ("phone", text),
        None => ("phone_number", table.required_text("phone_number")?),
    };
    PhoneNumber::parse_test_number(&text, rules?).map_err(|_error| {
        table.fault(
            field,
            "is no phone number; give + and 7 to 15 digits, such as +12025550100",
        )
    })
}

fn code(table: &mut Table<'_>) -> Read<SecretString> {
    const FIELD: &str = "code";
    let code = table.required_text(FIELD)?;
    if code.len() != CODE_DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(table.fault(FIELD, format!("is not {CODE_DIGITS} digits in quotes")));
    }
    if is_guessable(&code) {
        let make = "make one with: shuf -i 0-999999 -n 1 | xargs printf '%06d\\n'";
        table.fault_in_production(
            FIELD,
            format!("is one of those that everybody tries first; {make}"),
        );
    }
    Ok(SecretString::from(code))
}

/// Whether a code is counted up or down, also past 9, or has all digits the same; repeats its first two or
/// three digits; or has only two different ones.
fn is_guessable(code: &str) -> bool {
    let digits: Vec<u8> = code.bytes().map(|byte| byte - b'0').collect();
    let ahead = |by: usize| digits.iter().zip(digits.iter().skip(by));
    let steps: BTreeSet<u8> = ahead(1).map(|(one, next)| (next + 10 - one) % 10).collect();
    let counts = steps.len() == 1 && steps.iter().all(|step| matches!(step, 0 | 1 | 9));
    let repeats = |length| ahead(length).all(|(one, next)| one == next);
    let different: BTreeSet<u8> = digits.iter().copied().collect();
    counts || repeats(2) || repeats(3) || different.len() <= 2
}

fn valid_until(table: &mut Table<'_>, now: DateTime<Utc>) -> Read<Option<DateTime<Utc>>> {
    const FIELD: &str = "valid_until";
    let Some(text) = table.text(FIELD)? else {
        table.fault_in_production(
            FIELD,
            format!(
                "is missing, so that its code would let people in for ever; give a day at most \
                 {DAYS_MAX} days ahead"
            ),
        );
        return Ok(None);
    };
    let Some(until) = time(&text).or_else(|| end_of_day(&text)) else {
        let mend =
            "give a day or a time with its offset, such as 2026-12-31 or 2026-12-31T18:00:00Z";
        return Err(table.fault(FIELD, format!("is no time; {mend}")));
    };
    if until - now > TimeDelta::days(DAYS_MAX) {
        table.fault_in_production(
            FIELD,
            format!("is more than {DAYS_MAX} days ahead; give an earlier day"),
        );
    }
    Ok(Some(until))
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.with_timezone(&Utc))
}

fn end_of_day(text: &str) -> Option<DateTime<Utc>> {
    let day: NaiveDate = text.parse().ok()?;
    let next = day.checked_add_days(Days::new(1))?;
    Some(next.and_time(NaiveTime::MIN).and_utc())
}

fn names(table: &mut Table<'_>, clients: Read<&Clients>) -> Read<Option<BTreeSet<ClientId>>> {
    const FIELD: &str = "clients";
    let Some(names) = table.texts_or_none(FIELD)? else {
        return Ok(None);
    };
    let mut ids = BTreeSet::new();
    for name in names {
        match clients.map(|clients| clients.get(&name)) {
            Ok(Some(client)) => {
                ids.insert(client.id.clone());
            }
            Ok(None) => {
                table.fault(FIELD, format!("{name:?} is the id of no client; mend it"));
            }
            Err(_) => {}
        }
    }
    Ok(Some(ids))
}
