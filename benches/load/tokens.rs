//! Access tokens as the service makes them, of a key that it is given beforehand: a login for each would take
//! hours.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::Utc;
use serde_json::json;
use uuid::Uuid;

use crate::Failure;

/// As the service is set up.
pub(crate) const ISSUER: &str = "https://login.example.com";

/// A new private key, as PKCS #8.
pub(crate) fn key() -> Result<Vec<u8>, Failure> {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
    Ok(document.as_ref().to_vec())
}

/// Its public key, as a point.
pub(crate) fn public(pem: &str) -> Result<Vec<u8>, Failure> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let pair = EcdsaKeyPair::from_pkcs8(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &BASE64_STANDARD.decode(text)?,
    )?;
    Ok(pair.public_key().as_ref().to_vec())
}

/// A key for a file that `otp-auth keys import` reads.
pub(crate) fn pem(pkcs8: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(pkcs8);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

/// So many tokens of different sessions, good for an hour, one a line.
pub(crate) fn many(pkcs8: &[u8], kid: &str, count: u32) -> Result<String, Failure> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)?;
    let random = SystemRandom::new();
    let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": kid}).to_string();
    let header = BASE64.encode(header);
    let now = Utc::now().timestamp();
    let mut lines = String::new();
    for _ in 0..count {
        let claims = json!({
            "iss": ISSUER, "sub": Uuid::new_v4(), "aud": "api", "client_id": "app", "iat": now, "exp": now + 3600,
            "jti": Uuid::new_v4(), "sid": Uuid::new_v4(), "auth_time": now, "amr": ["otp", "sms"],
        });
        let signed = format!("{header}.{}", BASE64.encode(claims.to_string()));
        let signature = pair.sign(&random, signed.as_bytes())?;
        lines.push_str(&signed);
        lines.push('.');
        lines.push_str(&BASE64.encode(signature));
        lines.push('\n');
    }
    Ok(lines)
}
