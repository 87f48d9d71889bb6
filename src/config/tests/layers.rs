//! Which layer wins, and how values look in the environment.

use std::{path::Path, time::Duration};

use secrecy::ExposeSecret as _;

use super::{DEVELOPMENT, development, development_with_file, faults, load, production, variable};
use crate::config::Profile;
use crate::telemetry::LogFormat;

#[test]
fn development_is_the_default_profile_and_needs_only_three_secrets() {
    let settings = development(&[]).unwrap();

    assert_eq!(settings.profile, Profile::Development);
    assert_eq!(settings.server.issuer.as_str(), "http://127.0.0.1:8080");
    assert_eq!(
        settings.startmessaging.base_url.as_str(),
        "http://127.0.0.1:8090/"
    );
    assert_eq!(settings.telemetry.log_format, LogFormat::Pretty);
    let web = settings.clients.sole_public().unwrap();
    assert_eq!(web.id.as_str(), "web");
    assert_eq!(web.audience, ["api"]);
    assert_eq!(web.scopes, [""; 0]);
}

#[test]
fn production_differs_from_development_as_its_file_says() {
    let settings = production(&[]).unwrap();

    assert_eq!(settings.profile, Profile::Production);
    assert_eq!(
        settings.startmessaging.base_url.as_str(),
        "https://api.startmessaging.com/"
    );
    assert_eq!(settings.telemetry.log_format, LogFormat::Json);
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let settings = production(&[]).unwrap();

    assert_eq!(settings.server.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.server.admin_bind.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.server.workers, None);
    assert_eq!(settings.otp.code_length, 6);
    assert_eq!(settings.otp.ttl, Duration::from_mins(5));
    assert_eq!(settings.otp.max_attempts, 5);
    assert_eq!(settings.otp.max_sends, 3);
    assert_eq!(
        settings.otp.resend_cooldowns,
        [30, 60, 120].map(Duration::from_secs)
    );
    let phone = &settings.limits.phone;
    let sends = [
        phone.sends_per_5_minutes,
        phone.sends_per_hour,
        phone.sends_per_day,
    ];
    assert_eq!(sends.map(|limit| limit.unwrap().get()), [3, 5, 10]);
    assert_eq!(phone.failures_per_day.unwrap().get(), 10);
    assert_eq!(
        (phone.lock, phone.lock_max),
        (Duration::from_mins(30), Duration::from_hours(24))
    );
    let ip = &settings.limits.ip;
    let per_ip = [
        ip.sends_per_minute,
        ip.sends_per_10_minutes,
        ip.sends_per_hour,
        ip.verifies_per_minute,
    ];
    assert_eq!(per_ip.map(|limit| limit.unwrap().get()), [5, 20, 50, 60]);
    assert_eq!(settings.startmessaging.requests_per_second.get(), 20);
    assert_eq!(settings.startmessaging.burst.get(), 200);
    assert_eq!(
        settings.startmessaging.connect_timeout,
        Duration::from_secs(2)
    );
    assert_eq!(settings.startmessaging.timeout, Duration::from_secs(5));
    assert_eq!(settings.tokens.access_ttl, Duration::from_mins(15));
    assert_eq!(settings.tokens.refresh_idle, Duration::from_hours(30 * 24));
    assert_eq!(
        settings.tokens.refresh_absolute,
        Duration::from_hours(90 * 24)
    );
    assert_eq!(settings.tokens.reuse_grace, Duration::from_secs(10));
    assert_eq!(settings.tokens.rotate_every, Duration::from_hours(30 * 24));
    assert_eq!(settings.tokens.publish_ahead, Duration::from_hours(24));
    assert_eq!(settings.tokens.keep_after, Duration::from_hours(24));
    assert_eq!(settings.database.max_connections, 8);
    assert_eq!(settings.database.acquire_timeout, Duration::from_secs(1));
    assert_eq!(settings.database.statement_timeout, Duration::from_secs(2));
    let countries: Vec<String> = settings
        .phone
        .countries()
        .map(|country| country.to_string())
        .collect();
    assert_eq!(countries, ["IN"]);
    assert!(settings.phone.mobile_only());
}

#[test]
fn each_layer_wins_over_the_one_before() {
    let file = "[telemetry]\nlog_format = 'json'\nlog_level = 'debug'\n[otp]\nmax_attempts = 4\n";
    let variables = [("OTP_AUTH__TELEMETRY__LOG_LEVEL", "trace")];

    let settings = development_with_file(file, &variables).unwrap();

    assert_eq!(settings.otp.max_sends, 3, "from default.toml");
    assert_eq!(
        settings.server.issuer.as_str(),
        "http://127.0.0.1:8080",
        "from development.toml"
    );
    assert_eq!(
        settings.telemetry.log_format,
        LogFormat::Json,
        "file over development.toml"
    );
    assert_eq!(settings.otp.max_attempts, 4, "file over default.toml");
    assert_eq!(
        settings.telemetry.log_level, "trace",
        "environment over file"
    );
}

