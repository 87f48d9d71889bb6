//! Tokens and receipts that come back, and the key sets that other services read.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Drawn, keyring};
use crate::device_receipt::DeviceReceipt;
use crate::phone::PhoneNumber;
use crate::secrets::{Keyring, PhoneIndex};
use crate::token::refresh::RefreshToken;
use crate::verifier::{Claims, Expected, KeySet, verify};

const ISSUER: &str = "https://id.example";
const KID: &str = "key-1";
/// How long a receipt is good.
const LIFE: TimeDelta = TimeDelta::days(180);

/// An issuer whose tokens are the same in every run, and who checks them.
struct Issuer {
    pair: Ed25519KeyPair,
    keys: KeySet,
    expected: Expected,
    keyring: Keyring,
    other: Keyring,
    phone: PhoneIndex,
    receipt: String,
}

static ISSUED: LazyLock<Issuer> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": KID, "x": x});
    let keyring = keyring(1);
    let phone = PhoneNumber::from_stored_e164("+919876543210").unwrap();
    let phone = keyring.phone_index(&phone);
    let receipt = DeviceReceipt::issue(phone, &keyring, &Drawn::from(&[]), now()).unwrap();
    Issuer {
        pair,
        keys: KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap(),
        expected: Expected::new(ISSUER, ["api"], Duration::from_secs(5)).unwrap(),
        keyring,
        other: super::keyring(2),
        phone,
        receipt: receipt.expose().to_owned(),
    }
});

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// Nothing is accepted that this service did not make, and of what it signed only what may be.
///
/// The first byte says what the others are.
///
/// # Panics
/// If that does not hold.
pub fn check(data: &[u8]) {
    let Some((what, rest)) = data.split_first() else {
        return;
    };
    match what % 8 {
        0 => foreign_token(&String::from_utf8_lossy(rest)),
        1 => own_header(rest),
        2 => own_payload(rest),
        3 => foreign_refresh_token(&String::from_utf8_lossy(rest)),
        4 => own_refresh_token(rest),
        5 => foreign_receipt(&String::from_utf8_lossy(rest)),
        6 => own_receipt(rest),
        _ => key_set(rest),
    }
}

fn read(token: &str) -> Option<Claims> {
    verify(token, &ISSUED.keys, &ISSUED.expected, now()).ok()
}

fn payload() -> Value {
    json!({
        "iss": ISSUER, "sub": "user-1", "aud": "api", "client_id": "web", "iat": now().timestamp(),
        "exp": now().timestamp() + 600, "jti": "token-1", "sid": "session-1",
    })
}

