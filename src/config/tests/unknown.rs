//! Keys and values that do not belong.

use super::{development, development_with_file, faults};

#[test]
fn unknown_variables_are_refused_with_what_was_meant() {
    let cases = [
        (
            "OTP_AUTH__OTP__TTL_SECOND",
            "did you mean OTP_AUTH__OTP__TTL_SECONDS?",
        ),
        (
            "OTP_AUTH__SERVER_BIND",
            "did you mean OTP_AUTH__SERVER__BIND?",
        ),
        (
            "OTP_AUTH__server__bind",
            "did you mean OTP_AUTH__SERVER__BIND?",
        ),
        (
            "OTP_AUTH__SECRETS__MASTER_KEY_FIEL",
            "did you mean OTP_AUTH__SECRETS__MASTER_KEY_FILE?",
        ),
        ("OTP_AUTH__NONSENSE", "remove it"),
        ("OTP_AUTH__", "remove it"),
    ];
    for (name, mend) in cases {
        let expected = format!("{name}: is unknown; {mend}");
        assert_eq!(faults(development(&[(name, "x")])), [expected]);
    }
}

#[test]
fn unknown_keys_of_a_file_are_refused_with_what_was_meant() {
    let cases = [
        (
            "[otp]\nttl_second = 3",
            "otp.ttl_second",
            "is unknown; did you mean otp.ttl_seconds?",
        ),
        (
            "ttl_seconds = 3",
            "ttl_seconds",
            "is unknown; did you mean otp.ttl_seconds?",
        ),
        (
            "[sms]\napi_key = 'k'",
            "sms.api_key",
            "is unknown; did you mean startmessaging.api_key?",
        ),
        ("[otp]\ncolour = 3", "otp.colour", "is unknown; remove it"),
        (
            "[limits]\nphone = 3",
            "limits.phone",
            "is a section; write [limits.phone] and its keys below",
        ),
        (
            "otp = 3",
            "otp",
            "is a section; write [otp] and its keys below",
        ),
        ("[redis]", "redis", "is unknown; remove it"),
        ("'a b' = 3", "a b", "is unknown; remove it"),
        (
            "[otp.ttl_seconds]\nx = 1",
            "otp.ttl_seconds.x",
            "is unknown; did you mean otp.ttl_seconds?",
        ),
    ];
    for (file, key, problem) in cases {
        let expected = format!("{key} (from FILE): {problem}");
        assert_eq!(faults(development_with_file(file, &[])), [expected]);
    }
    assert_eq!(
        faults(development_with_file("[otp]\n", &[])),
        [""; 0],
        "an empty section is fine"
    );
}

#[test]
fn values_of_the_wrong_type_in_a_file_are_refused() {
    let file = "[otp]\nttl_seconds = 30.5\nmax_sends = true\nresend_cooldowns_seconds = 30\n\
                [phone]\nmobile_only = 1\ncountries = [true]\ndefault_region = 91\n";

    let found = faults(development_with_file(file, &[]));

    let expected = [
        "otp.ttl_seconds (from FILE): 30.5 is not a whole number from 30 to 600",
        "otp.max_sends (from FILE): true is not a whole number from 1 to 5",
        "otp.resend_cooldowns_seconds (from FILE): must be a list, such as [\"a\", \"b\"]",
        "phone.countries (from FILE): must be a list, such as [\"a\", \"b\"]",
        "phone.mobile_only (from FILE): 1 is neither true nor false",
        "phone.default_region (from FILE): must be text in quotes",
    ];
    assert_eq!(found, expected);
}
