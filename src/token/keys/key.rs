//! One signing key: made, read, and its public half as a JWK.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use secrecy::zeroize::Zeroizing;

use super::{KeyError, der};

/// How access tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4).
    Es256,
    /// Ed25519 (RFC 8037 section 3.1).
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3), with keys of 3072 bits.
    Rs256,
}

impl SigningAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// Its name in the `alg` header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    const fn of_header(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
            Self::Rs256 => Algorithm::RS256,
        }
    }
}

/// A private key as it is kept: PKCS #8, version 1. It cannot be printed.
pub(super) struct PrivateKey {
    pub(super) algorithm: SigningAlgorithm,
    pub(super) der: Zeroizing<Vec<u8>>,
}

impl PrivateKey {
    pub(super) fn new(algorithm: SigningAlgorithm, der: &[u8]) -> Self {
        let der = Zeroizing::new(der.to_vec());
        Self { algorithm, der }
    }

    /// A new key. For RS256 that takes a second or so of pure computing.
    pub(super) fn generate(algorithm: SigningAlgorithm) -> Result<Self, KeyError> {
        let made = match algorithm {
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| Self::from_ec(&pair)),
            SigningAlgorithm::EdDsa => {
                Ed25519KeyPair::generate().and_then(|pair| Self::from_ed25519(&pair))
            }
            SigningAlgorithm::Rs256 => {
                rsa::KeyPair::generate(KeySize::Rsa3072).and_then(|pair| Self::from_rsa(&pair))
            }
        };
        made.map_err(|Unspecified| KeyError::Generate)
    }

    pub(super) fn from_ec(pair: &EcdsaKeyPair) -> Result<Self, Unspecified> {
        let der = pair.to_pkcs8v1()?;
        Ok(Self::new(SigningAlgorithm::Es256, der.as_ref()))
    }

    /// Version 2, which holds the public key too, is not what `jsonwebtoken` reads.
    pub(super) fn from_ed25519(pair: &Ed25519KeyPair) -> Result<Self, Unspecified> {
        let der = pair.to_pkcs8v1()?;
        Ok(Self::new(SigningAlgorithm::EdDsa, der.as_ref()))
    }

    pub(super) fn from_rsa(pair: &rsa::KeyPair) -> Result<Self, Unspecified> {
        let der: Pkcs8V1Der<'static> = pair.as_der()?;
        Ok(Self::new(SigningAlgorithm::Rs256, der.as_ref()))
    }
}

/// A key that signs.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    private: EncodingKey,
    /// The same of ES256, read: `jsonwebtoken` reads a key anew for each token, which takes as long as half of an ECDSA
    /// signature.
    pair: Option<EcdsaKeyPair>,
    public: Jwk,
}

impl SigningKey {
    /// What tokens and the JWKS name it by: the RFC 7638 thumbprint of the public key, unless it was
    /// imported under another name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm this key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The signature of a message, in base64url.
    pub(in crate::token) fn sign(&self, message: &[u8]) -> jsonwebtoken::errors::Result<String> {
        let Some(pair) = &self.pair else {
            return crypto::sign(message, &self.private, self.algorithm);
        };
        let signature = pair.sign(&SystemRandom::new(), message);
        let signature =
            signature.map_err(|error: Unspecified| ErrorKind::Signing(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(signature))
    }

    pub(super) fn public(&self) -> &Jwk {
        &self.public
    }

    /// Reads a private key; `kid` is its name, or else it is its thumbprint.
    pub(super) fn read(key: &PrivateKey, kid: Option<&str>) -> Result<Self, KeyError> {
        let private = match key.algorithm {
            SigningAlgorithm::Es256 => EncodingKey::from_ec_der(&key.der),
            SigningAlgorithm::EdDsa => EncodingKey::from_ed_der(&key.der),
            // RFC 8017's form is what `jsonwebtoken` reads.
            SigningAlgorithm::Rs256 => {
                EncodingKey::from_rsa_der(der::inner_key(&key.der).ok_or(KeyError::NotRsa)?)
            }
        };
        let algorithm = key.algorithm.of_header();
        let mut public = Jwk::from_encoding_key(&private, algorithm).map_err(KeyError::Unusable)?;
        let thumbprint = || public.thumbprint(ThumbprintHash::SHA256);
        let kid = match kid {
            Some(kid) => kid.to_owned(),
            None => thumbprint().map_err(KeyError::Unusable)?,
        };
        let pair = match key.algorithm {
            SigningAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.der);
                let unusable =
                    |_: KeyRejected| KeyError::Unusable(ErrorKind::InvalidEcdsaKey.into());
                Some(pair.map_err(unusable)?)
            }
            SigningAlgorithm::EdDsa | SigningAlgorithm::Rs256 => None,
        };
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self {
            kid,
            algorithm,
            private,
            pair,
            public,
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
