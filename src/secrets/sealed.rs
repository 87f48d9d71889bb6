//! Sealed values: encrypted, authenticated, and each says which master key it is sealed under.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use secrecy::zeroize::Zeroizing;

use super::{OpenError, SealError};
use crate::random::{self, Random};

/// Bytes in a key id.
const KEY_ID_LEN: usize = 4;
/// One byte for the format, the key id, 12 bytes of nonce; then come ciphertext and tag (AES-256-GCM).
const HEADER_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;

/// What a sealed value is for. A value sealed for one purpose does not open for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A phone number at rest; bound to its blind index.
    Phone,
    /// A private signing key at rest; bound to its `kid`.
    SigningKey,
    /// The cookie of the tutorial's calls.
    Cookie,
    /// A code that was typed and whose answer from the provider is missing; bound to its hash.
    Guess,
    /// A reply kept for a repeated `Idempotency-Key`; bound to that key's fingerprint.
    Reply,
    /// The value of an operator's rule; bound to its hash.
    Rule,
    /// A refresh token that replaced another; bound to that one's hash.
    RefreshToken,
    /// Where a session is used; bound to its id.
    Session,
    /// A carried key at rest; bound to its name.
    CarriedKey,
}

/// Tells master keys apart. It is derived from the key, and is not secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub(super) [u8; KEY_ID_LEN]);

impl KeyId {
    /// Which key a sealed value is sealed under; `None` if it is not sealed by this service.
    pub fn of(sealed: &[u8]) -> Option<Self> {
        parts(sealed).ok().map(|parts| parts.id)
    }

    /// The bytes by which sealed values name it: their second to fifth.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for KeyId {
    type Error = OpenError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, OpenError> {
        bytes.try_into().ok().map(Self).ok_or(OpenError)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// First byte of every sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Under the master key from which the carried keys were derived: the version before there were
    /// carried keys reads it too.
    First,
    /// Under another one. That version derives all keys from the one it has, and would find no phone again:
    /// a value that it does not know keeps it from starting.
    Rotated,
}

impl Format {
    fn byte(self) -> u8 {
        match self {
            Self::First => 1,
            Self::Rotated => 2,
        }
    }
}

/// What stands in front of a sealed value, and the rest.
pub(super) struct Parts<'a> {
    pub(super) id: KeyId,
    nonce: [u8; NONCE_LEN],
    body: &'a [u8],
}

pub(super) fn parts(sealed: &[u8]) -> Result<Parts<'_>, OpenError> {
    let (format, rest) = sealed.split_first().ok_or(OpenError)?;
    if ![Format::First, Format::Rotated]
        .map(Format::byte)
        .contains(format)
    {
        return Err(OpenError);
    }
    let (id, rest) = rest.split_first_chunk().ok_or(OpenError)?;
    let (nonce, body) = rest.split_first_chunk().ok_or(OpenError)?;
    Ok(Parts {
        id: KeyId(*id),
        nonce: *nonce,
        body,
    })
}

/// A key to seal with, and the id by which values name it.
pub(super) struct Sealer {
    pub(super) id: KeyId,
    key: LessSafeKey,
}

impl Sealer {
    pub(super) fn new(id: KeyId, key: &[u8; 32]) -> Result<Self, Unspecified> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?);
        Ok(Self { id, key })
    }

    pub(super) fn seal(
        &self,
        format: Format,
        binding: &[u8],
        plaintext: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = random::bytes(random)?;
        let mut body = plaintext.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(binding),
                &mut body,
            )
            .map_err(|Unspecified| SealError::Cipher)?;
        let mut sealed = Vec::with_capacity(HEADER_LEN + body.len());
        sealed.push(format.byte());
        sealed.extend_from_slice(&self.id.0);
        sealed.extend_from_slice(&nonce);
        sealed.append(&mut body);
        Ok(sealed)
    }

    pub(super) fn open(
        &self,
        binding: &[u8],
        sealed: &Parts<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let mut body = Zeroizing::new(sealed.body.to_vec());
        let length = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(sealed.nonce),
                Aad::from(binding),
                &mut body,
            )
            .map_err(|Unspecified| OpenError)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}
