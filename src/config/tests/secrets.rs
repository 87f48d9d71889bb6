//! Secrets: their names, their files, and what is too weak.

use chrono::DateTime;
use secrecy::ExposeSecret as _;

use crate::operator::{Operator, Role};

use super::{
    DEVELOPMENT, MASTER_KEY, SOME_KEY, TempFile, development, development_with_file, faults, hex,
    load, production,
};

const MASTER_KEY_FILE: &str = "OTP_AUTH__SECRETS__MASTER_KEY_FILE";

/// Bytes that neither repeat nor count up nor are text.
fn bytes() -> [u8; 32] {
    let mut byte = 1_u8;
    [(); 32].map(|()| {
        byte = byte.wrapping_mul(77).wrapping_add(91);
        byte
    })
}

#[test]
fn a_master_key_is_understood_in_every_usual_form() {
    use base64::{Engine as _, engine::general_purpose as engine};
    let key = bytes();
    let forms = [
        ("hex", hex(&key)),
        ("hex in capitals", hex(&key).to_uppercase()),
        ("base64", engine::STANDARD.encode(key)),
        (
            "base64 without padding",
            engine::STANDARD_NO_PAD.encode(key),
        ),
        ("base64url", engine::URL_SAFE.encode(key)),
        (
            "base64url without padding",
            engine::URL_SAFE_NO_PAD.encode(key),
        ),
    ];
    for (form, text) in forms {
        let settings = development(&[(MASTER_KEY, &text)]).unwrap();
        assert_eq!(settings.secrets.master_key.expose_secret(), &key, "{form}");
    }
}

#[test]
fn a_master_key_of_another_length_or_alphabet_is_refused() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let key = bytes();
    let texts = [
        ("31 bytes", STANDARD.encode(&key[..31])),
        ("33 bytes", STANDARD.encode([&key[..], &[9]].concat())),
        ("63 hex digits", hex(&key).split_off(1)),
        ("65 hex digits", hex(&key) + "a"),
        ("a phrase", "correct horse battery staple".to_owned()),
        ("a blank in front", format!(" {}", hex(&key))),
    ];
    for (why, text) in texts {
        let found = faults(development(&[(MASTER_KEY, &text)]));
        let expected = "secrets.master_key (from the environment variable \
                        OTP_AUTH__SECRETS__MASTER_KEY): is not 32 bytes in base64 or 64 hex \
                        digits; make one with: openssl rand -base64 32";
        assert_eq!(found, [expected], "{why}");
    }
}

#[test]
fn a_master_key_of_one_byte_repeated_is_refused_everywhere() {
    for byte in [0, 0xff, 0x61] {
        let found = faults(development(&[(MASTER_KEY, &hex(&[byte; 32]))]));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("is one byte repeated"), "{found:?}");
    }
}

#[test]
fn production_refuses_sample_keys_that_development_takes() {
    let counted: Vec<u8> = (0..32).collect();
    for key in [counted.as_slice(), b"otp-auth sample key: do not use!"] {
        assert!(development(&[(MASTER_KEY, &hex(key))]).is_ok());
        let found = faults(production(&[(MASTER_KEY, &hex(key))]));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("is a sample or a phrase, not random"),
            "{found:?}"
        );
    }
}

#[test]
fn other_master_keys_stand_in_a_file_one_a_line() {
    let (one, two) = (bytes(), bytes().map(|byte| byte.rotate_left(3)));
    let file = TempFile::new(&format!("{}\n{}\n", hex(&one), hex(&two)));
    let name = "OTP_AUTH__SECRETS__OTHER_MASTER_KEYS_FILE";

    let settings = development(&[(name, &file.path().display().to_string())]).unwrap();

    let read = settings.secrets.other_master_keys.iter();
    let read: Vec<[u8; 32]> = read.map(|key| *key.expose_secret()).collect();
    assert_eq!(read, [one, two]);
    let summary = settings.summary();
    assert!(
        summary.contains("secrets.other_master_keys = (2 set)"),
        "{summary}"
    );
    assert!(!format!("{settings:?}{summary}").contains(&hex(&two)));
}

/// security.md 41: a weak secret refuses to start.
#[test]
fn an_admin_token_has_at_least_32_characters_that_fit_a_header() {
    let name = "OTP_AUTH__SECRETS__ADMIN_TOKEN";
    let cases = [
        ("a".repeat(31), false),
        ("a".repeat(32), true),
        ("a".repeat(33), true),
        (format!("{} b", "a".repeat(32)), false),
        (format!("{}é", "a".repeat(32)), false),
    ];
    for (token, accepted) in cases {
        assert_eq!(development(&[(name, &token)]).is_ok(), accepted, "{token}");
    }
}

#[test]
fn each_secret_is_read_from_the_file_that_its_variable_names() {
    let key = TempFile::new(&format!("{SOME_KEY}\n"));
    let token = TempFile::new(&format!("{}\r\n", "t".repeat(40)));
    let api_key = TempFile::new("sm_live_77\n");
    let url = TempFile::new("postgres://a:b@c/d");
    let direct_url = TempFile::new("postgres://a:b@e/d\n");

    let settings = load(
        &[
            (MASTER_KEY_FILE, key.as_str()),
            ("OTP_AUTH__SECRETS__ADMIN_TOKEN_FILE", token.as_str()),
            ("STARTMESSAGING_API_KEY_FILE", api_key.as_str()),
            ("DATABASE_URL_FILE", url.as_str()),
            ("OTP_AUTH__DATABASE__DIRECT_URL_FILE", direct_url.as_str()),
        ],
        None,
    )
    .unwrap();

    assert_eq!(
        settings
            .operators
            .find(&"t".repeat(40), DateTime::UNIX_EPOCH),
        Ok(Operator {
            id: None,
            role: Role::Owner
        })
    );
    assert_eq!(
        settings.startmessaging.api_key.expose_secret(),
        "sm_live_77"
    );
    assert_eq!(settings.database.url.expose_secret(), "postgres://a:b@c/d");
    let direct_url = settings.database.direct_url.unwrap();
    assert_eq!(direct_url.expose_secret(), "postgres://a:b@e/d");
}

