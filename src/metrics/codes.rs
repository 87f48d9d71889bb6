//! What is told of codes: sent, delivered, tried, refused, paid for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Label};

use super::Metrics;
use super::table::{
    COST, DELIVERIES, RECORDED, SENDS, SENDS_TURNED_AWAY, SPEND_USED, SPEND_WARNINGS, VERIFIES,
    VERIFIES_TURNED_AWAY,
};
use super::text::{self, Decimal};
use crate::phone::Country;

/// Why sends are turned away, so that each reason is there before its first.
const SEND_REASONS: [&str; 21] = [
    "address_countries",
    "address_phones",
    "address_sends",
    "address_unverified",
    "amount_per_day",
    "amount_per_hour",
    "amount_per_month",
    "blocked",
    "cooldown",
    "country",
    "country_unverified",
    "emergency_switch",
    "ip",
    "kill_switch",
    "locked",
    "messages_per_day",
    "messages_per_hour",
    "phone",
    "prefix_unverified",
    "sends_spent",
    "service",
];
/// Why sends only would be, where the guard only records.
const RECORD_REASONS: [&str; 3] = [
    "address_unverified",
    "country_unverified",
    "prefix_unverified",
];
/// Why verifies are.
const VERIFY_REASONS: [&str; 3] = ["attempts", "blocked", "ip"];

/// An SMS that was handed to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sms {
    /// The first one of a request.
    First,
    /// A further one.
    Again,
}

/// How handing it over ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The provider took it.
    Accepted,
    /// It may have left.
    Unknown,
    /// It surely never left.
    Failed,
}

/// What became of an SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is on the phone.
    Delivered,
    /// The carrier could not deliver it.
    Failed,
    /// The vendor does not know.
    Unknown,
    /// There was no word on it for as long as anyone asked.
    Expired,
}

/// What is counted of one country.
struct OfCountry {
    first: OfSms,
    again: OfSms,
    delivered: Counter,
    failed: Counter,
    unknown: Counter,
    expired: Counter,
    right: Counter,
    wrong: Counter,
    /// In millionths of the currency.
    cost: AtomicU64,
}

struct OfSms {
    accepted: Counter,
    unknown: Counter,
    failed: Counter,
}

/// What is counted by country: of each that the settings allow, and of all others together.
pub(super) struct ByCountry {
    allowed: BTreeMap<Country, OfCountry>,
    other: OfCountry,
    currency: String,
}

impl ByCountry {
    pub(super) fn new(
        countries: &BTreeSet<Country>,
        currency: String,
        counter: impl Fn(&'static str, Vec<Label>) -> Counter,
    ) -> Self {
        let of = |country: &str| {
            let counter = |name, labels: &[(&'static str, &'static str)]| {
                let labels = labels.iter();
                let labels = labels.map(|(name, value)| Label::from_static_parts(name, value));
                let mut all = vec![Label::new("country", country.to_owned())];
                all.extend(labels);
                counter(name, all)
            };
            let sms = |kind| {
                let counter = |outcome| counter(SENDS, &[("kind", kind), ("outcome", outcome)]);
                OfSms {
                    accepted: counter("accepted"),
                    unknown: counter("unknown"),
                    failed: counter("failed"),
                }
            };
            let delivery = |status| counter(DELIVERIES, &[("status", status)]);
            let verify = |result| counter(VERIFIES, &[("result", result)]);
            OfCountry {
                first: sms("first"),
                again: sms("again"),
                delivered: delivery("delivered"),
                failed: delivery("failed"),
                unknown: delivery("unknown"),
                expired: delivery("expired"),
                right: verify("right"),
                wrong: verify("wrong"),
                cost: AtomicU64::new(0),
            }
        };
        let allowed = countries.iter();
        Self {
            allowed: allowed
                .map(|country| (*country, of(country.code())))
                .collect(),
            other: of("other"),
            currency,
        }
    }

    fn of(&self, country: Option<Country>) -> &OfCountry {
        let allowed = country.and_then(|country| self.allowed.get(&country));
        allowed.unwrap_or(&self.other)
    }

    /// What SMS cost, which need not be whole units of a currency, as counters of the registry are.
    pub(super) fn write(&self, out: &mut String) {
        let named = self.allowed.iter();
        let all = named
            .map(|(country, of)| (country.code(), of))
            .chain([("other", &self.other)]);
        let samples = all.map(|(country, of)| {
            let labels = [("country", country), ("currency", self.currency.as_str())];
            let cost = Decimal::millionths(of.cost.load(Ordering::Relaxed));
            (labels, cost)
        });
        text::write(out, COST, samples);
    }
}

impl Metrics {
    /// Makes the series whose labels are known.
    pub(super) fn begin_codes(&self) {
        for reason in SEND_REASONS {
            self.counter(SENDS_TURNED_AWAY, &[("reason", reason)])
                .increment(0);
        }
        for reason in RECORD_REASONS {
            self.counter(RECORDED, &[("reason", reason)]).increment(0);
        }
        for period in ["hour", "day", "month"] {
            for percent in ["50", "80", "100"] {
                let labels = [("period", period), ("percent", percent)];
                self.counter(SPEND_WARNINGS, &labels).increment(0);
            }
        }
        for reason in VERIFY_REASONS {
            self.counter(VERIFIES_TURNED_AWAY, &[("reason", reason)])
                .increment(0);
        }
    }

