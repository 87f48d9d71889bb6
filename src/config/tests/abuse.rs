//! Prices, ceilings in money, SMS pumping and warnings.

use std::num::{NonZeroU32, NonZeroU64};

use secrecy::ExposeSecret as _;

use super::{CLIENT, development, fault_of, faults, production, production_with_file};
use crate::limit::budget::Mode;
use crate::phone::Country;

const PRICES: &str = "OTP_AUTH__LIMITS__SPEND__PRICES";
const URL: &str = "OTP_AUTH__ALERTS__WEBHOOK_URL";
const SECRET: &str = "OTP_AUTH__ALERTS__WEBHOOK_SECRET";

fn price(text: &str) -> Option<u64> {
    let settings = development(&[(PRICES, &format!("IN={text}"))]).ok()?;
    let india = Country::parse("IN").unwrap();
    settings.limits.spend.prices.get(&india).copied()
}

#[test]
fn a_price_is_read_to_the_millionth() {
    for (text, micros) in [
        ("0", 0),
        ("0.25", 250_000),
        ("0.000001", 1),
        ("0.100000", 100_000),
        ("12", 12_000_000),
        ("007.5", 7_500_000),
        (" 1.10 ", 1_100_000),
        // Not a whole number of 64-bit floating point.
        ("123456.789012", 123_456_789_012),
        ("1000000", 1_000_000_000_000),
    ] {
        assert_eq!(price(text), Some(micros), "{text:?}");
    }
    let refused = [
        "",
        ".",
        ".5",
        "1.",
        "-1",
        "+1",
        "1.0000001",
        "1e3",
        "1_0",
        "٣",
        "1.2.3",
        "0x1",
        "1000000.000001",
        "1000001",
        "99999999999999999999",
    ];
    for text in refused {
        assert!(
            development(&[(PRICES, &format!("IN={text}"))]).is_err(),
            "{text:?}"
        );
    }
}

#[test]
fn prices_of_several_countries_are_told_apart() {
    let settings = development(&[(PRICES, "IN=0.25, np = 0.5")]).unwrap();

    let prices = settings.limits.spend.prices.iter();
    let prices: Vec<(String, u64)> = prices.map(|(at, price)| (at.to_string(), *price)).collect();
    assert_eq!(
        prices,
        [("IN".to_owned(), 250_000), ("NP".to_owned(), 500_000)]
    );
}

#[test]
fn ceilings_in_money_are_in_whole_units_of_the_currency() {
    let settings = development(&[
        ("OTP_AUTH__LIMITS__SPEND__CURRENCY", "USD"),
        ("OTP_AUTH__LIMITS__SPEND__AMOUNT_PER_HOUR", "7"),
        ("OTP_AUTH__LIMITS__SPEND__AMOUNT_PER_MONTH", "1000000000"),
    ])
    .unwrap();

    let spend = settings.limits.spend;
    assert_eq!(spend.currency.to_string(), "USD");
    assert_eq!(spend.ceilings.amount_per_hour, NonZeroU64::new(7_000_000));
    assert_eq!(spend.ceilings.amount_per_day, None);
    let most = NonZeroU64::new(1_000_000_000_000_000);
    assert_eq!(spend.ceilings.amount_per_month, most);
}

/// Without an amount a missing price changes nothing but a figure.
#[test]
fn a_price_may_be_missing_only_while_nothing_is_counted_in_money() {
    let countries = "[phone]\ncountries = ['IN', 'US', 'NP']\n";
    let none = format!("{CLIENT}{countries}");
    assert_eq!(faults(production_with_file(&none, &[])), [""; 0]);

    let of_client = format!("{CLIENT}amount_per_month = 1\n{countries}");
    let found = faults(production_with_file(&of_client, &[]));
    assert_eq!(
        found,
        [
            "limits.spend.prices: lacks NP, US, whose messages no amount_per_... would count; add what \
          one costs there"
        ]
    );
    let priced = [(PRICES, "IN=0.25,NP=1,US=0.5")];
    assert_eq!(faults(production_with_file(&of_client, &priced)), [""; 0]);
}

#[test]
fn a_quarter_of_the_days_ceiling_is_expected_where_nobody_says_more() {
    let expected = |per_day: &str, said: &str| {
        let settings = development(&[
            ("OTP_AUTH__LIMITS__SPEND__MESSAGES_PER_DAY", per_day),
            ("OTP_AUTH__LIMITS__PUMPING__EXPECTED_LOGINS_PER_DAY", said),
        ]);
        let pumping = settings.unwrap().limits.pumping;
        pumping.expected_logins_per_day.map(NonZeroU32::get)
    };

    assert_eq!(expected("10000", "0"), Some(2500));
    assert_eq!(expected("10000", "40"), Some(40));
    assert_eq!(expected("0", "40"), Some(40));
    assert_eq!(expected("3", "0"), None);
    assert_eq!(expected("0", "0"), None);
}

#[test]
fn pumping_is_refused_in_production_and_only_recorded_on_a_developers_machine() {
    let pumping = |settings: crate::config::Settings| settings.limits.pumping;

    assert_eq!(pumping(production(&[]).unwrap()).mode, Mode::Enforce);
    let here = pumping(development(&[]).unwrap());
    assert_eq!(here.mode, Mode::RecordOnly);
    assert!(here.trust_accounts);
    let changed = pumping(
        development(&[
            ("OTP_AUTH__LIMITS__PUMPING__MODE", "enforce"),
            ("OTP_AUTH__LIMITS__PUMPING__TRUST_ACCOUNTS", "false"),
        ])
        .unwrap(),
    );
    assert_eq!(changed.mode, Mode::Enforce);
    assert!(!changed.trust_accounts);
}

#[test]
fn warnings_go_to_an_address_with_a_secret_or_nowhere() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert!(development(&[]).unwrap().alerts.is_none());
    assert!(development(&[(SECRET, secret)]).unwrap().alerts.is_none());

    let both = [(URL, "https://pager.example/x"), (SECRET, secret)];
    let alerts = production(&both).unwrap().alerts.unwrap();
    assert_eq!(alerts.url.as_str(), "https://pager.example/x");
    assert_eq!(alerts.secret.expose_secret().len(), 24);

    let found = faults(development(&[(URL, "https://pager.example/x")]));
    let expected = "alerts.webhook_secret: is not set; make one with: echo whsec_$(openssl rand \
                    -base64 32)";
    assert_eq!(found, [expected]);
    let found = fault_of("alerts.webhook_secret", "hunter2");
    assert!(!found.contains("hunter2"), "{found}");
}