#[test]
fn clients_of_a_file_replace_those_of_a_layer_below() {
    let file = "[[clients]]\nid = 'app'\naudience = ['a', 'b']\n";

    let settings = development_with_file(file, &[]).unwrap();

    let ids: Vec<&str> = settings
        .clients
        .iter()
        .map(|client| client.id.as_str())
        .collect();
    assert_eq!(ids, ["app"]);
    assert!(settings.clients.get("web").is_none());
}

#[test]
fn every_number_can_be_set_in_the_environment() {
    let cases = [
        ("otp.ttl_seconds", "600"),
        ("server.workers", "3"),
        ("limits.phone.sends_per_5_minutes", "0"),
        ("startmessaging.timeout_ms", "7000"),
    ];
    let variables: Vec<(String, &str)> = cases
        .iter()
        .map(|(key, value)| (variable(key), *value))
        .collect();
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();

    let settings = development(&variables).unwrap();

    assert_eq!(settings.otp.ttl, Duration::from_mins(10));
    assert_eq!(settings.server.workers.map(usize::from), Some(3));
    assert_eq!(settings.limits.phone.sends_per_5_minutes, None);
    assert_eq!(settings.startmessaging.timeout, Duration::from_secs(7));
}

#[test]
fn lists_are_split_at_commas_in_the_environment() {
    let settings = development(&[
        ("OTP_AUTH__PHONE__COUNTRIES", "IN, np ,AE"),
        ("OTP_AUTH__OTP__RESEND_COOLDOWNS_SECONDS", "10,10,20"),
        (
            "OTP_AUTH__SERVER__TRUSTED_PROXIES",
            "10.0.0.0/8,192.0.2.7,2001:db8::1,",
        ),
    ])
    .unwrap();

    let countries: Vec<String> = settings
        .phone
        .countries()
        .map(|country| country.to_string())
        .collect();
    assert_eq!(countries, ["AE", "IN", "NP"]);
    assert_eq!(
        settings.otp.resend_cooldowns,
        [10, 10, 20].map(Duration::from_secs)
    );
    let proxies: Vec<String> = settings
        .server
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::1/128"]);
}

#[test]
fn a_flag_in_the_environment_is_true_or_false_and_nothing_else() {
    let name = "OTP_AUTH__PHONE__MOBILE_ONLY";
    for (text, expected) in [
        ("true", Some(true)),
        ("false", Some(false)),
        ("1", None),
        ("", None),
    ] {
        let flag = development(&[(name, text)])
            .map(|settings| settings.phone.mobile_only())
            .ok();
        assert_eq!(flag, expected, "{text:?}");
    }
}

#[test]
fn text_in_the_environment_stays_text() {
    let settings = development(&[
        ("STARTMESSAGING_API_KEY", "0012"),
        ("OTP_AUTH__STARTMESSAGING__APP_NAME", "007"),
    ])
    .unwrap();

    assert_eq!(settings.startmessaging.api_key.expose_secret(), "0012");
    assert_eq!(settings.startmessaging.app_name.as_deref(), Some("007"));
}

#[test]
fn variables_of_others_are_left_alone() {
    let settings = development(&[
        ("OTP_AUTH_PORT", "tcp://10.0.0.1:8080"),
        ("OTP_AUTH_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ]);

    assert!(settings.is_ok());
}

#[test]
fn another_profile_is_refused() {
    for text in ["prod", "Production", "", "test"] {
        let found = faults(load(
            &[&DEVELOPMENT[..], &[("OTP_AUTH_ENV", text)]].concat(),
            None,
        ));
        let expected =
            format!("OTP_AUTH_ENV: {text:?} is unknown; set it to development or production");
        assert!(found.contains(&expected), "{found:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_among_the_others() {
    let result = load(&[], Some(Path::new("/nowhere/otp-auth.toml")));

    let found = faults(result);
    assert!(
        found[0].starts_with("/nowhere/otp-auth.toml: cannot be read: "),
        "{found:?}"
    );
    assert_eq!(
        found.len(),
        4,
        "and the three secrets are missing: {found:?}"
    );
}

#[test]
fn broken_toml_is_placed_but_not_quoted() {
    let file = "[otp]\nmax_sends = 2\n[secrets]\nadmin_token = \"a-secret-without-end\n";

    let found = faults(development_with_file(file, &[]));

    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("FILE: is not valid TOML in line 4, column "),
        "{found:?}"
    );
    assert!(!found[0].contains("a-secret-without-end"), "{found:?}");
}
