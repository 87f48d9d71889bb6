//! What everybody together may spend on SMS, and how many of them may stay unused: the guard against
//! SMS pumping.
//!
//! The counters in Postgres are changed first, and the change is undone if it asked for too much
//! (`otp/store/take.rs`); the functions here look at the counters as they are after the change.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, Months, NaiveTime, TimeDelta, Timelike as _, Utc};

pub use super::counter::Counter;
use super::spend::Ceilings;
use crate::phone::Country;

/// Share of the best day's right codes that may stay without one, per day, in percent; and of a sixth
/// of them, per hour. The figures of the issue that asked for this guard, which holds them against
/// StartMessaging's "normal 60 to 80 %" of codes that are used (fraud posts, read 2026-11-23).
const PERCENT_A_DAY: i64 = 30;
const PERCENT_AN_HOUR: i64 = 20;
const PART_OF_A_DAY: i64 = 6;

/// Whether a budget that is spent refuses, or only says that it would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It refuses.
    Enforce,
    /// The SMS goes out, and a decision is recorded.
    RecordOnly,
}

/// The least of the budgets that shrink when few codes are used, in SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Least {
    /// In a day.
    pub per_day: u32,
    /// In an hour.
    pub per_hour: u32,
}

/// How many SMS may stay without a right code.
#[derive(Clone, Debug)]
pub struct UnverifiedPolicy {
    /// What a spent budget does.
    pub mode: Mode,
    /// The least budget of a prefix or country.
    pub least: Least,
    /// The least budget of an address: no single one can spend a country's.
    pub address_least: Least,
    /// Where most users are, and how many right codes a day are expected from there before there is a
    /// history.
    pub home: Option<(Country, u32)>,
    /// Whether a number that logged in before counts as known, or only a device that did.
    pub trust_accounts: bool,
}

/// What everybody together may spend.
#[derive(Clone, Debug)]
pub struct SpendPolicy {
    /// Of the whole service.
    pub service: Ceilings,
    /// Price of an SMS, in millionths of the currency.
    pub prices: BTreeMap<Country, u64>,
    /// The last part of each ceiling, in percent, is kept for known users.
    pub reserved_percent: u32,
}

impl SpendPolicy {
    /// What an SMS to this country costs, in millionths of the currency; nothing where no price is
    /// known.
    pub fn price(&self, country: Option<Country>) -> i64 {
        let price = country.and_then(|country| self.prices.get(&country));
        price.map_or(0, |price| i64::try_from(*price).unwrap_or(i64::MAX))
    }
}

/// When the windows began that `now` is in, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Starts {
    /// The hour.
    pub hour: DateTime<Utc>,
    /// The day.
    pub day: DateTime<Utc>,
    /// The month.
    pub month: DateTime<Utc>,
}

impl Starts {
    /// Those of this moment.
    pub fn of(now: DateTime<Utc>) -> Self {
        let day = now.date_naive().and_time(NaiveTime::MIN).and_utc();
        Self {
            hour: day + TimeDelta::hours(i64::from(now.hour())),
            day,
            month: day - TimeDelta::days(i64::from(now.day0())),
        }
    }
}

/// A length of time that has a ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// An hour of UTC.
    Hour,
    /// A day of UTC.
    Day,
    /// A month of UTC.
    Month,
}

impl Period {
    /// The name in the database, in logs and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// When the one began that `now` is in.
    pub fn start(self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.of(Starts::of(now))
    }

    fn of(self, starts: Starts) -> DateTime<Utc> {
        match self {
            Self::Hour => starts.hour,
            Self::Day => starts.day,
            Self::Month => starts.month,
        }
    }
}

/// Whom a row of counters counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One caller's address, by the first 64 bits of its keyed hash.
    Address(String),
    /// One client, by its id.
    Client(String),
    /// One country.
    Country(Country),
    /// The numbers that differ in their last four digits only, by the first 64 bits of the keyed hash of
    /// the others.
    Prefix(String),
    /// Everybody.
    Service,
}

impl Scope {
    /// The row's name.
    pub fn name(&self) -> String {
        match self {
            Self::Address(hash) => format!("address:{hash}"),
            Self::Client(id) => format!("client:{id}"),
            Self::Country(country) => format!("country:{country}"),
            Self::Prefix(hash) => format!("prefix:{hash}"),
            Self::Service => "service".to_owned(),
        }
    }

    /// Whether a row of this name is held against the SMS that stay without a right code. The others count what is
    /// spent, used or not.
    pub fn is_guarded(name: &str) -> bool {
        let kinds = ["address:", "country:", "prefix:"];
        kinds.iter().any(|kind| name.starts_with(kind))
    }
}

/// Why an SMS is too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// A stable name.
    pub reason: &'static str,
    /// Which counter.
    pub scope: Scope,
    /// In which of its windows.
    pub period: Period,
    /// What it counts, with this SMS in it; millionths where it is money.
    pub counted: i64,
    /// How much of it may be.
    pub allowed: i64,
    /// Time until the window is over.
    pub wait: Duration,
}

impl Excess {
    /// That all of it is spent.
    pub fn level(&self, now: DateTime<Utc>) -> Level {
        Level {
            scope: self.scope.clone(),
            period: self.period,
            start: self.period.start(now),
            percent: 100,
        }
    }
}

/// Which part of a ceiling is spent, or of a country's budget of unused codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Whose ceiling.
    pub scope: Scope,
    /// Of which window.
    pub period: Period,
    /// When that began.
    pub start: DateTime<Utc>,
    /// 50, 80 or 100.
    pub percent: u8,
}

