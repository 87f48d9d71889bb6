//! `[limits]`: how much one phone, one device, one address and one network may ask for; what everybody
//! together may is in [`super::spend`].

use std::{num::NonZeroU32, time::Duration};

use super::{
    reader::{Read, Reader},
    spend::{self, Pumping, Spend},
};

/// Highest count of any limit; above it, switching the limit off is more honest.
pub(super) const MAX: u32 = 1_000_000;
/// Most wrong codes per phone before it is locked (NIST SP 800-63B-4 section 3.2.2).
const FAILURES_MAX: u32 = 100;
/// Most phones of one address that are told apart: its row holds each of them, 8 bytes, and is written
/// anew with each SMS.
const PHONES_MAX: u32 = 10_000;
/// Longest lock in seconds: a week.
const LOCK_MAX: u64 = 604_800;
/// Life of a device receipt in seconds: a day to a year.
const RECEIPT_TTL: std::ops::RangeInclusive<u64> = 86_400..=31_536_000;

/// `[limits]`. A limit of `None` is switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Per phone number.
    pub phone: PhoneLimits,
    /// Per phone number, for devices that logged in with it before.
    pub device: DeviceLimits,
    /// Per caller's address.
    pub ip: IpLimits,
    /// Per caller's network.
    pub network: NetworkLimits,
    /// All messages together.
    pub spend: Spend,
    /// Messages whose code nobody uses.
    pub pumping: Pumping,
}

/// `[limits.phone]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneLimits {
    /// Messages in any 5 minutes.
    pub sends_per_5_minutes: Option<NonZeroU32>,
    /// Messages in any hour.
    pub sends_per_hour: Option<NonZeroU32>,
    /// Messages in any 24 hours.
    pub sends_per_day: Option<NonZeroU32>,
    /// Wrong codes in 24 hours, after which the phone is locked.
    pub failures_per_day: Option<NonZeroU32>,
    /// Wrong codes in a row, over any time, that stop the phone; 1 to 100.
    pub failures_in_row: NonZeroU32,
    /// The first lock; each further one is twice as long.
    pub lock: Duration,
    /// The longest lock.
    pub lock_max: Duration,
}

/// `[limits.device]`: what a device with a receipt may do where the phone's own limits refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceLimits {
    /// How long a receipt is good.
    pub receipt_ttl: Duration,
    /// Messages in any hour.
    pub sends_per_hour: Option<NonZeroU32>,
    /// Messages in any 24 hours.
    pub sends_per_day: Option<NonZeroU32>,
    /// Wrong codes in 24 hours.
    pub failures_per_day: Option<NonZeroU32>,
}

/// `[limits.ip]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpLimits {
    /// Calls that send, in any minute.
    pub sends_per_minute: Option<NonZeroU32>,
    /// Calls that send, in any 10 minutes.
    pub sends_per_10_minutes: Option<NonZeroU32>,
    /// Calls that send, in any hour.
    pub sends_per_hour: Option<NonZeroU32>,
    /// Calls that verify, in any minute.
    pub verifies_per_minute: Option<NonZeroU32>,
    /// Different phones sent to, in a UTC day.
    pub phones_per_day: Option<NonZeroU32>,
    /// Different countries sent to, in a UTC day.
    pub countries_per_day: Option<NonZeroU32>,
}

/// `[limits.network]`: per IPv4 /24 and IPv6 /48.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkLimits {
    /// Calls that send, in any minute.
    pub sends_per_minute: Option<NonZeroU32>,
    /// Calls that send, in any hour.
    pub sends_per_hour: Option<NonZeroU32>,
    /// Calls that verify, in any minute.
    pub verifies_per_minute: Option<NonZeroU32>,
}

pub(super) fn read(reader: &mut Reader) -> Read<Limits> {
    let phone = phone(reader);
    let device = device(reader);
    let ip = ip(reader);
    let network = network(reader);
    let spend = spend::read(reader);
    let pumping = spend::read_pumping(reader, spend.as_ref().map_err(|noted| *noted));
    Ok(Limits {
        phone: phone?,
        device: device?,
        ip: ip?,
        network: network?,
        spend: spend?,
        pumping: pumping?,
    })
}

