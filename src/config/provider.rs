//! `[provider]`: which vendor texts, and how it is guarded.

use std::time::Duration;

use super::{
    reader::{Read, Reader},
    webhook::{self, Webhook},
};
use crate::provider::breaker::BreakerPolicy;

/// `[provider]`
#[derive(Debug)]
pub struct Provider {
    /// Who texts.
    pub kind: Kind,
    /// Calls of this process at the same time.
    pub max_in_flight: usize,
    /// Longest wait for a free place and for room in the vendor's rate.
    pub max_wait: Duration,
    /// When the vendor is left alone.
    pub breaker: BreakerPolicy,
}

/// Who texts.
#[derive(Debug)]
pub enum Kind {
    /// StartMessaging, as `[startmessaging]` says.
    StartMessaging,
    /// A gateway of one's own, as `[webhook]` says.
    Webhook(Webhook),
}

pub(super) fn read(reader: &mut Reader) -> Read<Provider> {
    let kind = kind(reader);
    let max_in_flight = reader.integer("provider.max_in_flight", 1..=100_000);
    let max_wait = reader.millis("provider.max_wait_ms", 0..=10_000);
    let window = reader.seconds("provider.breaker_window_seconds", 1..=3600);
    let min_calls = reader.integer("provider.breaker_min_calls", 1..=1_000_000);
    let failure_percent = reader.integer("provider.breaker_failure_percent", 1..=100);
    let open_for = reader.millis("provider.breaker_open_ms", 10..=3_600_000);
    Ok(Provider {
        kind: kind?,
        max_in_flight: max_in_flight?,
        max_wait: max_wait?,
        breaker: BreakerPolicy {
            window: window?,
            min_calls: min_calls?,
            failure_percent: failure_percent?,
            open_for: open_for?,
        },
    })
}

fn kind(reader: &mut Reader) -> Read<Kind> {
    const KEY: &str = "provider.kind";
    let kind = reader.text(KEY);
    let selected = kind.as_deref().is_ok_and(|kind| kind == "webhook");
    let webhook = webhook::read(reader, selected);
    match kind?.as_str() {
        "startmessaging" => Ok(Kind::StartMessaging),
        "webhook" => Ok(Kind::Webhook(webhook?.ok_or(super::reader::Noted)?)),
        other => Err(reader.fault(
            KEY,
            format!("{other:?} is unknown; use \"startmessaging\" or \"webhook\""),
        )),
    }
}
