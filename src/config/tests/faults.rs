//! Each fault with its text, and all faults at once.

use super::{DEVELOPMENT, fault_of, load};
use crate::config::Settings;

/// A key, a value it cannot have, and the text of the fault.
const UNUSABLE: [(&str, &str, &str); 46] = [
    (
        "server.bind",
        "8080",
        "\"8080\" cannot be used; give address and port, such as 127.0.0.1:8080",
    ),
    (
        "server.admin_bind",
        "127.0.0.1:8080",
        "is the same as server.bind; give it another port",
    ),
    (
        "server.trusted_proxies",
        "10.0.0.0/33",
        "\"10.0.0.0/33\" cannot be used; give an address or a range, such as 10.0.0.0/8",
    ),
    (
        "server.workers",
        "-1",
        "\"-1\" is not a whole number from 0 to 1024",
    ),
    (
        "database.url",
        "mysql://x/y",
        "is no address of a database; it must begin with postgres://",
    ),
    (
        "database.direct_url",
        "mysql://x/y",
        "is no address of a database; it must begin with postgres://",
    ),
    (
        "database.migrate_on_start",
        "yes",
        "\"yes\" is neither true nor false",
    ),
    (
        "secrets.other_master_keys",
        "AfZtFXmS8LiYpGVUPyrTqQnJ0hWc7oXbE5kD1gM2N4I= short",
        "number 2 is not 32 bytes in base64 or 64 hex digits; make one with: openssl rand -base64 32",
    ),
    (
        "secrets.other_master_keys",
        "q83vEjRWeJC6mHZUMhD+3LqYdlQyEP7cupjWVDIQ/tw=",
        "number 1 is secrets.master_key too; remove it here",
    ),
    (
        "startmessaging.base_url",
        "api.example.com",
        "is not an address; write it like https://auth.example.com",
    ),
    (
        "startmessaging.base_url",
        "https://a.example/?x",
        "must have no query and no fragment; remove what follows ? or #",
    ),
    (
        "provider.kind",
        "twilio",
        "\"twilio\" is unknown; use \"startmessaging\" or \"webhook\"",
    ),
    (
        "webhook.url",
        "sms.example.com",
        "is not an address; write it like https://auth.example.com",
    ),
    (
        "webhook.secret",
        "whsec_c2hvcnQ=",
        "is not whsec_ and 24 to 64 bytes in base64; make one with: echo whsec_$(openssl rand -base64 32)",
    ),
    (
        "startmessaging.code_owner",
        "us",
        "\"us\" is unknown; use \"service\" or \"vendor\"",
    ),
    (
        "startmessaging.template_id",
        "1107160000000000001",
        "\"1107160000000000001\" is no UUID; give StartMessaging's own id of the template, not the 19-digit DLT id",
    ),
    (
        "startmessaging.app_name",
        "Shop 2026",
        "has 4 or more digits in a row, which would be sent as the code; break them up",
    ),
    (
        "startmessaging.app_name",
        "a\nb",
        "holds a line break or another control character; remove it",
    ),
    (
        "otp.resend_cooldowns_seconds",
        "",
        "is empty; give at least one waiting time",
    ),
    (
        "otp.resend_cooldowns_seconds",
        "60,30",
        "falls somewhere; order the waiting times from short to long",
    ),
    (
        "otp.resend_cooldowns_seconds",
        "30,x",
        "\"x\" cannot be used; give whole seconds from 0 to 600",
    ),
    (
        "phone.countries",
        "",
        "is empty, so nobody could log in; name at least one country",
    ),
    (
        "phone.countries",
        "IN,XX",
        "\"XX\" cannot be used; give the two letters of a country, such as IN",
    ),
    (
        "phone.default_region",
        "NP",
        "is not one of phone.countries; add it there or change it",
    ),
    (
        "phone.default_region",
        "India",
        "\"India\" cannot be used; give the two letters of a country, such as IN",
    ),
    (
        "limits.phone.lock_max_seconds",
        "1799",
        "is shorter than limits.phone.lock_seconds; raise it",
    ),
    (
        "limits.spend.currency",
        "inr",
        "\"inr\" is no currency; give its three capital letters (ISO 4217)",
    ),
    (
        "limits.spend.currency",
        "INRS",
        "\"INRS\" is no currency; give its three capital letters (ISO 4217)",
    ),
    (
        "limits.spend.prices",
        "IN=0.25,in=0.5",
        "holds two prices for IN; keep one of them",
    ),
    (
        "limits.spend.prices",
        "XX=0.25",
        "\"XX=0.25\" cannot be used; give a country and the price of one message there, such as \
         IN=0.25: at most 1000000, with at most 6 decimals",
    ),
    (
        "limits.pumping.mode",
        "off",
        "\"off\" is unknown; use \"enforce\" or \"record_only\"",
    ),
    (
        "limits.pumping.trust_accounts",
        "2",
        "\"2\" is neither true nor false",
    ),
    (
        "alerts.webhook_secret",
        "whsec_c2hvcnQ=",
        "is not whsec_ and 24 to 64 bytes in base64; make one with: echo whsec_$(openssl rand -base64 32)",
    ),
    (
        "webhook.secret",
        "c2hvcnQ=",
        "is not whsec_ and 24 to 64 bytes in base64; make one with: echo whsec_$(openssl rand -base64 32)",
    ),
    (
        "tokens.algorithm",
        "none",
        "\"none\" is unknown; use \"ES256\", \"EdDSA\" or \"RS256\"",
    ),
    (
        "tokens.algorithm",
        "HS256",
        "\"HS256\" is unknown; use \"ES256\", \"EdDSA\" or \"RS256\"",
    ),
    (
        "tokens.verifiers",
        "gateway,b c",
        "\"b c\" cannot be used; use 1 to 64 of A-Z a-z 0-9 . _ -",
    ),
    (
        "tokens.publish_ahead_seconds",
        "2592000",
        "is not less than tokens.rotate_every_seconds, so no key would be ready; lower it",
    ),
    (
        "tokens.keep_after_seconds",
        "899",
        "is shorter than tokens.access_ttl_seconds, so good tokens would be refused; raise it",
    ),
    (
        "gateway.cookie",
        "a b",
        "\"a b\" is no name of a cookie; use letters, digits, - and _",
    ),
    (
        "retention.audit_days",
        "29",
        "\"29\" is not a whole number from 30 to 3650",
    ),
    (
        "telemetry.log_format",
        "text",
        "\"text\" is unknown; use \"json\" or \"pretty\"",
    ),
    (
        "telemetry.log_level",
        "otp_auth=loud",
        "\"otp_auth=loud\" is no filter; use info, debug, or such as info,otp_auth=debug",
    ),
    (
        "telemetry.otlp_endpoint",
        "collector:4318",
        "is not an address; write it like https://auth.example.com",
    ),
    (
        "telemetry.trace_sample_ratio",
        "1.5",
        "\"1.5\" must be a number from 0 to 1",
    ),
    (
        "telemetry.log_sample_ratio",
        "all",
        "\"all\" must be a number from 0 to 1",
    ),
];