/// The parts of a ceiling, in percent, at which a warning is given.
const WARN_AT: [u8; 3] = [50, 80, 100];

/// One ceiling of one counter.
struct Use {
    reason: &'static str,
    period: Period,
    counted: i64,
    most: i64,
    /// What this SMS added.
    step: i64,
}

fn uses(counter: &Counter, ceilings: &Ceilings, price: i64) -> Vec<Use> {
    let count = |most: Option<std::num::NonZeroU32>| most.map(|most| i64::from(most.get()));
    let money = |most: Option<std::num::NonZeroU64>| {
        most.map(|most| i64::try_from(most.get()).unwrap_or(i64::MAX))
    };
    let (messages, cost) = (counter.messages, counter.cost);
    let (hour, day) = (ceilings.messages_per_hour, ceilings.messages_per_day);
    [
        (
            "messages_per_hour",
            Period::Hour,
            messages.0,
            count(hour),
            1,
        ),
        ("messages_per_day", Period::Day, messages.1, count(day), 1),
        (
            "amount_per_hour",
            Period::Hour,
            cost.0,
            money(ceilings.amount_per_hour),
            price,
        ),
        (
            "amount_per_day",
            Period::Day,
            cost.1,
            money(ceilings.amount_per_day),
            price,
        ),
        (
            "amount_per_month",
            Period::Month,
            cost.2,
            money(ceilings.amount_per_month),
            price,
        ),
    ]
    .into_iter()
    .filter_map(|(reason, period, counted, most, step)| {
        let most = most?;
        Some(Use {
            reason,
            period,
            counted,
            most,
            step,
        })
    })
    .collect()
}

/// Which part of each of its ceilings a counter has used, by the ceiling's name; more than 1 is never.
pub fn used_of(counter: &Counter, ceilings: &Ceilings) -> Vec<(&'static str, f64)> {
    let part = |used: Use| {
        let per_million = used.counted.saturating_mul(1_000_000) / used.most.max(1);
        let per_million = i32::try_from(per_million).unwrap_or(i32::MAX);
        (used.reason, f64::from(per_million) / 1e6)
    };
    uses(counter, ceilings, 0).into_iter().map(part).collect()
}

/// The ceiling that an SMS breaks for longest. The last part of each is kept for known users.
pub fn over_ceiling(
    (scope, counter): (&Scope, &Counter),
    ceilings: &Ceilings,
    (price, known): (i64, bool),
    policy: &SpendPolicy,
    now: DateTime<Utc>,
) -> Option<Excess> {
    let over = uses(counter, ceilings, price)
        .into_iter()
        .filter_map(|used| {
            let kept = if known {
                0
            } else {
                used.most.saturating_mul(i64::from(policy.reserved_percent)) / 100
            };
            let allowed = used.most - kept;
            (used.counted > allowed).then(|| Excess {
                reason: used.reason,
                scope: scope.clone(),
                period: used.period,
                counted: used.counted,
                allowed,
                wait: time_left(used.period, now),
            })
        });
    over.max_by_key(|excess| excess.wait)
}

/// The warnings that an SMS makes due.
pub fn levels_reached(
    (scope, counter): (&Scope, &Counter),
    ceilings: &Ceilings,
    price: i64,
) -> Vec<Level> {
    let mut levels = Vec::new();
    for used in uses(counter, ceilings, price) {
        for percent in WARN_AT {
            let mark = |spent: i64| {
                spent.saturating_mul(100) >= used.most.saturating_mul(i64::from(percent))
            };
            if mark(used.counted) && !mark(used.counted - used.step) {
                levels.push(Level {
                    scope: scope.clone(),
                    period: used.period,
                    start: used.period.of(counter.starts),
                    percent,
                });
            }
        }
    }
    levels
}

/// The budget of unused codes that an SMS breaks for longest.
pub fn over_unverified(
    scope: &Scope,
    counter: &Counter,
    policy: &UnverifiedPolicy,
    now: DateTime<Utc>,
) -> Option<Excess> {
    let best = match (scope, policy.home) {
        (Scope::Country(country), Some((home, expected))) if *country == home => {
            counter.best_day.max(i64::from(expected))
        }
        _ => counter.best_day,
    };
    let (reason, least) = match scope {
        Scope::Address(_) => ("address_unverified", policy.address_least),
        Scope::Prefix(_) => ("prefix_unverified", policy.least),
        Scope::Country(_) => ("country_unverified", policy.least),
        Scope::Client(_) | Scope::Service => return None,
    };
    let day = (best.saturating_mul(PERCENT_A_DAY) / 100).max(i64::from(least.per_day));
    let hour =
        (best.saturating_mul(PERCENT_AN_HOUR) / 100 / PART_OF_A_DAY).max(i64::from(least.per_hour));
    let (in_hour, in_day) = counter.unverified;
    [(Period::Day, in_day, day), (Period::Hour, in_hour, hour)]
        .into_iter()
        .find(|(_, counted, allowed)| counted > allowed)
        .map(|(period, counted, allowed)| Excess {
            reason,
            scope: scope.clone(),
            period,
            counted,
            allowed,
            wait: time_left(period, now),
        })
}

/// Time until a window is over that `now` is in.
pub fn time_left(period: Period, now: DateTime<Utc>) -> Duration {
    let starts = Starts::of(now);
    let end = match period {
        Period::Hour => starts.hour + TimeDelta::hours(1),
        Period::Day => starts.day + TimeDelta::days(1),
        Period::Month => starts.month + Months::new(1),
    };
    (end - now).to_std().unwrap_or(Duration::ZERO)
}
