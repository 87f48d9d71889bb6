//! Which keys of a set are taken.

use serde_json::{Value, json};

use super::super::testing::{Signer, encode, key_set};
use super::*;

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

#[test]
fn a_key_of_each_kind_checks_what_its_pair_signed() {
    for signer in [Signer::es256("a"), Signer::ed_dsa("a"), Signer::rs256("a")] {
        let name = signer.algorithm();
        for jwk in [
            signer.jwk(),
            without(signer.jwk(), "alg"),
            without(signer.jwk(), "use"),
            with(signer.jwk(), "key_ops", json!(["verify"])),
            with(signer.jwk(), "x5c", json!(["not looked at"])),
        ] {
            let keys = key_set(&[jwk]);
            let key = keys.get("a").unwrap();

            assert_eq!(Algorithm::from_name(name), Some(key.algorithm()));
            assert!(key.signed(b"message", &signer.sign(b"message")), "{name}");
            assert!(!key.signed(b"massage", &signer.sign(b"message")), "{name}");
            assert!(!key.signed(b"message", b""), "{name}");
        }
    }
}

/// security.md 24: one algorithm a key, never a private or symmetric one.
#[test]
fn keys_that_may_not_check_tokens_are_skipped_and_the_others_stay() {
    let ec = Signer::es256("odd").jwk();
    let ed = Signer::ed_dsa("odd").jwk();
    let short = encode([0xff; 255]);
    let padded = encode([&[0; 1][..], &[0xff; 256]].concat());
    let skipped = [
        (without(ec.clone(), "kid"), "no kid"),
        (with(ec.clone(), "kid", json!(1)), "kid of another type"),
        (with(ec.clone(), "use", json!("enc")), "another use"),
        (with(ec.clone(), "use", json!(null)), "no known use"),
        (
            with(ec.clone(), "key_ops", json!(["encrypt"])),
            "another operation",
        ),
        (
            with(ec.clone(), "alg", json!("RS256")),
            "another key's algorithm",
        ),
        (with(ec.clone(), "alg", json!("HS256")), "a MAC"),
        (
            with(ec.clone(), "alg", json!("ES384")),
            "an unknown algorithm",
        ),
        (with(ec.clone(), "alg", json!(1)), "alg of another type"),
        (with(ec.clone(), "crv", json!("P-384")), "another curve"),
        (with(ec.clone(), "kty", json!("ec")), "kty in another case"),
        (with(ec.clone(), "d", json!("AA")), "a private key"),
        (with(ec.clone(), "k", json!("AA")), "a symmetric member"),
        (
            with(ec.clone(), "y", ec["x"].clone()),
            "a point off the curve",
        ),
        (with(ec.clone(), "x", json!("AA")), "a short coordinate"),
        (without(ec, "x"), "no coordinate"),
        (with(ed.clone(), "crv", json!("Ed448")), "another curve"),
        (
            with(ed.clone(), "alg", json!("ES256")),
            "another key's algorithm",
        ),
        (with(ed, "x", json!("AA")), "a short key"),
        (
            json!({"kty": "oct", "kid": "odd", "k": "AAAA", "alg": "HS256"}),
            "symmetric",
        ),
        (
            json!({"kty": "RSA", "kid": "odd", "n": short, "e": "AQAB"}),
            "2040 bits",
        ),
        (
            json!({"kty": "RSA", "kid": "odd", "n": padded, "e": "AQAB"}),
            "leading zero",
        ),
        (
            json!({"kty": "RSA", "kid": "odd", "n": "", "e": "AQAB"}),
            "no modulus",
        ),
        (json!({"kty": "new", "kid": "odd"}), "unknown kind"),
        (json!({"kid": "odd"}), "no kind"),
        (json!("odd"), "no object"),
    ];
    let good = Signer::ed_dsa("good");
    for (jwk, why) in skipped {
        let keys = key_set(&[jwk, good.jwk()]);

        assert!(!keys.contains("odd"), "{why}");
        assert!(keys.contains("good"), "{why}");
    }
}

#[test]
fn rsa_keys_have_at_least_2048_bits() {
    for (first, taken) in [(0x7f, false), (0x80, true), (0xff, true)] {
        let mut n = [0xff; 256];
        n[0] = first;
        let keys = key_set(&[json!({"kty": "RSA", "kid": "a", "n": encode(n), "e": "AQAB"})]);

        assert_eq!(keys.contains("a"), taken, "{first}");
    }
}

#[test]
fn of_two_usable_keys_under_one_kid_neither_is_taken() {
    let (a, b) = (Signer::es256("same"), Signer::ed_dsa("same"));
    let other = Signer::es256("other");

    for set in [
        vec![a.jwk(), b.jwk(), other.jwk()],
        vec![a.jwk(), other.jwk(), a.jwk(), a.jwk()],
    ] {
        let keys = key_set(&set);

        assert!(!keys.contains("same"));
        assert!(keys.contains("other"));
    }
    let unusable = json!({"kty": "oct", "kid": "same", "k": "AAAA"});
    assert!(key_set(&[unusable, a.jwk()]).contains("same"));
}

#[test]
fn what_is_no_set_is_an_error_and_an_empty_one_is_not() {
    for bad in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"keys":{}}"#,
        r#"{"keys":[]"#,
        "<html>",
    ] {
        assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(
        KeySet::parse(br#"{"keys":[],"more":1}"#)
            .unwrap()
            .is_empty()
    );
    assert!(!Signer::es256("a").keys().is_empty());
}