#[test]
fn our_own_name_of_a_secret_wins_over_the_usual_one_and_over_the_file() {
    let api_key = TempFile::new("from-our-file");
    let settings = development_with_file(
        "[database]\nurl = 'postgres://from-toml/'\n",
        &[
            ("OTP_AUTH__STARTMESSAGING__API_KEY_FILE", api_key.as_str()),
            ("DATABASE_URL", "postgres://usual/"),
        ],
    )
    .unwrap();
    assert_eq!(
        settings.startmessaging.api_key.expose_secret(),
        "from-our-file"
    );
    assert_eq!(settings.database.url.expose_secret(), "postgres://usual/");

    let both = [("OTP_AUTH__DATABASE__URL", "postgres://ours/")];
    let settings = development(&both).unwrap();
    assert_eq!(settings.database.url.expose_secret(), "postgres://ours/");
}

#[test]
fn a_secret_given_twice_empty_or_by_a_lost_file_is_refused() {
    let some = TempFile::new(SOME_KEY);
    let blank = TempFile::new("\n");
    let cases: [(&[(&str, &str)], &str); 5] = [
        (
            &[(MASTER_KEY, SOME_KEY), (MASTER_KEY_FILE, some.as_str())],
            "OTP_AUTH__SECRETS__MASTER_KEY: is set, and OTP_AUTH__SECRETS__MASTER_KEY_FILE too; \
             keep one of them",
        ),
        (
            &[(MASTER_KEY, "")],
            "OTP_AUTH__SECRETS__MASTER_KEY: is empty; give a value or unset it",
        ),
        (
            &[(MASTER_KEY_FILE, blank.as_str())],
            "OTP_AUTH__SECRETS__MASTER_KEY_FILE: is empty; give a value or unset it",
        ),
        (
            &[(MASTER_KEY_FILE, "")],
            "OTP_AUTH__SECRETS__MASTER_KEY_FILE: names a file that cannot be read (entity not \
             found); mend the path or the file's permissions",
        ),
        (
            &[(MASTER_KEY_FILE, "/nowhere/key")],
            "OTP_AUTH__SECRETS__MASTER_KEY_FILE: names a file that cannot be read (entity not \
             found); mend the path or the file's permissions",
        ),
    ];
    for (variables, expected) in cases {
        let found = faults(load(&[&DEVELOPMENT[1..], variables].concat(), None));
        assert_eq!(found[0], expected);
        assert!(
            found[1].starts_with("secrets.master_key: is not set"),
            "{found:?}"
        );
        assert_eq!(found.len(), 2, "{found:?}");
    }
}

#[test]
fn only_secrets_have_files() {
    let found = faults(development(&[(
        "OTP_AUTH__OTP__TTL_SECONDS_FILE",
        "/dev/null",
    )]));

    let expected = "OTP_AUTH__OTP__TTL_SECONDS_FILE: is unknown; did you mean \
                    OTP_AUTH__OTP__TTL_SECONDS?";
    assert_eq!(found, [expected]);
}

#[test]
fn the_path_of_a_secret_in_a_toml_file_is_explained() {
    let found = faults(development_with_file(
        "[secrets]\nmaster_key_file = '/k'\n",
        &[],
    ));

    let expected = "secrets.master_key_file (from FILE): is no key; name the file by the \
                    environment variable OTP_AUTH__SECRETS__MASTER_KEY_FILE";
    assert_eq!(found, [expected]);
}

#[test]
fn no_fault_holds_the_value_of_a_secret() {
    let secret = "hunter2-hunter2";
    let cases = [
        MASTER_KEY,
        "OTP_AUTH__SECRETS__ADMIN_TOKEN",
        "OTP_AUTH__DATABASE__URL",
        "OTP_AUTH__DATABASE__DIRECT_URL",
        MASTER_KEY_FILE,
        "OTP_AUTH__SECRETS__MASTERKEY",
        "DATABASE_URL_FILE",
    ];
    for name in cases {
        let error = development(&[(name, secret)]).unwrap_err();
        assert!(!error.to_string().contains(secret), "{error}");
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
    }
    let api_key = development(&[("STARTMESSAGING_API_KEY", "hunter2 hunter2")]).unwrap_err();
    assert!(!api_key.to_string().contains("hunter2"), "{api_key}");
    let url = "https://user:hunter2@api.example.com";
    for key in [
        "STARTMESSAGING__BASE_URL",
        "TELEMETRY__OTLP_ENDPOINT",
        "SERVER__ISSUER",
    ] {
        let error = development(&[(&format!("OTP_AUTH__{key}"), url)]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn secrets_of_the_wrong_toml_type_are_refused_without_being_shown() {
    let file = "[secrets]\nadmin_token = 1234567890\n[startmessaging]\napi_key = [5550123]\n";
    let secrets = [DEVELOPMENT[0], DEVELOPMENT[2]];
    let file = TempFile::new(file);

    let found = faults(load(&secrets, Some(file.path())));

    let expected = [
        "secrets.admin_token (from FILE): must be text in quotes",
        "startmessaging.api_key (from FILE): must be text in quotes",
    ];
    assert_eq!(found, expected);
}
