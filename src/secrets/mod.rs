//! Everything that is derived from a master key: blind indexes, sealed values, fingerprints and the key codes
//! are made with.
//!
//! Each purpose has its own key (HKDF-SHA256, RFC 5869), so a value made for one purpose is noise
//! for every other. Two kinds of keys, since a master key can be replaced ([`crate::master_key`]):
//!
//! - what seals is derived from each master key there is. A sealed value carries the id of the one that
//!   sealed it, `secrets.master_key` seals, and `secrets.other_master_keys` open as well;
//! - what hashes, and what seals for people outside, is [carried](CarriedKey): derived from the first master
//!   key, and kept.
//!
//! Only this module, `otp/code.rs` and `token/keys/` touch cryptography.

mod carried;
mod master;
mod sealed;

use std::fmt;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use secrecy::SecretBox;
use secrecy::zeroize::Zeroizing;

use crate::phone::PhoneNumber;
use crate::random::{Random, RandomUnavailable};
pub use carried::{CarriedKey, CarriedKeys};
pub use master::MasterKeys;
use sealed::{Format, Sealer};
pub use sealed::{KeyId, Purpose};

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
    masters: MasterKeys,
    /// How values are sealed, but for receipts.
    format: Format,
    phone_index: hmac::Key,
    code: hmac::Key,
    fingerprint: hmac::Key,
    lookup: hmac::Key,
    refresh_tag: hmac::Key,
    receipt: Sealer,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(***)")
    }
}

impl Keyring {
    /// Derives every working key from one 32-byte master key: what a database has that never had another.
    pub fn derive(master: &SecretBox<[u8; 32]>) -> Result<Self, DeriveError> {
        let masters = MasterKeys::derive(master, &[])?;
        let carried = masters.carried_from_current()?;
        Self::new(masters, &carried)
    }

    /// The keys of a database with these carried keys.
    pub fn new(masters: MasterKeys, carried: &CarriedKeys) -> Result<Self, DeriveError> {
        let mac = |key: CarriedKey| hmac::Key::new(hmac::HMAC_SHA256, carried.expose(key));
        Ok(Self {
            format: masters.format(carried.origin()),
            masters,
            phone_index: mac(CarriedKey::PhoneIndex),
            code: mac(CarriedKey::Code),
            fingerprint: mac(CarriedKey::Fingerprint),
            lookup: mac(CarriedKey::Lookup),
            refresh_tag: mac(CarriedKey::RefreshTag),
            receipt: Sealer::new(carried.origin(), carried.expose(CarriedKey::Receipt))
                .map_err(|Unspecified| DeriveError)?,
        })
    }

    /// The master key that seals.
    pub fn master(&self) -> KeyId {
        self.masters.current()
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
        self.masters
            .seal(self.format, purpose, binding, plaintext, random)
    }

    /// Opens a value that [`Self::seal`] made for the same purpose and binding.
    pub fn open(
        &self,
        purpose: Purpose,
        binding: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.masters.open(purpose, binding, sealed)
    }

    /// Seals the content of a device receipt. It is with its holder for months, so its key is a carried one,
    /// and it looks the same whatever the master key.
    pub(crate) fn seal_receipt(
        &self,
        phone: PhoneIndex,
        plaintext: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        self.receipt
            .seal(Format::First, phone.as_bytes(), plaintext, random)
    }

    /// Opens what [`Self::seal_receipt`] made for the same phone.
    pub(crate) fn open_receipt(
        &self,
        phone: PhoneIndex,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let parts = sealed::parts(sealed)?;
        if parts.id != self.receipt.id {
            return Err(OpenError);
        }
        self.receipt.open(phone.as_bytes(), &parts)
    }

    /// Opens a phone number that was sealed for its blind index.
    pub fn open_phone(&self, index: &[u8], sealed: &[u8]) -> Result<PhoneNumber, OpenError> {
        let opened = self.open(Purpose::Phone, index, sealed)?;
        let number = std::str::from_utf8(&opened).ok();
        number
            .and_then(|number| PhoneNumber::from_stored_e164(number).ok())
            .ok_or(OpenError)
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

#[cfg(test)]
mod tests;
