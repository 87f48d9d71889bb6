use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, KeyPair as _};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

fn wrapped(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let lines = lines.join("\n");
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}

fn generated(algorithm: SigningAlgorithm) -> PrivateKey {
    PrivateKey::generate(algorithm).unwrap()
}

fn thumbprint(key: &PrivateKey) -> String {
    SigningKey::read(key, None).unwrap().kid().to_owned()
}

/// The key as a JWK, with its private members.
fn private_jwk(key: &PrivateKey) -> Value {
    let mut jwk = serde_json::to_value(SigningKey::read(key, None).unwrap().public()).unwrap();
    jwk.as_object_mut().unwrap().remove("kid");
    let mut put = |name: &str, bytes: &[u8]| jwk[name] = json!(URL_SAFE_NO_PAD.encode(bytes));
    match key.algorithm {
        SigningAlgorithm::Es256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.der);
            let private: EcPrivateKeyBin<'_> = pair.unwrap().private_key().as_be_bytes().unwrap();
            put("d", private.as_ref());
        }
        SigningAlgorithm::EdDsa => {
            let seed = Ed25519KeyPair::from_pkcs8(&key.der)
                .unwrap()
                .seed()
                .unwrap();
            put("d", seed.as_be_bytes().unwrap().as_ref());
        }
        SigningAlgorithm::Rs256 => {
            let (mut rest, _) = der::value(der::inner_key(&key.der).unwrap(), SEQUENCE).unwrap();
            for name in ["version", "n", "e", "d", "p", "q", "dp", "dq", "qi"] {
                let (number, after) = der::value(rest, INTEGER).unwrap();
                rest = after;
                if !["version", "n", "e"].contains(&name) {
                    put(name, number.strip_prefix(&[0]).unwrap_or(number));
                }
            }
        }
    }
    jwk
}

fn refusal(file: &str) -> String {
    Import::read(file.as_bytes(), None).unwrap_err().to_string()
}

#[test]
fn every_form_of_a_good_key_is_read_and_is_the_same_key() {
    for algorithm in SigningAlgorithm::ALL {
        let key = generated(algorithm);
        let inner = der::inner_key(&key.der).unwrap();
        let mut forms = vec![
            wrapped("PRIVATE KEY", &key.der),
            private_jwk(&key).to_string(),
            format!("  \n{}", private_jwk(&key)),
        ];
        match algorithm {
            SigningAlgorithm::Es256 => {
                let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n\
                                  -----END EC PARAMETERS-----\n";
                let sec1 = wrapped("EC PRIVATE KEY", inner);
                forms.push(format!("{parameters}{sec1}"));
                forms.push(sec1);
            }
            SigningAlgorithm::EdDsa => {
                let version_2 = Ed25519KeyPair::from_pkcs8(&key.der).unwrap().to_pkcs8();
                forms.push(wrapped("PRIVATE KEY", version_2.unwrap().as_ref()));
            }
            SigningAlgorithm::Rs256 => forms.push(wrapped("RSA PRIVATE KEY", inner)),
        }
        for form in forms {
            let import = Import::read(form.as_bytes(), None).unwrap();
            assert_eq!(import.algorithm(), algorithm);
            assert_eq!(import.kid(), thumbprint(&key));
            assert_eq!(*import.key.der, *key.der);
        }
    }
}

#[test]
fn a_key_keeps_its_own_name_unless_another_is_given() {
    let key = generated(SigningAlgorithm::Es256);
    let mut jwk = private_jwk(&key);
    jwk["kid"] = json!("2019-05");
    let jwk = jwk.to_string();

    for (given, expected) in [(None, "2019-05"), (Some("main"), "main")] {
        let import = Import::read(jwk.as_bytes(), given).unwrap();
        assert_eq!(import.kid(), expected);
    }
    let longest = "x".repeat(128);
    let too_long = "x".repeat(129);
    for (kid, is_good) in [
        ("", false),
        ("x", true),
        (longest.as_str(), true),
        (too_long.as_str(), false),
        ("a b", false),
        ("ключ", false),
    ] {
        assert_eq!(
            Import::read(jwk.as_bytes(), Some(kid)).is_ok(),
            is_good,
            "{kid}"
        );
    }
}

