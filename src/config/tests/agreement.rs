//! Code, `default.toml` and contract name the same keys.

use std::collections::BTreeSet;

use super::{CLIENT, DEVELOPMENT, PRODUCTION, development, load, production, variable};

const DEFAULT: &str = include_str!("../../../config/default.toml");

/// The leaves of `default.toml`, found by another TOML reader than the one under test.
fn default_keys() -> BTreeSet<String> {
    fn walk(prefix: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            match value.as_table() {
                Some(inner) => walk(&format!("{key}."), inner, keys),
                None => {
                    keys.insert(key);
                }
            }
        }
    }
    let mut keys = BTreeSet::new();
    walk("", &DEFAULT.parse().unwrap(), &mut keys);
    keys
}

#[test]
fn every_key_of_default_toml_is_read_and_every_key_read_is_there() {
    let settings = development(&[]).unwrap();

    let read: BTreeSet<String> = settings.effective.keys().cloned().collect();

    assert_eq!(read, default_keys());
}

#[test]
fn every_key_of_default_toml_has_a_comment_before_it() {
    let lines: Vec<&str> = DEFAULT.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.starts_with(|c: char| c.is_ascii_lowercase()) {
            // Keys without a blank line between them share a comment.
            let mut block = lines[..index]
                .iter()
                .rev()
                .take_while(|line| !line.is_empty());
            assert!(block.any(|line| line.starts_with('#')), "{line}");
        }
    }
}

/// The examples in the comments are what people copy.
#[test]
fn the_examples_of_default_toml_are_accepted_in_production() {
    let example: Vec<String> = DEFAULT
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .filter(|line| line.starts_with("[[") || line.contains(" = "))
        .map(|line| line.replace("<64 hex>", &"0123456789abcdef".repeat(4)))
        .collect();

    let settings = super::production_with_file(&example.join("\n"), &[]).unwrap();

    let client = settings.clients.get("web").unwrap();
    assert!(!client.is_public());
    assert_eq!(client.scopes, ["phone"]);
    assert!(client.countries.is_some() && client.ceilings.has_an_amount());
    assert_eq!(settings.test_numbers.len(), 1);
}

/// The list of contract section 9: scripts and other people's tests rely on these names.
#[test]
fn every_key_of_the_contract_exists() {
    let contract = "
        server.bind server.admin_bind server.issuer server.trusted_proxies server.workers
        server.shutdown_grace_seconds database.url database.max_connections
        database.migrate_on_start secrets.master_key secrets.admin_token startmessaging.base_url
        startmessaging.api_key startmessaging.code_owner startmessaging.template_id
        startmessaging.app_name startmessaging.connect_timeout_ms startmessaging.timeout_ms
        otp.code_length otp.ttl_seconds otp.max_attempts otp.max_sends
        otp.resend_cooldowns_seconds phone.countries phone.mobile_only phone.default_region
        limits.phone.sends_per_5_minutes limits.phone.sends_per_hour limits.phone.sends_per_day
        limits.phone.failures_per_day limits.ip.sends_per_minute limits.ip.sends_per_10_minutes
        limits.ip.sends_per_hour limits.ip.verifies_per_minute limits.spend.messages_per_hour
        limits.spend.messages_per_day tokens.algorithm tokens.access_ttl_seconds
        tokens.refresh_idle_seconds tokens.refresh_absolute_seconds tokens.reuse_grace_seconds
        tokens.rotate_every_seconds tokens.publish_ahead_seconds tokens.keep_after_seconds
        gateway.cookie gateway.max_staleness_seconds telemetry.log_format telemetry.otlp_endpoint
        clients test_numbers";
    let keys = default_keys();

    for key in contract.split_whitespace() {
        assert!(keys.contains(key), "{key}");
    }
}

#[test]
fn every_default_can_be_given_again_in_the_environment() {
    let defaults: toml::Table = DEFAULT.parse().unwrap();
    for key in default_keys() {
        let value = key
            .split('.')
            .fold(toml::Value::Table(defaults.clone()), |value, name| {
                value[name].clone()
            });
        let plain = |value: &toml::Value| value.to_string().trim_matches('"').to_owned();
        let text = match value.as_array() {
            Some(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
            None => plain(&value),
        };
        let is_list_of_tables = ["clients", "test_numbers"].contains(&key.as_str());
        if text.is_empty() || is_list_of_tables {
            continue;
        }

        let result = development(&[(&variable(&key), &text)]);

        assert!(result.is_ok(), "{key} = {text:?}: {result:?}");
    }
}

#[test]
fn nothing_printed_holds_a_secret() {
    let secret = "a81b".repeat(16);
    let file = format!(
        "{CLIENT}secret_hash = '{secret}'\n[[test_numbers]]\nphone_number = '9876543210'\ncode = \
         '708213'\nvalid_until = '2026-12-15'\n[alerts]\nwebhook_url = \
         'https://a.example'\nwebhook_secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'\n"
    );
    let file = super::TempFile::new(&file);
    let settings = load(&[&DEVELOPMENT[..], &PRODUCTION].concat(), Some(file.path())).unwrap();

    for printed in [
        format!("{settings:?}"),
        format!("{settings:#?}"),
        settings.summary(),
    ] {
        for secret in [
            DEVELOPMENT[0].1,
            "171, 205, 239", // the first bytes of the master key, as Debug shows an array
            DEVELOPMENT[1].1,
            "pw-of-the-database",
            PRODUCTION[2].1,
            &secret,
            "708213",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "49, 242, 144", // the first bytes of that, as Debug shows an array
            "9876543210",
        ] {
            assert!(!printed.contains(secret), "{secret} is in {printed}");
        }
    }
}

#[test]
fn the_summary_names_every_key_with_its_origin() {
    let summary = production(&[("OTP_AUTH__OTP__TTL_SECONDS", "120")])
        .unwrap()
        .summary();

    for line in [
        "OTP_AUTH_ENV = production",
        "otp.ttl_seconds = 120  # the environment variable OTP_AUTH__OTP__TTL_SECONDS",
        "otp.max_attempts = 5  # config/default.toml",
        "otp.resend_cooldowns_seconds = [30, 60, 120]  # config/default.toml",
        "secrets.master_key = (set)  # the environment variable OTP_AUTH__SECRETS__MASTER_KEY",
        "database.url = (set)  # the environment variable DATABASE_URL",
        "startmessaging.base_url = \"https://api.startmessaging.com\"  # config/default.toml",
    ] {
        assert!(
            summary.lines().any(|found| found == line),
            "{line} is not in\n{summary}"
        );
    }
    assert!(summary.contains("clients = [web]  # "));
    assert!(
        summary.ends_with('\n'),
        "so that a prompt stands on its own line"
    );
    let token = development(&[]).unwrap().summary();
    assert!(token.contains("secrets.admin_token = (not set)  # config/default.toml"));
}
