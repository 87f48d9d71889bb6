//! Keys that outlive the master key they were derived from: to change them would lose what was hashed with
//! them. They lie sealed in the database (`crate::master_key`), and move to the next master key as they are.

use secrecy::zeroize::Zeroizing;

use super::sealed::KeyId;

/// A key that is carried from one master key to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarriedKey {
    /// Blind indexes of phone numbers: of users, limits, rules in memory, the audit log.
    PhoneIndex,
    /// Codes: replicas with different master keys must make the same code of a request.
    Code,
    /// Fingerprints of `Idempotency-Key`s and bodies, and of codes that a provider is asked about.
    Fingerprint,
    /// Hashes of addresses, of number prefixes and of the values of rules.
    Lookup,
    /// What tells a refresh token of ours without a statement.
    RefreshTag,
    /// Device receipts, which are with their holders for months.
    Receipt,
}

impl CarriedKey {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::PhoneIndex,
        Self::Code,
        Self::Fingerprint,
        Self::Lookup,
        Self::RefreshTag,
        Self::Receipt,
    ];

    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::PhoneIndex => "phone_index",
            Self::Code => "code",
            Self::Fingerprint => "fingerprint",
            Self::Lookup => "lookup",
            Self::RefreshTag => "refresh_tag",
            Self::Receipt => "receipt",
        }
    }

    /// What its derivation from the first master key is told apart by; never to be changed.
    pub(super) fn info(self) -> &'static str {
        match self {
            Self::PhoneIndex => "phone index v1",
            Self::Code => "one-time code v1",
            Self::Fingerprint => "idempotency fingerprint v1",
            Self::Lookup => "lookup v1",
            Self::RefreshTag => "refresh token tag v1",
            Self::Receipt => "seal receipt v1",
        }
    }
}

/// The bytes of a key.
pub(super) type Raw = Zeroizing<[u8; 32]>;

/// All carried keys. They cannot be printed.
pub struct CarriedKeys {
    /// The master key from which they were derived.
    pub(super) origin: KeyId,
    pub(super) phone_index: Raw,
    pub(super) code: Raw,
    pub(super) fingerprint: Raw,
    pub(super) lookup: Raw,
    pub(super) refresh_tag: Raw,
    pub(super) receipt: Raw,
}

impl CarriedKeys {
    /// Collects them, from wherever they are.
    pub fn collect<E>(
        origin: KeyId,
        mut key: impl FnMut(CarriedKey) -> Result<Zeroizing<[u8; 32]>, E>,
    ) -> Result<Self, E> {
        Ok(Self {
            origin,
            phone_index: key(CarriedKey::PhoneIndex)?,
            code: key(CarriedKey::Code)?,
            fingerprint: key(CarriedKey::Fingerprint)?,
            lookup: key(CarriedKey::Lookup)?,
            refresh_tag: key(CarriedKey::RefreshTag)?,
            receipt: key(CarriedKey::Receipt)?,
        })
    }

    /// The id of the master key from which they were derived.
    pub fn origin(&self) -> KeyId {
        self.origin
    }

    /// The bytes of one, to be sealed.
    pub fn expose(&self, key: CarriedKey) -> &[u8; 32] {
        match key {
            CarriedKey::PhoneIndex => &self.phone_index,
            CarriedKey::Code => &self.code,
            CarriedKey::Fingerprint => &self.fingerprint,
            CarriedKey::Lookup => &self.lookup,
            CarriedKey::RefreshTag => &self.refresh_tag,
            CarriedKey::Receipt => &self.receipt,
        }
    }
}

impl std::fmt::Debug for CarriedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CarriedKeys(***)")
    }
}
