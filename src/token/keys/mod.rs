//! Signing keys: made once under a lock, kept sealed, published as a JWK set.

use std::sync::Arc;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};
use secrecy::zeroize::Zeroizing;
use sqlx::PgPool;

use super::store;
use crate::database::StoreError;
use crate::random::Random;
use crate::secrets::{Keyring, OpenError, Purpose, SealError};
use crate::verifier::{KeySet, KeySetError};

/// Signing keys could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No key pair could be made.
    #[error("no signing key could be made")]
    Generate,
    /// The key is not one that tokens can be signed with.
    #[error("the signing key cannot be used")]
    Unusable(#[source] jsonwebtoken::errors::Error),
    /// The key could not be sealed.
    #[error("the signing key cannot be sealed")]
    Seal(#[from] SealError),
    /// The stored key does not open: `secrets.master_key` is not the one it was sealed with.
    #[error(
        "the signing key in the database was sealed with another secrets.master_key; \
         start with that one, or with an empty database"
    )]
    WrongMasterKey,
    /// The JWK set could not be written.
    #[error("the JWK set cannot be written")]
    Publish(#[source] serde_json::Error),
    /// The JWK set cannot be read back.
    #[error("the JWK set cannot be read back")]
    Verify(#[source] KeySetError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key that signs.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    private: EncodingKey,
    public: Jwk,
}

impl SigningKey {
    /// The RFC 7638 thumbprint of the public key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm this key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn private(&self) -> &EncodingKey {
        &self.private
    }

    /// Reads a PKCS #8 P-256 key.
    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let algorithm = Algorithm::ES256;
        let private = EncodingKey::from_ec_der(der);
        let mut public = Jwk::from_encoding_key(&private, algorithm).map_err(KeyError::Unusable)?;
        let kid = public
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(KeyError::Unusable)?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self {
            kid,
            algorithm,
            private,
            public,
        })
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// The keys of this deployment, and their public halves ready to serve.
#[derive(Debug)]
pub struct SigningKeys {
    active: Arc<SigningKey>,
    jwks: Vec<u8>,
    etag: String,
    verifying: Arc<KeySet>,
}

impl SigningKeys {
    /// Reads the signing key; the first process to find none makes it, under a lock that makes
    /// the others wait and read the same one.
    pub async fn load_or_create(
        pool: &PgPool,
        keyring: &Keyring,
        random: &dyn Random,
        now: DateTime<Utc>,
    ) -> Result<Self, KeyError> {
        let fresh = || {
            let der = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| pair.to_pkcs8v1())
                .map_err(|Unspecified| KeyError::Generate)?;
            let der = Zeroizing::new(der.as_ref().to_vec());
            let kid = SigningKey::from_pkcs8(&der)?.kid;
            let sealed = keyring.seal(Purpose::SigningKey, kid.as_bytes(), &der, random)?;
            Ok::<_, KeyError>((kid, sealed))
        };
        let stored = store::read_or_insert(pool, random, now, fresh).await?;
        let der = keyring
            .open(
                Purpose::SigningKey,
                stored.kid.as_bytes(),
                &stored.private_sealed,
            )
            .map_err(|OpenError| KeyError::WrongMasterKey)?;
        Self::publish(SigningKey::from_pkcs8(&der)?)
    }

    fn publish(active: SigningKey) -> Result<Self, KeyError> {
        let set = JwkSet {
            keys: vec![active.public.clone()],
        };
        let jwks = serde_json::to_vec(&set).map_err(KeyError::Publish)?;
        // The thumbprints say all that can change in the document.
        let etag = active.kid.clone();
        let verifying = Arc::new(KeySet::parse(&jwks).map_err(KeyError::Verify)?);
        Ok(Self {
            active: Arc::new(active),
            jwks,
            etag,
            verifying,
        })
    }

    /// The key that signs now.
    pub fn active(&self) -> &Arc<SigningKey> {
        &self.active
    }

    /// The published keys, to check tokens with.
    pub fn verifying(&self) -> Arc<KeySet> {
        Arc::clone(&self.verifying)
    }

    /// The JWK set (RFC 7517 section 5) as JSON.
    pub fn jwks(&self) -> &[u8] {
        &self.jwks
    }

    /// Changes exactly when [`Self::jwks`] does.
    pub fn etag(&self) -> &str {
        &self.etag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        SigningKey::from_pkcs8(pair.to_pkcs8v1().unwrap().as_ref()).unwrap()
    }

    /// security.md 24: one alg a key, `kid`, `use: sig`, no private member.
    #[test]
    fn the_published_key_has_its_public_members_and_no_other() {
        let key = key();
        let kid = key.kid().to_owned();

        let keys = SigningKeys::publish(key).unwrap();

        let json: serde_json::Value = serde_json::from_slice(keys.jwks()).unwrap();
        let jwk = json["keys"][0].as_object().unwrap();
        let mut members: Vec<&str> = jwk.keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        assert_eq!(jwk["alg"], "ES256");
        assert_eq!(jwk["use"], "sig");
        assert_eq!(jwk["crv"], "P-256");
        assert_eq!(jwk["kid"], kid.as_str());
    }

    #[test]
    fn bytes_that_are_no_key_are_refused() {
        assert!(matches!(
            SigningKey::from_pkcs8(b"no key"),
            Err(KeyError::Unusable(_))
        ));
    }
}
