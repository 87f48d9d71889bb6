//! The settings become the rules of the limits.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::TimeDelta;

use super::parts::windows;
use crate::config::Settings;
use crate::limit::budget::{SpendPolicy, UnverifiedPolicy};
use crate::limit::per_address::AddressPolicy;
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
            windows: windows(&[
                (ip.sends_per_minute, 60),
                (ip.sends_per_10_minutes, 600),
                (ip.sends_per_hour, 3600),
            ]),
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
            least_per_day: pumping.least_per_day,
            least_per_hour: pumping.least_per_hour,
            home: pumping
                .expected_logins_per_day
                .map(|expected| (home, expected.get())),
            trust_accounts: pumping.trust_accounts,
        },
    }
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
