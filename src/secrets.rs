//! Everything that is derived from the one master key: blind indexes, sealed values, fingerprints
//! and the key codes are made with.
//!
//! Each purpose has its own key (HKDF-SHA256, RFC 5869), so a value made for one purpose is noise
//! for every other. Sealed values carry the id of the master key that sealed them, so that a later
//! rotation can tell old rows from new ones. Only this module, `otp/code.rs` and `token/keys/`
//! touch cryptography.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{hkdf, hmac};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox};

use crate::phone::PhoneNumber;
use crate::random::{self, Random, RandomUnavailable};

/// First byte of every sealed value: AES-256-GCM, 4-byte key id, 12-byte nonce, ciphertext, tag.
const SEALED_VERSION: u8 = 1;
/// Bytes in a key id. It only tells keys apart and is not secret.
const KEY_ID_LEN: usize = 4;
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
    /// A device receipt; bound to the phone's blind index.
    Receipt,
    /// The value of an operator's rule; bound to its hash.
    Rule,
    /// A refresh token that replaced another; bound to that one's hash.
    RefreshToken,
    /// Where a session is used; bound to its id.
    Session,
}

/// A sealed value did not open: wrong key, wrong purpose, wrong binding, or not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open")]
pub struct OpenError;

/// Sealing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No nonce could be drawn.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// The cipher refused the input (longer than AES-GCM allows).
    #[error("the value cannot be sealed")]
    Cipher,
}

/// The master key could not be expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the master key cannot be expanded into working keys")]
pub struct DeriveError;

/// Keyed hash of a phone number: the same number gives the same index, and without the master key
/// nobody can tell which number it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PhoneIndex([u8; 32]);

impl PhoneIndex {
    /// The bytes to look rows up by.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for PhoneIndex {
    type Error = OpenError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, OpenError> {
        bytes.try_into().ok().map(Self).ok_or(OpenError)
    }
}

impl fmt::Debug for PhoneIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneIndex(***)")
    }
}

/// The working keys of this process.
pub struct Keyring {
    key_id: [u8; KEY_ID_LEN],
    phone_index: hmac::Key,
    code: hmac::Key,
    fingerprint: hmac::Key,
    seal_phone: LessSafeKey,
    seal_signing_key: LessSafeKey,
    seal_cookie: LessSafeKey,
    seal_guess: LessSafeKey,
    seal_reply: LessSafeKey,
    lookup: hmac::Key,
    seal_receipt: LessSafeKey,
    seal_rule: LessSafeKey,
    refresh_tag: hmac::Key,
    seal_refresh_token: LessSafeKey,
    seal_session: LessSafeKey,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(***)")
    }
}

impl Keyring {
    /// Derives every working key from the 32-byte master key.
    pub fn derive(master: &SecretBox<[u8; 32]>) -> Result<Self, DeriveError> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"otp-auth");
        let prk = salt.extract(master.expose_secret());
        Ok(Self {
            key_id: expand(&prk, "key id v1")?,
            phone_index: mac_key(&prk, "phone index v1")?,
            code: mac_key(&prk, "one-time code v1")?,
            fingerprint: mac_key(&prk, "idempotency fingerprint v1")?,
            seal_phone: aead_key(&prk, "seal phone v1")?,
            seal_signing_key: aead_key(&prk, "seal signing key v1")?,
            seal_cookie: aead_key(&prk, "seal cookie v1")?,
            seal_guess: aead_key(&prk, "seal guess v1")?,
            seal_reply: aead_key(&prk, "seal reply v1")?,
            lookup: mac_key(&prk, "lookup v1")?,
            seal_receipt: aead_key(&prk, "seal receipt v1")?,
            seal_rule: aead_key(&prk, "seal rule v1")?,
            refresh_tag: mac_key(&prk, "refresh token tag v1")?,
            seal_refresh_token: aead_key(&prk, "seal refresh token v1")?,
            seal_session: aead_key(&prk, "seal session v1")?,
        })
    }

    /// The blind index of a phone number.
    pub fn phone_index(&self, phone: &PhoneNumber) -> PhoneIndex {
        PhoneIndex(tag(&self.phone_index, &[phone.as_e164().as_bytes()]))
    }

    /// HMAC-SHA256 under the code key, over length-prefixed parts.
    pub(crate) fn code_tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        tag(&self.code, parts)
    }

    /// HMAC-SHA256 by which a refresh token is known as ours.
    pub(crate) fn refresh_tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        tag(&self.refresh_tag, parts)
    }

    /// A keyed hash for comparing values that must not be kept, such as request bodies with a
    /// phone number in them.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        tag(&self.fingerprint, parts)
    }

    /// A keyed hash to find rows by whose value must not be stored, such as an address. `kind` keeps
    /// the values of one table apart from those of another.
    pub fn lookup(&self, kind: &'static str, value: &[u8]) -> [u8; 32] {
        tag(&self.lookup, &[kind.as_bytes(), value])
    }

    /// Encrypts and authenticates `plaintext`; `binding` must be given again to open it.
    ///
    /// Nonces are random: NIST SP 800-38D section 8.3 allows 2^32 seals under one key, which is
    /// six years of 20 a second.
    pub fn seal(
        &self,
        purpose: Purpose,
        binding: &[u8],
        plaintext: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = random::bytes(random)?;
        let mut body = plaintext.to_vec();
        self.key(purpose)
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(binding),
                &mut body,
            )
            .map_err(|Unspecified| SealError::Cipher)?;
        let mut sealed = Vec::with_capacity(HEADER_LEN + body.len());
        sealed.push(SEALED_VERSION);
        sealed.extend_from_slice(&self.key_id);
        sealed.extend_from_slice(&nonce);
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens a value that [`Self::seal`] made for the same purpose and binding.
    pub fn open(
        &self,
        purpose: Purpose,
        binding: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let rest = sealed.strip_prefix(&[SEALED_VERSION]).ok_or(OpenError)?;
        let rest = rest.strip_prefix(&self.key_id).ok_or(OpenError)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenError)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self
            .key(purpose)
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(binding),
                &mut body,
            )
            .map_err(|Unspecified| OpenError)?
            .len();
        body.truncate(length);
        Ok(body)
    }

    /// Opens a phone number that was sealed for its blind index.
    pub fn open_phone(&self, index: &[u8], sealed: &[u8]) -> Result<PhoneNumber, OpenError> {
        let opened = self.open(Purpose::Phone, index, sealed)?;
        let number = std::str::from_utf8(&opened).ok();
        number
            .and_then(|number| PhoneNumber::from_stored_e164(number).ok())
            .ok_or(OpenError)
    }

    fn key(&self, purpose: Purpose) -> &LessSafeKey {
        match purpose {
            Purpose::Phone => &self.seal_phone,
            Purpose::SigningKey => &self.seal_signing_key,
            Purpose::Cookie => &self.seal_cookie,
            Purpose::Guess => &self.seal_guess,
            Purpose::Reply => &self.seal_reply,
            Purpose::Receipt => &self.seal_receipt,
            Purpose::Rule => &self.seal_rule,
            Purpose::RefreshToken => &self.seal_refresh_token,
            Purpose::Session => &self.seal_session,
        }
    }
}

