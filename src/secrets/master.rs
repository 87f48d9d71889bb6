//! The master keys of a deployment: one seals, it and the others open.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox};

use super::carried::{CarriedKey, CarriedKeys, Raw};
use super::sealed::{self, Format, KeyId, Purpose, Sealer};
use super::{DeriveError, OpenError, SealError};
use crate::random::Random;

/// A master key and what is derived from it.
struct Master {
    id: KeyId,
    prk: hkdf::Prk,
    phone: Sealer,
    signing_key: Sealer,
    cookie: Sealer,
    guess: Sealer,
    reply: Sealer,
    rule: Sealer,
    refresh_token: Sealer,
    session: Sealer,
    carried_key: Sealer,
}

impl Master {
    fn derive(key: &SecretBox<[u8; 32]>) -> Result<Self, DeriveError> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"otp-auth").extract(key.expose_secret());
        let id = KeyId(expand(&prk, "key id v1")?);
        let sealer = |info| {
            let key = Zeroizing::new(expand::<32>(&prk, info)?);
            Sealer::new(id, &key).map_err(|Unspecified| DeriveError)
        };
        Ok(Self {
            id,
            phone: sealer("seal phone v1")?,
            signing_key: sealer("seal signing key v1")?,
            cookie: sealer("seal cookie v1")?,
            guess: sealer("seal guess v1")?,
            reply: sealer("seal reply v1")?,
            rule: sealer("seal rule v1")?,
            refresh_token: sealer("seal refresh token v1")?,
            session: sealer("seal session v1")?,
            carried_key: sealer("seal carried key v1")?,
            prk,
        })
    }

    fn carried(&self) -> Result<CarriedKeys, DeriveError> {
        CarriedKeys::collect(self.id, |key| {
            expand(&self.prk, key.info()).map(Zeroizing::new)
        })
    }

    fn sealer(&self, purpose: Purpose) -> &Sealer {
        match purpose {
            Purpose::Phone => &self.phone,
            Purpose::SigningKey => &self.signing_key,
            Purpose::Cookie => &self.cookie,
            Purpose::Guess => &self.guess,
            Purpose::Reply => &self.reply,
            Purpose::Rule => &self.rule,
            Purpose::RefreshToken => &self.refresh_token,
            Purpose::Session => &self.session,
            Purpose::CarriedKey => &self.carried_key,
        }
    }
}

/// All of them. They cannot be printed.
pub struct MasterKeys {
    /// Some kilobytes.
    current: Box<Master>,
    others: Vec<Master>,
}

impl MasterKeys {
    /// Derives what they seal and open with.
    pub fn derive(
        current: &SecretBox<[u8; 32]>,
        others: &[SecretBox<[u8; 32]>],
    ) -> Result<Self, DeriveError> {
        Ok(Self {
            current: Box::new(Master::derive(current)?),
            others: others
                .iter()
                .map(Master::derive)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The key that seals.
    pub fn current(&self) -> KeyId {
        self.current.id
    }

    /// The keys that open, the one that seals first.
    pub fn ids(&self) -> Vec<KeyId> {
        self.all().map(|master| master.id).collect()
    }

    /// The carried keys as the version that had none derives them from this key; `None` if it is not here.
    pub fn carried_from(&self, origin: KeyId) -> Option<Result<CarriedKeys, DeriveError>> {
        self.find(origin).map(Master::carried)
    }

    /// The carried keys of [`Self::current`], for a database that has none yet.
    pub fn carried_from_current(&self) -> Result<CarriedKeys, DeriveError> {
        self.current.carried()
    }

    /// Seals a carried key for the database.
    pub fn seal_carried(
        &self,
        keys: &CarriedKeys,
        key: CarriedKey,
        random: &dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        let (format, name) = (self.format(keys.origin()), key.name().as_bytes());
        self.seal(format, Purpose::CarriedKey, name, keys.expose(key), random)
    }

    /// Opens a carried key of the database.
    pub fn open_carried(&self, key: CarriedKey, sealed: &[u8]) -> Result<Raw, OpenError> {
        let opened = self.open(Purpose::CarriedKey, key.name().as_bytes(), sealed)?;
        let bytes = opened.as_slice().try_into().ok();
        bytes.map(Zeroizing::new).ok_or(OpenError)
    }

    /// Whether a stored private key opens: what the version that had no carried keys left in the database.
    pub fn opens_signing_key(&self, kid: &str, sealed: &[u8]) -> bool {
        self.open(Purpose::SigningKey, kid.as_bytes(), sealed)
            .is_ok()
    }

    /// How to seal for carried keys of this origin.
    pub(super) fn format(&self, origin: KeyId) -> Format {
        if origin == self.current.id {
            Format::First
        } else {
            Format::Rotated
        }
    }

    pub(super) fn seal(
        &self,
        format: Format,
        purpose: Purpose,
        binding: &[u8],
        plaintext: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        let sealer = self.current.sealer(purpose);
        sealer.seal(format, binding, plaintext, random)
    }

    pub(super) fn open(
        &self,
        purpose: Purpose,
        binding: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let parts = sealed::parts(sealed)?;
        let master = self.find(parts.id).ok_or(OpenError)?;
        master.sealer(purpose).open(binding, &parts)
    }

    fn all(&self) -> impl Iterator<Item = &Master> {
        std::iter::once(&*self.current).chain(&self.others)
    }

    fn find(&self, id: KeyId) -> Option<&Master> {
        self.all().find(|master| master.id == id)
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKeys(***)")
    }
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
