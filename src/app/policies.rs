//! The settings become the rules of the limits.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::TimeDelta;

use super::parts::windows;
use crate::config::Settings;
use crate::limit::budget::{SpendPolicy, UnverifiedPolicy};
use crate::limit::per_address::AddressPolicy;
use crate::limit::per_ip::IpWindow;
use crate::limit::per_phone::{SendPolicy, Window};
use crate::otp::weigh::GuardPolicy;
use crate::otp::{DevicePolicy, FailurePolicy, Policy};

pub(super) fn policy(settings: &Settings, lease: TimeDelta) -> Policy {
    let phone = &settings.limits.phone;
    let otp = &settings.otp;
    Policy {
        ttl: TimeDelta::seconds(seconds(otp.ttl)),
        max_attempts: i32::try_from(otp.max_attempts).unwrap_or(i32::MAX),
        max_sends: i32::try_from(otp.max_sends).unwrap_or(i32::MAX),
        sends: SendPolicy {
            windows: send_windows([
                (phone.sends_per_5_minutes, 300),
                (phone.sends_per_hour, 3600),
                (phone.sends_per_day, 86_400),
            ]),
            cooldowns: otp.resend_cooldowns.iter().copied().map(seconds).collect(),
        },
        failures: FailurePolicy {
            per_day: phone.failures_per_day.map_or(i32::MAX, count),
            in_row: count(phone.failures_in_row),
            lock: phone.lock,
            lock_max: phone.lock_max,
        },
        device: device(settings),
        guard: guard(settings),
        lease,
    }
}

/// A device that is let past the cooldown of its phone keeps to the first one of its own.
fn device(settings: &Settings) -> DevicePolicy {
    let device = &settings.limits.device;
    let cooldown = settings.otp.resend_cooldowns.first().copied().map(seconds);
    let cooldown = cooldown.filter(|seconds| *seconds > 0);
    let once = cooldown.map(|seconds| Window { seconds, most: 1 });
    let windows = send_windows([
        (device.sends_per_hour, 3600),
        (device.sends_per_day, 86_400),
    ]);
    DevicePolicy {
        sends: SendPolicy {
            windows: once.into_iter().chain(windows).collect(),
            cooldowns: Vec::new(),
        },
        failures_per_day: device.failures_per_day.map_or(i32::MAX, count),
        receipt_life: TimeDelta::seconds(seconds(device.receipt_ttl)),
    }
}

fn guard(settings: &Settings) -> GuardPolicy {
    let ip = &settings.limits.ip;
    let spend = &settings.limits.spend;
    let pumping = &settings.limits.pumping;
    let home = settings.phone.default_region();
    GuardPolicy {
        address: AddressPolicy {
            windows: sends_of_address(settings),
            phones_per_day: ip.phones_per_day.map(NonZeroU32::get),
            countries_per_day: ip.countries_per_day.map(NonZeroU32::get),
        },
        spend: SpendPolicy {
            service: spend.ceilings,
            prices: spend.prices.clone(),
            reserved_percent: spend.reserved_for_known_percent,
        },
        unverified: UnverifiedPolicy {
            mode: pumping.mode,
            least: pumping.least,
            address_least: pumping.address_least,
            home: pumping
                .expected_logins_per_day
                .map(|expected| (home, expected.get())),
            trust_accounts: pumping.trust_accounts,
        },
    }
}

/// What one address may send, for the first line in memory and for the count that replicas share.
pub(super) fn sends_of_address(settings: &Settings) -> Vec<IpWindow> {
    let ip = &settings.limits.ip;
    windows(&[
        (ip.sends_per_minute, 60),
        (ip.sends_per_10_minutes, 600),
        (ip.sends_per_hour, 3600),
    ])
}

fn count(most: NonZeroU32) -> i32 {
    i32::try_from(most.get()).unwrap_or(i32::MAX)
}

fn seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

