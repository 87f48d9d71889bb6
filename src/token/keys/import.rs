//! Reads a private key that was made elsewhere: PEM or JWK. A key that is not as safe as one made here,
//! or not whole, is refused with a reason that a person can act on.

use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;

use super::der::{self, Kind};
use super::key::PrivateKey;
use super::{SigningAlgorithm, SigningKey, jwk};

/// Least bits of an RSA modulus: 128 bits of security (NIST SP 800-57 part 1, table 2).
const RSA_BITS_MIN: usize = 3072;
/// Least bits of an RSA public exponent: more than 2^16 (FIPS 186-5 appendix A.1.1).
const RSA_EXPONENT_BITS_MIN: usize = 17;
/// Longest `kid`, in characters; our own figure, three times a thumbprint.
const LONGEST_KID: usize = 128;

/// Why a key is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Neither PEM nor JSON.
    #[error("it is neither PEM nor a JWK")]
    Format,
    /// PEM or JSON that breaks off, or with other letters than it may have.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It needs a passphrase.
    #[error("it is encrypted; decrypt it first, such as with: openssl pkey -in FILE -out PLAIN")]
    Encrypted,
    /// No private half.
    #[error("it is a public key only; give the private one")]
    PublicOnly,
    /// A JWK of type `oct`.
    #[error("it is a symmetric key, which everybody who checks tokens could also sign them with")]
    Symmetric,
    /// An elliptic curve other than P-256 and Ed25519.
    #[error("its curve is not one for ES256 (P-256) or EdDSA (Ed25519)")]
    Curve,
    /// Not a kind of key that signs tokens here.
    #[error("it is neither an EC, an Ed25519 nor an RSA key")]
    Kind,
    /// Several keys in one JWK set.
    #[error("it is a set of keys; give one of them")]
    Set,
    /// An RSA key that is too short.
    #[error("it is an RSA key of {0} bits; at least 3072 are needed")]
    Short(usize),
    /// An RSA key whose public exponent is 3 or the like.
    #[error("its public exponent is too small; 65537 is the usual one")]
    Exponent,
    /// A JWK lacks a member.
    #[error("the JWK has no member {0:?}, or it is not base64url")]
    Member(&'static str),
    /// A JWK says that it is for something else.
    #[error("the JWK is not for signing with this kind of key: see its {0:?}")]
    Purpose(&'static str),
    /// Its parts do not belong together, or are no key.
    #[error("its parts do not belong together, or are no key")]
    Inconsistent,
    /// The name cannot be one.
    #[error("its kid must be 1 to 128 visible ASCII characters; give another one with --kid")]
    Kid,
}

impl From<KeyRejected> for ImportError {
    fn from(_: KeyRejected) -> Self {
        Self::Inconsistent
    }
}

impl From<Unspecified> for ImportError {
    fn from(_: Unspecified) -> Self {
        Self::Inconsistent
    }
}

/// A private key to import, and its name. It cannot be printed.
pub struct Import {
    pub(super) kid: String,
    pub(super) key: PrivateKey,
}

impl std::fmt::Debug for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl Import {
    /// Reads a file. `kid` names the key, or else the JWK does, or else it is the thumbprint.
    pub fn read(file: &[u8], kid: Option<&str>) -> Result<Self, ImportError> {
        let text = std::str::from_utf8(file).or(Err(ImportError::Format))?;
        let (key, own_kid) = if text.trim_start().starts_with('{') {
            let read = jwk::read(text)?;
            (read.key, read.kid)
        } else {
            (pem(text)?, None)
        };
        let kid = kid.map(str::to_owned).or(own_kid);
        if kid.as_deref().is_some_and(|kid| !is_kid(kid)) {
            return Err(ImportError::Kid);
        }
        let named = SigningKey::read(&key, kid.as_deref()).or(Err(ImportError::Inconsistent))?;
        let kid = named.kid().to_owned();
        Ok(Self { kid, key })
    }

    /// What it signs with.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.key.algorithm
    }

    /// Its name.
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

fn is_kid(text: &str) -> bool {
    (1..=LONGEST_KID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The one private key in a PEM file (RFC 7468). `openssl ecparam` writes the curve's name before it.
fn pem(text: &str) -> Result<PrivateKey, ImportError> {
    const BEGIN: &str = "-----BEGIN ";
    let mut rest = text;
    let mut has_public = false;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let cut_short = || ImportError::Damaged("a line of PEM is missing");
        let (label, after) = after.split_once("-----").ok_or_else(cut_short)?;
        let end = format!("-----END {label}-----");
        let (body, after) = after.split_once(end.as_str()).ok_or_else(cut_short)?;
        rest = after;
        match label {
            "PRIVATE KEY" => return pkcs8(&base64(body)?),
            "EC PRIVATE KEY" => return sec1(&base64(body)?),
            "RSA PRIVATE KEY" => return pkcs1(&base64(body)?),
            "ENCRYPTED PRIVATE KEY" => return Err(ImportError::Encrypted),
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => has_public = true,
            "EC PARAMETERS" => {}
            _ => return Err(ImportError::Kind),
        }
    }
    Err(if has_public {
        ImportError::PublicOnly
    } else {
        ImportError::Format
    })
}

fn base64(body: &str) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    // RFC 1421's headers; the one that is still met says that the key is encrypted.
    if body.contains("ENCRYPTED") {
        return Err(ImportError::Encrypted);
    }
    let letters = body.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let letters = Zeroizing::new(letters.collect::<Vec<u8>>());
    let bytes = STANDARD.decode(letters.as_slice());
    let bytes = bytes.or(Err(ImportError::Damaged("it is not base64")))?;
    Ok(Zeroizing::new(bytes))
}

fn pkcs8(der: &[u8]) -> Result<PrivateKey, ImportError> {
    match der::kind(der).ok_or(ImportError::Damaged("it is no PKCS #8"))? {
        Kind::Rsa => pkcs1(der::inner_key(der).ok_or(ImportError::Inconsistent)?),
        Kind::P256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)?;
            Ok(PrivateKey::from_ec(&pair)?)
        }
        Kind::Ed25519 => Ok(PrivateKey::from_ed25519(&Ed25519KeyPair::from_pkcs8(der)?)?),
        Kind::OtherCurve => Err(ImportError::Curve),
        Kind::Other => Err(ImportError::Kind),
    }
}

/// RFC 5915.
fn sec1(der: &[u8]) -> Result<PrivateKey, ImportError> {
    if der::is_of_other_curve(der) {
        return Err(ImportError::Curve);
    }
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)?;
    Ok(PrivateKey::from_ec(&pair)?)
}

/// RFC 8017 appendix A.1.2.
fn pkcs1(der: &[u8]) -> Result<PrivateKey, ImportError> {
    let damaged = ImportError::Damaged("it is no RSA key");
    let (modulus, exponent) = der::rsa_public(der).ok_or(damaged)?;
    check_rsa(modulus, exponent)?;
    Ok(PrivateKey::from_rsa(&rsa::KeyPair::from_der(der)?)?)
}

pub(super) fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), ImportError> {
    let bits = der::bits(modulus);
    if bits < RSA_BITS_MIN {
        return Err(ImportError::Short(bits));
    }
    if der::bits(exponent) < RSA_EXPONENT_BITS_MIN {
        return Err(ImportError::Exponent);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
