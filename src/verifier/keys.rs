//! The issuer's public keys, each with the one algorithm it is for.

use std::collections::{HashMap, HashSet};
use std::fmt;

#[cfg(feature = "server")]
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jws::decode;

/// How a token may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4).
    Es256,
    /// Ed25519 (RFC 8037 section 3.1).
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3).
    Rs256,
}

impl Algorithm {
    /// Names are compared with case (RFC 7515 section 4.1.1); of `none` and the MACs there is none.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

/// Not a JWK set.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON, or not an object with a list of `keys` (RFC 7517 section 5).
    #[error("this is no JWK set")]
    NotASet(#[from] serde_json::Error),
}

/// A public key, read and checked once.
pub(super) struct Key {
    algorithm: Algorithm,
    public: ParsedPublicKey,
}

impl Key {
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the holder of this key signed these bytes, with the key's algorithm.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }

    /// The key of a JWK, if it is one that may check tokens.
    pub(super) fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        // A private key that was published is everybody's.
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]
            .iter()
            .any(|private| jwk.contains_key(*private))
        {
            return None;
        }
        if jwk.get("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array()?.iter().any(|name| name == "verify")
        {
            return None;
        }
        let text = |name| jwk.get(name).and_then(Value::as_str);
        let bytes = |name| text(name).and_then(decode);
        let (algorithm, public) = match (text("kty")?, text("crv")) {
            ("EC", Some("P-256")) => (Algorithm::Es256, p256(&bytes("x")?, &bytes("y")?)?),
            ("OKP", Some("Ed25519")) => (
                Algorithm::EdDsa,
                // It takes the DER form too, which no JWK has.
                ParsedPublicKey::new(&ED25519, exactly_32(&bytes("x")?)?).ok()?,
            ),
            ("RSA", None) => (Algorithm::Rs256, rsa(&bytes("n")?, &bytes("e")?)?),
            _ => return None,
        };
        match jwk.get("alg") {
            Some(alg) if Algorithm::from_name(alg.as_str()?)? != algorithm => None,
            Some(_) | None => Some(Self { algorithm, public }),
        }
    }
}

fn exactly_32(bytes: &[u8]) -> Option<&[u8]> {
    (bytes.len() == 32).then_some(bytes)
}

/// The point of a JWK (RFC 7518 section 6.2.1) in the uncompressed form of SEC 1; refused if it is not
/// on the curve.
fn p256(x: &[u8], y: &[u8]) -> Option<ParsedPublicKey> {
    let point = [&[4], exactly_32(x)?, exactly_32(y)?].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
}

/// An RSA key of 2048 (RFC 7518 section 3.3) to 8192 bits. Numbers are written without leading zeros
/// (RFC 7518 section 6.3.1), so the first byte tells the length.
fn rsa(n: &[u8], e: &[u8]) -> Option<ParsedPublicKey> {
    let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
    if *n.first()? == 0 || *e.first()? == 0 || !(2048..=8192).contains(&bits) {
        return None;
    }
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .ok()
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

/// A JWK set (RFC 7517 section 5): from the `kid` to one key and its one algorithm.
#[derive(Default)]
pub struct KeySet {
    keys: HashMap<String, Key>,
}

impl KeySet {
    /// Reads a JWK set, and of it the keys that may check tokens: P-256 for ES256, Ed25519 for
    /// `EdDSA`, RSA of 2048 to 8192 bits for RS256. `alg` may be left out; it follows from the key.
    ///
    /// The others are skipped, for a set may hold keys for others (RFC 7517 section 5): those without
    /// `kid`, for another use, of an unknown kind, or with a private or symmetric member. Where two
    /// usable keys have the same `kid`, neither is taken: which of them a token means would be a guess.
    pub fn parse(jwks: &[u8]) -> Result<Self, KeySetError> {
        let Jwks { keys: all } = serde_json::from_slice(jwks)?;
        let mut keys = HashMap::new();
        let mut ambiguous = HashSet::new();
        for jwk in all {
            let Value::Object(jwk) = jwk else {
                continue;
            };
            let Some(kid) = jwk.get("kid").and_then(Value::as_str) else {
                continue;
            };
            if let Some(key) = Key::from_jwk(&jwk)
                && keys.insert(kid.to_owned(), key).is_some()
            {
                ambiguous.insert(kid.to_owned());
            }
        }
        keys.retain(|kid, _| !ambiguous.contains(kid));
        Ok(Self { keys })
    }

    /// Whether a token may name this `kid`.
    pub fn contains(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }

    /// The key of this `kid` as X.509 has it (RFC 5280 section 4.1, `SubjectPublicKeyInfo`), in DER.
    #[cfg(feature = "server")]
    pub(crate) fn public_der(&self, kid: &str) -> Option<Vec<u8>> {
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&self.get(kid)?.public).ok()?;
        Some(der.as_ref().to_vec())
    }

    /// How many keys there are.
    #[cfg(feature = "server")]
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no token at all can be checked.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn get(&self, kid: &str) -> Option<&Key> {
        self.keys.get(kid)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms = self.keys.iter().map(|(kid, key)| (kid, key.algorithm));
        f.debug_map().entries(algorithms).finish()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