/// A phone's windows that are not switched off.
fn send_windows<const N: usize>(windows: [(Option<NonZeroU32>, i64); N]) -> Vec<Window> {
    let on = windows.into_iter().filter_map(|(most, seconds)| {
        let most = count(most?);
        Some(Window { seconds, most })
    });
    on.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::budget::{Least, Mode};
    use crate::limit::spend::Ceilings;
    use std::num::NonZeroU64;

    fn policy_of(settings: &[(&str, &str)]) -> Policy {
        let needed = [
            (
                "SECRETS__MASTER_KEY",
                "q83vEjRWeJC6mHZUMhD+3LqYdlQyEP7cupjWVDIQ/tw=",
            ),
            ("STARTMESSAGING__API_KEY", "sm_live_0123456789abcdef"),
            ("DATABASE__URL", "postgres://127.0.0.1/otp"),
        ];
        let all = needed.iter().chain(settings);
        let environment =
            all.map(|(name, value)| (format!("OTP_AUTH__{name}"), (*value).to_owned()));
        let settings = Settings::load(environment, None, chrono::DateTime::UNIX_EPOCH).unwrap();
        policy(&settings, TimeDelta::seconds(30))
    }

    fn window(seconds: i64, most: i32) -> Window {
        Window { seconds, most }
    }

    #[test]
    fn a_known_device_has_the_first_cooldown_and_its_own_windows() {
        let device = policy_of(&[
            ("OTP__RESEND_COOLDOWNS_SECONDS", "20,40"),
            ("LIMITS__DEVICE__SENDS_PER_HOUR", "7"),
            ("LIMITS__DEVICE__SENDS_PER_DAY", "8"),
            ("LIMITS__DEVICE__FAILURES_PER_DAY", "9"),
            ("LIMITS__DEVICE__RECEIPT_TTL_SECONDS", "86400"),
        ])
        .device;

        let windows = [window(20, 1), window(3600, 7), window(86_400, 8)];
        assert_eq!(device.sends.windows, windows);
        assert_eq!(device.failures_per_day, 9);
        assert_eq!(device.receipt_life, TimeDelta::days(1));

        let off = policy_of(&[
            ("OTP__RESEND_COOLDOWNS_SECONDS", "0,40"),
            ("LIMITS__DEVICE__SENDS_PER_HOUR", "0"),
            ("LIMITS__DEVICE__SENDS_PER_DAY", "8"),
            ("LIMITS__DEVICE__FAILURES_PER_DAY", "0"),
        ])
        .device;
        assert_eq!(off.sends.windows, [window(86_400, 8)]);
        assert_eq!(off.failures_per_day, i32::MAX);
    }

    #[test]
    fn the_guard_holds_to_the_settings() {
        let policy = policy_of(&[
            ("LIMITS__PHONE__FAILURES_IN_ROW", "11"),
            ("LIMITS__IP__PHONES_PER_DAY", "12"),
            ("LIMITS__IP__COUNTRIES_PER_DAY", "0"),
            ("LIMITS__SPEND__MESSAGES_PER_HOUR", "13"),
            ("LIMITS__SPEND__AMOUNT_PER_MONTH", "14"),
            ("LIMITS__SPEND__RESERVED_FOR_KNOWN_PERCENT", "15"),
            ("LIMITS__PUMPING__MODE", "enforce"),
            ("LIMITS__PUMPING__LEAST_PER_DAY", "16"),
            ("LIMITS__PUMPING__LEAST_PER_HOUR", "17"),
            ("LIMITS__PUMPING__EXPECTED_LOGINS_PER_DAY", "18"),
            ("LIMITS__PUMPING__ADDRESS_LEAST_PER_DAY", "19"),
            ("LIMITS__PUMPING__ADDRESS_LEAST_PER_HOUR", "20"),
            ("LIMITS__PUMPING__TRUST_ACCOUNTS", "false"),
        ]);

        assert_eq!(policy.failures.in_row, 11);
        let GuardPolicy {
            address,
            spend,
            unverified,
        } = policy.guard;
        assert_eq!(address.phones_per_day, Some(12));
        assert_eq!(address.countries_per_day, None);
        let ceilings = Ceilings {
            messages_per_hour: NonZeroU32::new(13),
            amount_per_month: NonZeroU64::new(14_000_000),
            ..Ceilings::default()
        };
        assert_eq!(spend.service, ceilings);
        assert_eq!(spend.reserved_percent, 15);
        let (india, expected) = unverified.home.unwrap();
        assert_eq!((india.code(), expected), ("IN", 18));
        assert_eq!(spend.price(Some(india)), 250_000);
        assert_eq!(unverified.mode, Mode::Enforce);
        let least = |per_day, per_hour| Least { per_day, per_hour };
        assert_eq!(unverified.least, least(16, 17));
        assert_eq!(unverified.address_least, least(19, 20));
        assert!(!unverified.trust_accounts);
    }
}
