//! `[limits]`: how much one phone, one address and everybody together may ask for.

use std::{num::NonZeroU32, time::Duration};

use super::reader::{Read, Reader};

/// Highest count of any limit; above it, switching the limit off is more honest.
const MAX: u32 = 1_000_000;
/// Most wrong codes per phone before it is locked (NIST SP 800-63B-4 section 3.2.2).
const FAILURES_MAX: u32 = 100;
/// Longest lock in seconds: a week.
const LOCK_MAX: u64 = 604_800;

/// `[limits]`. A limit of `None` is switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Per phone number.
    pub phone: PhoneLimits,
    /// Per caller's address.
    pub ip: IpLimits,
    /// All messages together.
    pub spend: SpendLimits,
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
    /// The first lock; each further one is twice as long.
    pub lock: Duration,
    /// The longest lock.
    pub lock_max: Duration,
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
}

/// `[limits.spend]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendLimits {
    /// Messages in any hour.
    pub messages_per_hour: Option<NonZeroU32>,
    /// Messages in any 24 hours.
    pub messages_per_day: Option<NonZeroU32>,
}

pub(super) fn read(reader: &mut Reader) -> Read<Limits> {
    let phone = phone(reader);
    let ip = ip(reader);
    let spend = spend(reader);
    Ok(Limits {
        phone: phone?,
        ip: ip?,
        spend: spend?,
    })
}

fn phone(reader: &mut Reader) -> Read<PhoneLimits> {
    let sends_per_5_minutes = always_on(reader, "limits.phone.sends_per_5_minutes", MAX);
    let sends_per_hour = always_on(reader, "limits.phone.sends_per_hour", MAX);
    let sends_per_day = always_on(reader, "limits.phone.sends_per_day", MAX);
    let failures_per_day = always_on(reader, "limits.phone.failures_per_day", FAILURES_MAX);
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
        lock: lock?,
        lock_max: lock_max?,
    })
}

fn ip(reader: &mut Reader) -> Read<IpLimits> {
    let sends_per_minute = reader.limit("limits.ip.sends_per_minute", MAX);
    let sends_per_10_minutes = reader.limit("limits.ip.sends_per_10_minutes", MAX);
    let sends_per_hour = reader.limit("limits.ip.sends_per_hour", MAX);
    let verifies_per_minute = reader.limit("limits.ip.verifies_per_minute", MAX);
    Ok(IpLimits {
        sends_per_minute: sends_per_minute?,
        sends_per_10_minutes: sends_per_10_minutes?,
        sends_per_hour: sends_per_hour?,
        verifies_per_minute: verifies_per_minute?,
    })
}

fn spend(reader: &mut Reader) -> Read<SpendLimits> {
    let messages_per_hour = always_on(reader, "limits.spend.messages_per_hour", MAX);
    let messages_per_day = always_on(reader, "limits.spend.messages_per_day", MAX);
    Ok(SpendLimits {
        messages_per_hour: messages_per_hour?,
        messages_per_day: messages_per_day?,
    })
}

/// A limit that production may not switch off.
fn always_on(reader: &mut Reader, key: &str, highest: u32) -> Read<Option<NonZeroU32>> {
    let limit = reader.limit(key, highest)?;
    if limit.is_none() {
        reader.fault_in_production(key, "is 0 (off), which production refuses; set a limit");
    }
    Ok(limit)
}