fn signed(header: &[u8], payload: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = ISSUED.pair.sign(signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

fn header() -> String {
    json!({"typ": "at+jwt", "alg": "EdDSA", "kid": KID}).to_string()
}

/// A text that is no token of ours, unless it is to the byte this one.
fn foreign_token(text: &str) {
    if read(text).is_some() {
        assert_eq!(
            text,
            signed(header().as_bytes(), payload().to_string().as_bytes())
        );
    }
}

/// Signed by us, with any header: no other kind of token passes for an access token.
fn own_header(header: &[u8]) {
    let token = signed(header, payload().to_string().as_bytes());
    if read(&token).is_none() {
        return;
    }
    let header: Map<String, Value> = serde_json::from_slice(header).unwrap();
    let text = |name| header.get(name).and_then(Value::as_str).unwrap_or_default();
    let typ = text("typ").to_ascii_lowercase();
    assert!(typ == "at+jwt" || typ == "application/at+jwt");
    assert_eq!((text("alg"), text("kid")), ("EdDSA", KID));
    assert!(!header.contains_key("crit"));
    tampered(&token, header.len());
}

/// Signed by us, with any payload: what is accepted is for us, of this time, and says who it is.
fn own_payload(payload: &[u8]) {
    let token = signed(header().as_bytes(), payload);
    let Some(claims) = read(&token) else {
        return;
    };
    let members: Map<String, Value> = serde_json::from_slice(payload).unwrap();
    assert_eq!(members.get("iss").and_then(Value::as_str), Some(ISSUER));
    assert_eq!(claims.issuer(), ISSUER);
    assert!(claims.audience().iter().any(|audience| audience == "api"));
    assert!(claims.expires_at() > now() - TimeDelta::seconds(5));
    let ids = [
        claims.subject(),
        claims.client_id(),
        claims.token_id(),
        claims.session_id(),
    ];
    assert!(ids.iter().all(|id| !id.is_empty()));
    if let Some(number) = claims.phone_number() {
        assert_eq!(
            members.get("phone_number_verified"),
            Some(&Value::Bool(true))
        );
        assert_eq!(format!("{number} {number:?}"), "*** PhoneNumber(***)");
    }
    assert!(!format!("{claims:?}").contains("PhoneNumber"));
    tampered(&token, payload.len());
}

/// One bit of a good token changed: it is nobody's.
fn tampered(token: &str, at: usize) {
    let mut bytes = token.as_bytes().to_vec();
    let at = at * 7 % bytes.len();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    assert!(read(&String::from_utf8_lossy(&bytes)).is_none());
}

fn foreign_refresh_token(text: &str) {
    if let Some(token) = RefreshToken::parse(text, &ISSUED.keyring) {
        assert_eq!(*token.expose(), text);
        // The one that the corpus has; nobody can make another.
        let ours = RefreshToken::generate(Uuid::nil(), &ISSUED.keyring, &Drawn::from(&[]));
        assert_eq!(*ours.unwrap().expose(), text);
    }
}

fn own_refresh_token(drawn: &[u8]) {
    let session = Uuid::from_slice(drawn.get(..16).unwrap_or_default()).unwrap_or_default();
    let token = RefreshToken::generate(session, &ISSUED.keyring, &Drawn::from(drawn)).unwrap();
    let text = token.expose();
    let read = RefreshToken::parse(&text, &ISSUED.keyring).unwrap();
    assert_eq!(read.session(), session);
    assert!(read.hash() == token.hash() && *read.expose() == *text);
    assert_eq!(format!("{read:?}"), "RefreshToken(***)");
    assert!(RefreshToken::parse(&text, &ISSUED.other).is_none());
    let mut bytes = text.as_bytes().to_vec();
    let at = drawn.iter().map(|byte| usize::from(*byte)).sum::<usize>() % bytes.len();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    let bent = String::from_utf8_lossy(&bytes);
    assert!(RefreshToken::parse(&bent, &ISSUED.keyring).is_none());
}

fn foreign_receipt(text: &str) {
    let Some(receipt) = DeviceReceipt::new(text) else {
        return;
    };
    if receipt.is_for(ISSUED.phone, &ISSUED.keyring, LIFE, now()) {
        assert_eq!(text, ISSUED.receipt);
    }
    assert!(!receipt.is_for(ISSUED.phone, &ISSUED.other, LIFE, now()));
    assert_eq!(format!("{receipt:?}"), "DeviceReceipt(***)");
}

/// Made at any time that a clock can tell.
fn own_receipt(at: &[u8]) {
    let Some(at) = at.first_chunk().map(|seconds| i64::from_be_bytes(*seconds)) else {
        return;
    };
    let Some(at) = DateTime::from_timestamp(at, 0) else {
        return;
    };
    let (phone, keyring) = (ISSUED.phone, &ISSUED.keyring);
    let receipt = DeviceReceipt::issue(phone, keyring, &Drawn::from(&[]), at).unwrap();
    let good = receipt.is_for(phone, keyring, LIFE, now());
    assert_eq!(good, now() - at < LIFE);
}

/// A key set names no key twice, and no key in it signs what its holder did not.
fn key_set(json: &[u8]) {
    let Ok(keys) = KeySet::parse(json) else {
        return;
    };
    let token = signed(header().as_bytes(), payload().to_string().as_bytes());
    if verify(&token, &keys, &ISSUED.expected, now()).is_ok() {
        let set: Value = serde_json::from_slice(json).unwrap();
        let x = URL_SAFE_NO_PAD.encode(ISSUED.pair.public_key());
        let ours = |jwk: &&Value| jwk.get("kid").is_some_and(|kid| kid == KID);
        let all = set.get("keys").and_then(Value::as_array);
        let mut ours = all.into_iter().flatten().filter(ours);
        assert!(ours.any(|jwk| jwk.get("x").is_some_and(|given| *given == x)));
    }
}
