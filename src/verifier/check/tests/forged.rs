//! Tokens that the issuer did not make, or not as they are.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;

use super::super::super::MAX_TOKEN_BYTES;
use super::super::super::testing::{Pair, Signer, claims, encode, expected, key_set, now};
use super::super::*;
use super::check;

/// security.md 23: no signature, one made with the public key as a secret, and another key's algorithm.
#[test]
fn another_algorithm_than_the_keys_is_refused() {
    let ec = Signer::es256("k");
    for name in [
        "none", "None", "NONE", "nOnE", "", "es256", "ES384", "PS256", "HS256",
    ] {
        let unsigned = ec.token_with_header("alg", json!(name));
        let (signed, _) = unsigned.rsplit_once('.').unwrap();
        for token in [format!("{signed}."), unsigned.clone()] {
            assert_eq!(check(&ec, &token), Err(Refused::Algorithm), "{name}");
        }
    }
    for alg in [json!(null), json!(1), json!(["ES256"])] {
        let token = ec.token_with_header("alg", alg);
        assert_eq!(check(&ec, &token), Err(Refused::Algorithm));
    }

    let jwk = ec.jwk();
    let Pair::Es256(pair) = &ec.pair else {
        unreachable!()
    };
    let der = pair.public_key().as_der().unwrap();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&*der)
    );
    for secret in [
        pair.public_key().as_ref().to_vec(),
        der.as_ref().to_vec(),
        pem.into_bytes(),
        jwk.to_string().into_bytes(),
    ] {
        let header = json!({"typ": "at+jwt", "alg": "HS256", "kid": "k"}).to_string();
        let signed = format!("{}.{}", encode(header), encode(claims().to_string()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let token = format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes())));
        assert_eq!(check(&ec, &token), Err(Refused::Algorithm));
    }

    for (name, wrong) in [
        ("RS256", Signer::rs256("k")),
        ("EdDSA", Signer::ed_dsa("k")),
    ] {
        let token = wrong.token(&claims());
        assert_eq!(check(&ec, &token), Err(Refused::Algorithm), "{name}");
        // The right name, on the wrong key's signature.
        let token = wrong.token_with_header("alg", json!("ES256"));
        assert_eq!(check(&ec, &token), Err(Refused::Signature), "{name}");
    }
}

/// security.md 23: a key comes from the set or not at all.
#[test]
fn a_key_that_the_token_brings_is_not_used() {
    let ours = Signer::es256("k");
    let attacker = Signer::es256("k");
    let stranger = Signer::es256("other");

    assert_eq!(
        check(&ours, &stranger.token(&claims())),
        Err(Refused::UnknownKey {
            kid: "other".to_owned()
        })
    );
    for (name, value) in [
        ("jwk", attacker.jwk()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/x.pem")),
        ("x5c", json!(["AAAA"])),
    ] {
        let token = attacker.token_with_header(name, value.clone());
        assert_eq!(check(&ours, &token), Err(Refused::Signature), "{name}");
        // Nor does it hurt.
        check(&ours, &ours.token_with_header(name, value)).unwrap();
    }
}

/// security.md 25: a token of another kind is no access token.
#[test]
fn only_the_type_of_access_tokens_is_accepted() {
    let signer = Signer::es256("k");
    for typ in [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/At+Jwt",
    ] {
        check(&signer, &signer.token_with_header("typ", json!(typ))).unwrap();
    }
    for typ in [
        json!("JWT"),
        json!(""),
        json!("at+jwt "),
        json!("text/at+jwt"),
        json!("application/application/at+jwt"),
        json!("at\u{212a}jwt"),
        json!(["at+jwt"]),
        json!(null),
    ] {
        let token = signer.token_with_header("typ", typ.clone());
        assert_eq!(check(&signer, &token), Err(Refused::Type), "{typ}");
    }
}

#[test]
fn a_header_that_is_not_plain_is_refused() {
    let signer = Signer::es256("k");
    for crit in [json!(["exp"]), json!([]), json!(["b64"])] {
        let token = signer.token_with_header("crit", crit);
        assert_eq!(check(&signer, &token), Err(Refused::Critical));
    }
    for kid in [json!(null), json!(""), json!(1), json!("k".repeat(129))] {
        let token = signer.token_with_header("kid", kid);
        assert_eq!(check(&signer, &token), Err(Refused::Malformed));
    }
    for header in [
        r#"{"typ":"at+jwt","alg":"ES256","alg":"ES256","kid":"k"}"#,
        r#"{"typ":"at+jwt","alg":"ES256","kid":"k"} x"#,
        "[]",
        "",
    ] {
        let token = signer.token_of(header, &claims().to_string());
        assert_eq!(check(&signer, &token), Err(Refused::Malformed), "{header}");
    }
}

#[test]
fn a_token_that_differs_in_any_bit_is_refused() {
    for signer in [Signer::es256("k"), Signer::ed_dsa("k"), Signer::rs256("k")] {
        let keys = key_set(&[signer.jwk()]);
        let token = signer.token(&claims());
        for place in 0..token.len() {
            for bit in 0..7 {
                let mut changed = token.clone().into_bytes();
                changed[place] ^= 1 << bit;
                let changed = String::from_utf8(changed).unwrap();
                let got = verify(&changed, &keys, &expected(60), now());
                assert!(got.is_err(), "byte {place}, bit {bit}: {changed}");
            }
        }
    }
}

#[test]
fn a_token_that_is_longer_or_shorter_is_refused() {
    let signer = Signer::es256("k");
    let token = signer.token(&claims());
    let (front, signature) = token.rsplit_once('.').unwrap();
    for changed in [
        format!("{token}A"),
        format!("{token}="),
        format!("{token}=="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!("{front}."),
        front.to_owned(),
        token.strip_suffix(|_: char| true).unwrap().to_owned(),
        String::new(),
        "..".to_owned(),
        format!("Bearer {token}"),
    ] {
        assert!(check(&signer, &changed).is_err(), "{changed}");
    }
}

#[test]
fn a_token_has_at_most_8_kib() {
    let signer = Signer::ed_dsa("k");
    let of_length = |length: usize| {
        // Three bytes make four characters, and spaces after the payload are no part of it.
        (0..1024)
            .map(|spaces| {
                let payload = claims().to_string() + &" ".repeat(length * 3 / 4 - 600 + spaces);
                signer.token_of(&signer.header().to_string(), &payload)
            })
            .find(|token| token.len() >= length)
            .unwrap()
    };
    let fits = of_length(MAX_TOKEN_BYTES - 1);
    let long = of_length(MAX_TOKEN_BYTES + 1);

    assert!((MAX_TOKEN_BYTES - 1..=MAX_TOKEN_BYTES).contains(&fits.len()));
    check(&signer, &fits).unwrap();
    assert_eq!(check(&signer, &long), Err(Refused::Malformed));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*", parts in "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}") {
        let signer = Signer::ed_dsa("k");
        prop_assert!(check(&signer, &text).is_err());
        prop_assert!(check(&signer, &parts).is_err());
    }

    #[test]
    fn no_signed_json_makes_it_panic(header in "\\{[\"a-z:,0-9]{0,40}\\}", payload in "\\PC*") {
        let signer = Signer::ed_dsa("k");
        let _ = check(&signer, &signer.token_of(&header, &payload));
        let got = check(&signer, &signer.token_of(&signer.header().to_string(), &payload));
        prop_assert!(got.is_err());
    }
}
