//! An issuer for unit tests: signs anything, with any header.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Expected, KeySet};

pub(super) const ISSUER: &str = "https://id.example";

/// What all tests take for now.
pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// Tokens of [`ISSUER`] for the audience "api", with this leeway in seconds.
pub(super) fn expected(leeway: u64) -> Expected {
    Expected::new(ISSUER, ["api"], Duration::from_secs(leeway)).unwrap()
}

/// Everything that an access token must have; it ends in ten minutes.
pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "user-1", "aud": "api", "client_id": "web",
        "iat": now().timestamp(), "exp": now().timestamp() + 600,
        "jti": "token-1", "sid": "session-1",
    })
}

/// The claims, changed.
pub(super) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

/// A key pair under a `kid`.
pub(super) struct Signer {
    pub(super) kid: &'static str,
    pub(super) pair: Pair,
}

impl Signer {
    pub(super) fn es256(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let pair = Pair::Es256(pair);
        Self { kid, pair }
    }

    pub(super) fn ed_dsa(kid: &'static str) -> Self {
        let pair = Pair::EdDsa(Ed25519KeyPair::generate().unwrap());
        Self { kid, pair }
    }

    pub(super) fn rs256(kid: &'static str) -> Self {
        let pair = Pair::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        Self { kid, pair }
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Es256(_) => "ES256",
            Pair::EdDsa(_) => "EdDSA",
            Pair::Rs256(_) => "RS256",
        }
    }

    pub(super) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])})
            }
            Pair::EdDsa(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())})
            }
            Pair::Rs256(pair) => {
                let key = pair.public_key();
                let n = key.modulus().big_endian_without_leading_zero();
                let e = key.exponent().big_endian_without_leading_zero();
                json!({"kty": "RSA", "n": encode(n), "e": encode(e)})
            }
        };
        jwk["kid"] = self.kid.into();
        jwk["alg"] = self.algorithm().into();
        jwk["use"] = "sig".into();
        jwk
    }

    pub(super) fn keys(&self) -> KeySet {
        key_set(&[self.jwk()])
    }

    pub(super) fn header(&self) -> Value {
        json!({"typ": "at+jwt", "alg": self.algorithm(), "kid": self.kid})
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Es256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }

    /// A token with this text as its header, and this as its payload.
    pub(super) fn token_of(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    pub(super) fn token(&self, claims: &Value) -> String {
        self.token_of(&self.header().to_string(), &claims.to_string())
    }

    /// A good token but for one member of its header; null takes it away.
    pub(super) fn token_with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header();
        if value.is_null() {
            header.as_object_mut().unwrap().remove(name);
        } else {
            header[name] = value;
        }
        self.token_of(&header.to_string(), &claims().to_string())
    }
}

pub(super) fn key_set(jwks: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
}
