//! Bounds, just inside and just outside.

use super::{development, fault_of, faults, variable};

#[test]
fn numbers_are_bounded_on_both_sides() {
    let bounds: [(&str, u64, u64); 43] = [
        ("server.workers", 0, 1024),
        ("server.read_timeout_ms", 100, 60_000),
        ("server.keep_alive_seconds", 1, 3600),
        ("server.max_connections", 1, 1_000_000),
        ("server.drain_seconds", 0, 300),
        ("server.shutdown_grace_seconds", 0, 300),
        ("database.max_connections", 1, 1000),
        ("database.acquire_timeout_ms", 10, 60_000),
        ("database.statement_timeout_ms", 10, 60_000),
        ("startmessaging.connect_timeout_ms", 10, 60_000),
        ("startmessaging.timeout_ms", 10, 60_000),
        ("startmessaging.requests_per_second", 1, 100_000),
        ("startmessaging.burst", 1, 100_000),
        ("otp.code_length", 6, 6),
        ("otp.ttl_seconds", 30, 600),
        ("otp.max_attempts", 1, 10),
        ("otp.max_sends", 1, 5),
        ("limits.phone.failures_per_day", 0, 100),
        ("limits.phone.failures_in_row", 1, 100),
        ("limits.device.receipt_ttl_seconds", 86_400, 31_536_000),
        ("limits.device.sends_per_hour", 0, 1_000_000),
        ("limits.device.sends_per_day", 0, 1_000_000),
        ("limits.device.failures_per_day", 0, 100),
        ("limits.ip.phones_per_day", 0, 10_000),
        ("limits.ip.countries_per_day", 0, 1_000_000),
        ("limits.network.sends_per_minute", 0, 1_000_000),
        ("limits.network.sends_per_hour", 0, 1_000_000),
        ("limits.network.verifies_per_minute", 0, 1_000_000),
        ("limits.spend.messages_per_hour", 0, 1_000_000),
        ("limits.spend.messages_per_day", 0, 1_000_000),
        ("limits.spend.amount_per_hour", 0, 1_000_000_000),
        ("limits.spend.amount_per_day", 0, 1_000_000_000),
        ("limits.spend.amount_per_month", 0, 1_000_000_000),
        ("limits.spend.reserved_for_known_percent", 0, 50),
        ("limits.pumping.least_per_day", 1, 1_000_000),
        ("limits.pumping.least_per_hour", 1, 1_000_000),
        ("limits.pumping.address_least_per_day", 1, 1_000_000),
        ("limits.pumping.address_least_per_hour", 1, 1_000_000),
        ("limits.pumping.expected_logins_per_day", 0, 1_000_000),
        ("tokens.reuse_grace_seconds", 0, 60),
        ("tokens.sessions_per_user", 1, 1000),
        ("tokens.verifier_deadline_seconds", 0, 2_592_000),
        ("gateway.max_staleness_seconds", 1, 3600),
    ];
    for (key, low, high) in bounds {
        let name = variable(key);
        for good in [low, high] {
            let result = development(&[(&name, &good.to_string())]);
            assert_eq!(faults(result), [""; 0], "{key} = {good}");
        }
        for bad in [
            (i128::from(low) - 1).to_string(),
            (high + 1).to_string(),
            "9".repeat(30),
        ] {
            let expected = format!("{bad:?} is not a whole number from {low} to {high}");
            assert_eq!(fault_of(key, &bad), expected);
        }
    }
}

#[test]
fn an_issuer_is_an_exact_address() {
    let accepted = [
        "https://auth.example.com",
        "https://a.example:8443/auth",
        "http://otp-auth:8080",
    ];
    for issuer in accepted {
        let settings = development(&[("OTP_AUTH__SERVER__ISSUER", issuer)]).unwrap();
        assert_eq!(settings.server.issuer.as_str(), issuer);
        assert_eq!(
            settings.server.issuer.is_https(),
            issuer.starts_with("https")
        );
    }
    let plain = "is not in its plain form; write scheme and host in small letters, without the \
                 standard port and without a slash at the end";
    let refused = [
        ("https://auth.example.com/", plain),
        ("https://auth.example.com/x/", plain),
        ("https://Auth.example.com", plain),
        ("https://auth.example.com:443", plain),
        (
            "https://auth.example.com?a=b",
            "must have no query and no fragment; remove what follows ? or #",
        ),
        (
            "https://auth.example.com#a",
            "must have no query and no fragment; remove what follows ? or #",
        ),
        (
            "https://me@auth.example.com",
            "must not hold a user name or password; remove the part before @",
        ),
        (
            "ftp://auth.example.com",
            "is not an address; write it like https://auth.example.com",
        ),
        (
            "auth.example.com",
            "is not an address; write it like https://auth.example.com",
        ),
        (
            "",
            "is not set; give the address that callers use, such as https://auth.example.com",
        ),
    ];
    for (issuer, expected) in refused {
        assert_eq!(fault_of("server.issuer", issuer), expected, "{issuer}");
    }
}

#[test]
fn an_app_name_has_at_most_30_characters_and_3_digits_in_a_row() {
    let cases = [
        ("é".repeat(29), true),
        ("é".repeat(30), true),
        ("é".repeat(31), false),
        ("Shop 12".to_owned(), true),
        ("Shop 123".to_owned(), true),
        ("Shop 1234".to_owned(), false),
        ("12 34 56".to_owned(), true),
    ];
    for (name, accepted) in cases {
        let result = development(&[("OTP_AUTH__STARTMESSAGING__APP_NAME", &name)]);
        assert_eq!(result.is_ok(), accepted, "{name}");
    }
}
