//! Where a request stands, and what a phone's limits say.

use std::hint::black_box;
use std::time::Duration;

use chrono::TimeDelta;
use otp_auth::limit::per_phone::{KnownHistory, SendHistory, SendPolicy, Window};
use otp_auth::otp::phone_state::{By, PhoneState};
use otp_auth::otp::request::Standing;
use otp_auth::otp::weigh::GuardPolicy;
use otp_auth::otp::{DevicePolicy, FailurePolicy, Policy};

use super::{Group, at, forever};

pub(crate) fn groups() -> Vec<Group> {
    let policy = forever(policy());
    let pending = forever(Standing {
        expires_at: at(300),
        verified_at: None,
        failed_at: None,
        live: true,
        sends: 1,
        attempts: 1,
        phone: phone(&[0]),
    });
    // Nine codes of the ten that a day has, two of them in this hour.
    let busy = forever(phone(&[
        -80_000, -70_000, -60_000, -50_000, -40_000, -30_000, -20_000, -200, 0,
    ]));
    let (sends, history) = (&policy.sends, &busy.history);
    vec![
        Group::new("Request")
            .with("status", move || {
                black_box(pending).status(By::Anybody, policy, at(10))
            })
            .with("next send, to anybody", move || {
                black_box(busy).next_send_at(By::Anybody, policy, at(10))
            })
            .with("next send, to a known device", move || {
                black_box(busy).next_send_at(By::KnownDevice, policy, at(10))
            }),
        Group::new("Phone's limits, 9 sends")
            .with("let pass", move || {
                sends.refusal(black_box(history), at(60))
            })
            .with("refuse", move || sends.refusal(black_box(history), at(10)))
            .with("quotas", move || sends.quotas(black_box(history), at(10))),
    ]
}

fn phone(sent: &[i64]) -> PhoneState {
    PhoneState {
        history: SendHistory {
            send_log: sent.iter().copied().map(at).collect(),
            cooldown_until: at(30),
        },
        locked_until: None,
        failures_in_row: 1,
        known: KnownHistory::default(),
    }
}

/// What config/default.toml has.
pub(crate) fn policy() -> Policy {
    let windows = |windows: &[(i64, i32)]| {
        let windows = windows.iter().copied();
        windows
            .map(|(seconds, most)| Window { seconds, most })
            .collect()
    };
    Policy {
        ttl: TimeDelta::seconds(300),
        max_attempts: 5,
        max_sends: 3,
        sends: SendPolicy {
            windows: windows(&[(300, 3), (3600, 5), (86_400, 10)]),
            cooldowns: vec![30, 60, 120],
        },
        failures: FailurePolicy {
            per_day: 10,
            in_row: 100,
            lock: Duration::from_mins(30),
            lock_max: Duration::from_hours(24),
        },
        device: DevicePolicy {
            sends: SendPolicy {
                windows: windows(&[(30, 1), (3600, 3), (86_400, 5)]),
                cooldowns: Vec::new(),
            },
            failures_per_day: 5,
            receipt_life: TimeDelta::days(180),
        },
        guard: GuardPolicy::off(),
        lease: TimeDelta::seconds(30),
    }
}