    /// Counts an SMS that was handed to the provider, and its price in millionths of the currency unless
    /// it surely never left.
    pub fn sms_sent(&self, country: Option<Country>, sms: Sms, sent: Sent, price: i64) {
        let of = self.by_country.of(country);
        let kind = match sms {
            Sms::First => &of.first,
            Sms::Again => &of.again,
        };
        let (counter, is_paid) = match sent {
            Sent::Accepted => (&kind.accepted, true),
            Sent::Unknown => (&kind.unknown, true),
            Sent::Failed => (&kind.failed, false),
        };
        counter.increment(1);
        if is_paid {
            let price = u64::try_from(price).unwrap_or(0);
            of.cost.fetch_add(price, Ordering::Relaxed);
        }
    }

    /// Counts what became of an SMS.
    pub fn sms_delivery(&self, country: Option<Country>, delivery: Delivery) {
        let of = self.by_country.of(country);
        let counter = match delivery {
            Delivery::Delivered => &of.delivered,
            Delivery::Failed => &of.failed,
            Delivery::Unknown => &of.unknown,
            Delivery::Expired => &of.expired,
        };
        counter.increment(1);
    }

    /// Counts a code that was tried.
    pub fn verified(&self, country: Option<Country>, is_right: bool) {
        let of = self.by_country.of(country);
        let counter = if is_right { &of.right } else { &of.wrong };
        counter.increment(1);
    }

    /// Counts a send that was refused. Reasons are constants, of which there are few.
    pub fn send_turned_away(&self, reason: &'static str) {
        self.counter(SENDS_TURNED_AWAY, &[("reason", reason)])
            .increment(1);
    }

    /// Counts a verify that was refused. Reasons are constants, of which there are few.
    pub fn verify_turned_away(&self, reason: &'static str) {
        self.counter(VERIFIES_TURNED_AWAY, &[("reason", reason)])
            .increment(1);
    }

    /// Counts a send that would be refused if the guard did not only record.
    pub fn send_recorded(&self, reason: &'static str) {
        self.counter(RECORDED, &[("reason", reason)]).increment(1);
    }

    /// Counts a warning that so many percent of a ceiling are spent.
    pub fn spend_warning(&self, period: &'static str, percent: u8) {
        let percent = match percent {
            50 => "50",
            80 => "80",
            _ => "100",
        };
        let labels = [("period", period), ("percent", percent)];
        self.counter(SPEND_WARNINGS, &labels).increment(1);
    }

    /// Tells which part of a ceiling is used. Scopes are the service and the clients of the settings.
    pub fn spend_used(&self, scope: &str, ceiling: &'static str, used: f64) {
        let labels = vec![
            Label::new("scope", scope.to_owned()),
            Label::from_static_parts("ceiling", ceiling),
        ];
        self.gauge_of(SPEND_USED, labels).set(used);
    }
}