/// security.md 31: no key that is weaker than those made here.
#[test]
fn what_is_no_good_private_key_is_refused_with_a_reason() {
    let short = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let short = PrivateKey::from_rsa(&short).unwrap();
    let other_curve = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let other_curve = other_curve.to_pkcs8v1().unwrap();
    let public = Ed25519KeyPair::generate().unwrap();
    let good = generated(SigningAlgorithm::Es256);
    let encrypted_by_header = wrapped("EC PRIVATE KEY", der::inner_key(&good.der).unwrap())
        .replacen(
            "-----\n",
            "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n",
            1,
        );
    let jwk = private_jwk(&good);
    let with = |name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk.to_string()
    };
    let without = |name: &str| {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().remove(name);
        jwk.to_string()
    };
    for (file, reason) in [
        ("not a key".to_owned(), "neither PEM nor a JWK"),
        (String::new(), "neither PEM nor a JWK"),
        ("{".to_owned(), "is damaged"),
        (
            wrapped("PRIVATE KEY", &short.der),
            "of 2048 bits; at least 3072",
        ),
        (
            wrapped("RSA PRIVATE KEY", der::inner_key(&short.der).unwrap()),
            "of 2048 bits",
        ),
        (private_jwk(&short).to_string(), "of 2048 bits"),
        (wrapped("PRIVATE KEY", other_curve.as_ref()), "curve"),
        (
            wrapped(
                "EC PRIVATE KEY",
                der::inner_key(other_curve.as_ref()).unwrap(),
            ),
            "curve",
        ),
        (with("crv", json!("P-384")), "curve"),
        (with("crv", json!("secp256k1")), "curve"),
        (
            wrapped("PUBLIC KEY", public.public_key().as_ref()),
            "public key only",
        ),
        (wrapped("CERTIFICATE", b"x"), "public key only"),
        (without("d"), "public key only"),
        (without("x"), "no member \"x\""),
        (with("kty", json!("oct")), "symmetric"),
        (json!({"kty": "oct", "k": "AAAA"}).to_string(), "symmetric"),
        (with("kty", json!("AKP")), "neither an EC"),
        (json!({"keys": [jwk]}).to_string(), "set of keys"),
        (with("use", json!("enc")), "\"use\""),
        (with("alg", json!("ES384")), "\"alg\""),
        (with("kid", json!(5)), "kid must be"),
        (with("d", json!("AAAA")), "do not belong together"),
        (wrapped("ENCRYPTED PRIVATE KEY", b"x"), "is encrypted"),
        (encrypted_by_header, "is encrypted"),
        (wrapped("OPENSSH PRIVATE KEY", b"x"), "neither an EC"),
        (wrapped("PRIVATE KEY", b"x"), "is damaged"),
        (
            wrapped("PRIVATE KEY", &good.der).replace("-----END", "-----AND"),
            "is damaged",
        ),
    ] {
        let told = refusal(&file);
        assert!(told.contains(reason), "{told:?}, not {reason:?}");
    }
}

#[test]
fn a_jwk_whose_halves_do_not_belong_together_is_refused() {
    for algorithm in SigningAlgorithm::ALL {
        let (one, two) = (generated(algorithm), generated(algorithm));
        let (mut jwk, other) = (private_jwk(&one), private_jwk(&two));
        for name in ["x", "y", "n"] {
            if let Some(public) = other.get(name) {
                jwk[name] = public.clone();
            }
        }
        assert!(
            refusal(&jwk.to_string()).contains("do not belong together"),
            "{algorithm:?}"
        );
    }
}

#[test]
fn rsa_numbers_are_large_enough() {
    let number = |bits: usize| {
        let mut bytes = vec![0; bits.div_ceil(8)];
        bytes[0] = 1 << ((bits - 1) % 8);
        bytes
    };
    for (bits, exponent, is_good) in [
        (3071, &[1, 0, 1][..], false),
        (3072, &[1, 0, 1], true),
        (3073, &[1, 0, 1], true),
        (3072, &[3], false),
        (3072, &[0xff, 0xff], false),
        (3072, &[0, 1, 0, 1], true),
    ] {
        let checked = check_rsa(&number(bits), exponent);
        assert_eq!(checked.is_ok(), is_good, "{bits} {exponent:?}");
    }
}
