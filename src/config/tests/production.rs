//! What production refuses and a developer's machine does not.

use super::{CLIENT, development_with_file, faults, load, production, production_with_file};

/// A key, a line for its section, and how the fault begins.
const UNSAFE: [(&str, &str, &str); 21] = [
    (
        "server.issuer",
        "issuer = 'http://127.0.0.1:8080'",
        "must begin with https://",
    ),
    (
        "server.trusted_proxies",
        "trusted_proxies = ['0.0.0.0/0']",
        "trusts every address",
    ),
    (
        "server.trusted_proxies",
        "trusted_proxies = ['::/0']",
        "trusts every address",
    ),
    (
        "secrets.admin_token",
        "admin_token = ''",
        "is not set, and none of [[admin_tokens]] is an owner's; make one with: openssl",
    ),
    (
        "startmessaging.base_url",
        "base_url = 'http://sms.example.com'",
        "must begin with https",
    ),
    (
        "startmessaging.timeout_ms",
        "timeout_ms = 1999",
        "is shorter than",
    ),
    (
        "limits.phone.sends_per_5_minutes",
        "sends_per_5_minutes = 0",
        "is 0 (off)",
    ),
    (
        "limits.phone.sends_per_hour",
        "sends_per_hour = 0",
        "is 0 (off)",
    ),
    (
        "limits.phone.sends_per_day",
        "sends_per_day = 0",
        "is 0 (off)",
    ),
    (
        "limits.phone.failures_per_day",
        "failures_per_day = 0",
        "is 0 (off)",
    ),
    (
        "limits.device.sends_per_hour",
        "sends_per_hour = 0",
        "is 0 (off)",
    ),
    (
        "limits.device.sends_per_day",
        "sends_per_day = 0",
        "is 0 (off)",
    ),
    (
        "limits.device.failures_per_day",
        "failures_per_day = 0",
        "is 0 (off)",
    ),
    (
        "limits.spend.prices",
        "amount_per_day = 1\nprices = ['US=0.25']",
        "lacks IN, whose messages no amount_per_... would count; add what one costs there",
    ),
    (
        "alerts.webhook_url",
        "webhook_url = 'http://a.example'\nwebhook_secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'",
        "must begin with https",
    ),
    (
        "limits.spend.messages_per_hour",
        "messages_per_hour = 0",
        "is 0 (off)",
    ),
    (
        "limits.spend.messages_per_day",
        "messages_per_day = 0",
        "is 0 (off)",
    ),
    (
        "otp.resend_cooldowns_seconds",
        "resend_cooldowns_seconds = [0, 30]",
        "begins with 0",
    ),
    (
        "otp.resend_cooldowns_seconds",
        "resend_cooldowns_seconds = [1, 300]",
        "outlasts the code",
    ),
    (
        "tokens.refresh_idle_seconds",
        "refresh_idle_seconds = 7776001",
        "is longer than",
    ),
    (
        "tokens.publish_ahead_seconds",
        "publish_ahead_seconds = 599",
        "is below 600",
    ),
];

#[test]
fn production_refuses_what_is_unsafe_and_development_takes_it() {
    for (key, line, problem) in UNSAFE {
        let section = key.rsplit_once('.').unwrap().0;
        let file = format!("{CLIENT}[{section}]\n{line}\n");
        assert_eq!(faults(development_with_file(&file, &[])), [""; 0], "{line}");

        // The file is weaker than the environment, so the variable of this key must go.
        let variable = super::variable(key);
        let others: Vec<(&str, &str)> = super::DEVELOPMENT
            .into_iter()
            .chain(super::PRODUCTION)
            .filter(|(name, _)| *name != variable)
            .collect();
        let file = super::TempFile::new(&file);
        let found = faults(load(&others, Some(file.path())));

        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(
            found[0].starts_with(&format!("{key} (from FILE): ")),
            "{found:?}"
        );
        assert!(found[0].contains(problem), "{found:?}");
    }
}

#[test]
fn production_takes_the_values_next_to_the_refused_ones() {
    let settings = production(&[
        ("OTP_AUTH__SERVER__TRUSTED_PROXIES", "128.0.0.0/1"),
        ("OTP_AUTH__STARTMESSAGING__TIMEOUT_MS", "2000"),
        ("OTP_AUTH__LIMITS__PHONE__SENDS_PER_HOUR", "1"),
        ("OTP_AUTH__LIMITS__IP__SENDS_PER_HOUR", "0"),
        ("OTP_AUTH__OTP__RESEND_COOLDOWNS_SECONDS", "1,299,300"),
        ("OTP_AUTH__TOKENS__REFRESH_IDLE_SECONDS", "7776000"),
        ("OTP_AUTH__TOKENS__PUBLISH_AHEAD_SECONDS", "600"),
        ("OTP_AUTH__TOKENS__KEEP_AFTER_SECONDS", "900"),
        ("OTP_AUTH__LIMITS__PHONE__LOCK_MAX_SECONDS", "1800"),
    ]);

    assert_eq!(faults(settings), [""; 0]);
}

/// Plain http to the loopback interface shows nothing to a network.
#[test]
fn production_may_call_the_provider_through_this_machine() {
    for url in [
        "http://127.0.0.1:8090",
        "http://localhost:8090/x",
        "http://[::1]:1",
    ] {
        let name = "OTP_AUTH__STARTMESSAGING__BASE_URL";
        assert_eq!(faults(production(&[(name, url)])), [""; 0], "{url}");
    }
}

#[test]
fn production_names_everything_that_must_be_set() {
    let found = faults(load(&[("OTP_AUTH_ENV", "production")], None));

    let keys: Vec<&str> = found
        .iter()
        .map(|fault| fault.split(':').next().unwrap())
        .collect();
    let expected = [
        "server.issuer",
        "database.url",
        "secrets.master_key",
        "secrets.admin_token",
        "startmessaging.api_key",
        "limits.spend.messages_per_hour",
        "limits.spend.messages_per_day",
        "clients",
    ];
    assert_eq!(keys, expected, "{found:#?}");
}

#[test]
fn a_file_without_clients_is_no_way_to_start_in_production() {
    let found = faults(production_with_file("", &[]));

    assert_eq!(
        found,
        ["clients: is empty, so nobody could log in; add one [[clients]]"]
    );
}