fn phone(reader: &mut Reader) -> Read<PhoneLimits> {
    let sends_per_5_minutes = always_on(reader, "limits.phone.sends_per_5_minutes", MAX);
    let sends_per_hour = always_on(reader, "limits.phone.sends_per_hour", MAX);
    let sends_per_day = always_on(reader, "limits.phone.sends_per_day", MAX);
    let failures_per_day = always_on(reader, "limits.phone.failures_per_day", FAILURES_MAX);
    let failures_in_row = reader.positive("limits.phone.failures_in_row", FAILURES_MAX);
    let lock = reader.seconds("limits.phone.lock_seconds", 1..=LOCK_MAX);
    let lock_max = reader.seconds("limits.phone.lock_max_seconds", 1..=LOCK_MAX);
    if let (Ok(longest), Ok(first)) = (lock_max, lock)
        && longest < first
    {
        reader.fault(
            "limits.phone.lock_max_seconds",
            "is shorter than limits.phone.lock_seconds; raise it",
        );
    }
    Ok(PhoneLimits {
        sends_per_5_minutes: sends_per_5_minutes?,
        sends_per_hour: sends_per_hour?,
        sends_per_day: sends_per_day?,
        failures_per_day: failures_per_day?,
        failures_in_row: failures_in_row?,
        lock: lock?,
        lock_max: lock_max?,
    })
}

fn device(reader: &mut Reader) -> Read<DeviceLimits> {
    let receipt_ttl = reader.seconds("limits.device.receipt_ttl_seconds", RECEIPT_TTL);
    let sends_per_hour = always_on(reader, "limits.device.sends_per_hour", MAX);
    let sends_per_day = always_on(reader, "limits.device.sends_per_day", MAX);
    let failures_per_day = always_on(reader, "limits.device.failures_per_day", FAILURES_MAX);
    Ok(DeviceLimits {
        receipt_ttl: receipt_ttl?,
        sends_per_hour: sends_per_hour?,
        sends_per_day: sends_per_day?,
        failures_per_day: failures_per_day?,
    })
}

fn ip(reader: &mut Reader) -> Read<IpLimits> {
    let sends_per_minute = reader.limit("limits.ip.sends_per_minute", MAX);
    let sends_per_10_minutes = reader.limit("limits.ip.sends_per_10_minutes", MAX);
    let sends_per_hour = reader.limit("limits.ip.sends_per_hour", MAX);
    let verifies_per_minute = reader.limit("limits.ip.verifies_per_minute", MAX);
    let phones_per_day = reader.limit("limits.ip.phones_per_day", PHONES_MAX);
    let countries_per_day = reader.limit("limits.ip.countries_per_day", MAX);
    Ok(IpLimits {
        sends_per_minute: sends_per_minute?,
        sends_per_10_minutes: sends_per_10_minutes?,
        sends_per_hour: sends_per_hour?,
        verifies_per_minute: verifies_per_minute?,
        phones_per_day: phones_per_day?,
        countries_per_day: countries_per_day?,
    })
}

fn network(reader: &mut Reader) -> Read<NetworkLimits> {
    let sends_per_minute = reader.limit("limits.network.sends_per_minute", MAX);
    let sends_per_hour = reader.limit("limits.network.sends_per_hour", MAX);
    let verifies_per_minute = reader.limit("limits.network.verifies_per_minute", MAX);
    Ok(NetworkLimits {
        sends_per_minute: sends_per_minute?,
        sends_per_hour: sends_per_hour?,
        verifies_per_minute: verifies_per_minute?,
    })
}

/// A limit that production may not switch off.
pub(super) fn always_on(reader: &mut Reader, key: &str, highest: u32) -> Read<Option<NonZeroU32>> {
    let limit = reader.limit(key, highest)?;
    if limit.is_none() {
        reader.fault_in_production(key, "is 0 (off), which production refuses; set a limit");
    }
    Ok(limit)
}