#[test]
fn values_that_cannot_be_used_are_told_with_their_mend() {
    for (key, value, expected) in UNUSABLE {
        assert_eq!(fault_of(key, value), expected, "{key} = {value:?}");
    }
}

/// One start tells everything, so that mending takes one round.
#[test]
fn all_faults_of_all_sections_and_sources_are_told_at_once() {
    let file = "[otp]\nttl_seconds = 601\ntll = 5\n[server]\nbind = 'x'\n[[clients]]\nid = ''\n\
                [[test_numbers]]\ncode = '1'\n[phone]\ncountries = []\n";
    let variables = [
        ("OTP_AUTH__TOKENS__ALGORITHM", "none"),
        ("OTP_AUTH__GATEWAY__COKIE", "c"),
        ("OTP_AUTH__LIMITS__IP__SENDS_PER_HOUR", "many"),
        ("OTP_AUTH__DATABASE__MAX_CONNECTIONS", "0"),
        ("OTP_AUTH__TELEMETRY__LOG_FORMAT", "xml"),
        ("OTP_AUTH__STARTMESSAGING__API_KEY", ""),
    ];
    let file = super::TempFile::new(file);

    let error = load(&variables, Some(file.path()))
        .map(|_: Settings| ())
        .unwrap_err();

    let text = error.to_string();
    for key in [
        "OTP_AUTH__STARTMESSAGING__API_KEY: is empty",
        "OTP_AUTH__GATEWAY__COKIE: is unknown; did you mean OTP_AUTH__GATEWAY__COOKIE?",
        "otp.tll (from ",
        "server.bind (from ",
        "database.url: is not set",
        "database.max_connections (from the environment variable OTP_AUTH__DATABASE__MAX_",
        "secrets.master_key: is not set; make one with: openssl rand -base64 32",
        "startmessaging.api_key: is not set",
        "otp.ttl_seconds (from ",
        "phone.countries (from ",
        "limits.ip.sends_per_hour (from ",
        "tokens.algorithm (from ",
        "telemetry.log_format (from ",
        "clients[0].id (from ",
        "clients[0].audience (from ",
        "test_numbers[0].phone_number (from ",
        "test_numbers[0].code (from ",
    ] {
        let lines = text
            .lines()
            .filter(|line| line.trim_start().starts_with(key));
        assert_eq!(lines.count(), 1, "{key} in\n{text}");
    }
    assert_eq!(error.faults.len(), 17, "{text}");
    assert!(text.starts_with("the settings have 17 faults:\n"), "{text}");
}

#[test]
fn one_fault_is_told_in_the_singular_with_a_hint_where_to_set_a_key() {
    let error = load(
        &[&DEVELOPMENT[..], &[("OTP_AUTH__OTP__MAX_SENDS", "9")]].concat(),
        None,
    )
    .map(|_: Settings| ())
    .unwrap_err();

    let expected = "the settings have 1 fault:\n  otp.max_sends (from the environment variable \
                    OTP_AUTH__OTP__MAX_SENDS): \"9\" is not a whole number from 1 to 5\nA key such \
                    as otp.ttl_seconds is set in the file given by --config, or by the environment \
                    variable OTP_AUTH__OTP__TTL_SECONDS. config/default.toml explains them all.";
    assert_eq!(error.to_string(), expected);
}
