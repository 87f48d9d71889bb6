//! `[otp]`: the codes.

use std::time::Duration;

use super::reader::{Read, Reader};

/// Longest life of a code in seconds (NIST SP 800-63B-4 section 3.1.3.2: 10 minutes).
const TTL_MAX: u64 = 600;

const COOLDOWNS: &str = "otp.resend_cooldowns_seconds";

/// `[otp]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otp {
    /// Digits of a code; always 6 for now.
    pub code_length: u8,
    /// How long a code lives.
    pub ttl: Duration,
    /// Wrong codes until a request is dead.
    pub max_attempts: u32,
    /// Messages per request, the first one counted.
    pub max_sends: u32,
    /// Waiting times before the second, third, ... message; never empty, never falling. The last
    /// one repeats.
    pub resend_cooldowns: Vec<Duration>,
}

pub(super) fn read(reader: &mut Reader) -> Read<Otp> {
    let code_length = reader.integer("otp.code_length", 6..=6);
    let ttl = reader.seconds("otp.ttl_seconds", 30..=TTL_MAX);
    let max_attempts = reader.integer("otp.max_attempts", 1..=10);
    let max_sends = reader.integer("otp.max_sends", 1..=5);
    let resend_cooldowns = resend_cooldowns(reader);
    if let (Ok(ttl), Ok(max_sends), Ok(cooldowns)) = (ttl, max_sends, &resend_cooldowns) {
        check_lives(reader, ttl, max_sends, cooldowns);
    }
    Ok(Otp {
        code_length: code_length?,
        ttl: ttl?,
        max_attempts: max_attempts?,
        max_sends: max_sends?,
        resend_cooldowns: resend_cooldowns?,
    })
}

fn resend_cooldowns(reader: &mut Reader) -> Read<Vec<Duration>> {
    let mend = format!("give whole seconds from 0 to {TTL_MAX}");
    let cooldowns = reader.parsed_list(COOLDOWNS, &mend, |item| {
        item.parse()
            .ok()
            .filter(|seconds| *seconds <= TTL_MAX)
            .map(Duration::from_secs)
    })?;
    if cooldowns.is_empty() {
        return Err(reader.fault(COOLDOWNS, "is empty; give at least one waiting time"));
    }
    if !cooldowns.is_sorted() {
        reader.fault(
            COOLDOWNS,
            "falls somewhere; order the waiting times from short to long",
        );
    }
    if cooldowns.first().is_some_and(Duration::is_zero) {
        reader.fault_in_production(
            COOLDOWNS,
            "begins with 0, which lets one click send many messages",
        );
    }
    Ok(cooldowns)
}

/// Notes a resend that could never happen, because the code is dead before. Only as many waiting
/// times count as there are resends.
fn check_lives(reader: &mut Reader, ttl: Duration, max_sends: u32, cooldowns: &[Duration]) {
    let mut used = cooldowns.iter().zip(1..max_sends);
    if used.any(|(cooldown, _resend)| *cooldown >= ttl) {
        reader.fault_in_production(
            COOLDOWNS,
            "holds a waiting time that outlasts the code (otp.ttl_seconds); shorten it",
        );
    }
}