/// HMAC over parts, each behind its length, so that no two lists of parts collide.
fn tag(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        context.update(&length.to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    for (byte, source) in out.iter_mut().zip(context.sign().as_ref()) {
        *byte = *source;
    }
    out
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(prk: &hkdf::Prk, info: &str) -> Result<[u8; N], DeriveError> {
    let mut out = [0; N];
    prk.expand(&[info.as_bytes()], Length(N))
        .and_then(|okm| okm.fill(&mut out))
        .map_err(|Unspecified| DeriveError)?;
    Ok(out)
}

fn mac_key(prk: &hkdf::Prk, info: &str) -> Result<hmac::Key, DeriveError> {
    let bytes = Zeroizing::new(expand::<32>(prk, info)?);
    Ok(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice()))
}

fn aead_key(prk: &hkdf::Prk, info: &str) -> Result<LessSafeKey, DeriveError> {
    let bytes = Zeroizing::new(expand::<32>(prk, info)?);
    let key = UnboundKey::new(&AES_256_GCM, bytes.as_slice()).map_err(|Unspecified| DeriveError)?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    fn keyring(byte: u8) -> Keyring {
        Keyring::derive(&SecretBox::new(Box::new([byte; 32]))).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_only_with_its_key_purpose_and_binding() {
        let ring = keyring(1);
        let sealed = ring
            .seal(Purpose::Phone, b"row", b"+919876543210", &SystemRandom)
            .unwrap();

        let opened = ring.open(Purpose::Phone, b"row", &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"+919876543210");
        assert_eq!(
            keyring(2).open(Purpose::Phone, b"row", &sealed),
            Err(OpenError)
        );
        assert_eq!(ring.open(Purpose::Cookie, b"row", &sealed), Err(OpenError));
        assert_eq!(ring.open(Purpose::Phone, b"other", &sealed), Err(OpenError));
    }

    #[test]
    fn a_sealed_value_with_any_byte_changed_or_cut_does_not_open() {
        let ring = keyring(1);
        let sealed = ring
            .seal(Purpose::Cookie, b"", b"value", &SystemRandom)
            .unwrap();

        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert_eq!(
                ring.open(Purpose::Cookie, b"", &bent),
                Err(OpenError),
                "byte {at}"
            );
            let cut = &sealed[..at];
            assert_eq!(
                ring.open(Purpose::Cookie, b"", cut),
                Err(OpenError),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn a_sealed_value_never_repeats_and_never_shows_its_content() {
        let ring = keyring(1);
        let seal = || {
            ring.seal(Purpose::Phone, b"", b"+919876543210", &SystemRandom)
                .unwrap()
        };

        let (one, two) = (seal(), seal());

        assert_ne!(one, two);
        assert!(!one.windows(6).any(|part| part == b"987654"));
    }

    #[test]
    fn fingerprints_tell_apart_parts_that_join_to_the_same_bytes() {
        let ring = keyring(1);

        assert_ne!(
            ring.fingerprint(&[b"ab", b"c"]),
            ring.fingerprint(&[b"a", b"bc"])
        );
        assert_eq!(
            ring.fingerprint(&[b"ab", b"c"]),
            ring.fingerprint(&[b"ab", b"c"])
        );
    }

    #[test]
    fn debug_output_shows_no_key_and_no_index() {
        let index = PhoneIndex([7; 32]);

        assert_eq!(
            format!("{:?} {index:?}", keyring(9)),
            "Keyring(***) PhoneIndex(***)"
        );
    }
}
