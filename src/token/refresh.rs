//! Refresh tokens: 256 random bits, of which the database holds only a hash.
//!
//! A token names its session and carries a tag by which this service knows its own. So a made-up token
//! costs no statement, and one that is ours but not the current one is known for what it is: spent.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::zeroize::Zeroizing;
use uuid::Uuid;

use crate::random::{self, Random, RandomUnavailable};
use crate::secrets::{Keyring, OpenError, Purpose, SealError};

/// How every token begins, so that scanners for leaked secrets can find one.
const PREFIX: &str = "rt_";
/// Session id, random bits (OWASP ASVS 5.0, 7.2.3 asks for at least 128), tag.
const SESSION: usize = 16;
const RANDOM: usize = 32;
const TAG: usize = 16;
const LENGTH: usize = SESSION + RANDOM + TAG;

/// A refresh token of ours. It cannot be printed.
pub struct RefreshToken(Zeroizing<[u8; LENGTH]>);

/// What the database knows of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefreshHash([u8; 32]);

impl RefreshToken {
    /// Makes a token of a session.
    pub fn generate(
        session: Uuid,
        keyring: &Keyring,
        random: &dyn Random,
    ) -> Result<Self, RandomUnavailable> {
        let secret = Zeroizing::new(random::bytes::<RANDOM>(random)?);
        let tag = tag(session.as_bytes(), secret.as_slice(), keyring);
        let parts = session.as_bytes().iter().chain(secret.iter()).chain(&tag);
        let mut token = Zeroizing::new([0; LENGTH]);
        for (byte, source) in token.iter_mut().zip(parts) {
            *byte = *source;
        }
        Ok(Self(token))
    }

    /// Reads a token; `None` if this service never made it.
    pub fn parse(text: &str, keyring: &Keyring) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
        let bytes: [u8; LENGTH] = bytes.as_slice().try_into().ok()?;
        let token = Self(Zeroizing::new(bytes));
        let (session, rest) = token.0.split_first_chunk::<SESSION>()?;
        let (secret, given) = rest.split_first_chunk::<RANDOM>()?;
        verify_slices_are_equal(&tag(session, secret, keyring), given).ok()?;
        Some(token)
    }

    /// The session it is of.
    pub fn session(&self) -> Uuid {
        let id = self.0.first_chunk::<SESSION>().copied().unwrap_or_default();
        Uuid::from_bytes(id)
    }

    /// What to look it up by.
    pub fn hash(&self) -> RefreshHash {
        let hash = digest(&SHA256, self.0.as_slice());
        let bytes = hash.as_ref().first_chunk::<32>();
        RefreshHash(bytes.copied().unwrap_or_default())
    }

    /// The text, for the one reply that carries it.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "{PREFIX}{}",
            URL_SAFE_NO_PAD.encode(self.0.as_slice())
        ))
    }

    /// Seals it for whoever shows the token that it replaced once more.
    pub fn seal(
        &self,
        replaced: RefreshHash,
        keyring: &Keyring,
        random: &dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        keyring.seal(
            Purpose::RefreshToken,
            replaced.as_bytes(),
            self.0.as_slice(),
            random,
        )
    }

    /// Opens what [`Self::seal`] sealed.
    pub fn open(
        sealed: &[u8],
        replaced: RefreshHash,
        keyring: &Keyring,
    ) -> Result<Self, OpenError> {
        let opened = keyring.open(Purpose::RefreshToken, replaced.as_bytes(), sealed)?;
        let bytes: Option<[u8; LENGTH]> = opened.as_slice().try_into().ok();
        Ok(Self(Zeroizing::new(bytes.ok_or(OpenError)?)))
    }
}

fn tag(session: &[u8], secret: &[u8], keyring: &Keyring) -> [u8; TAG] {
    let tag = keyring.refresh_tag(&[session, secret]);
    tag.first_chunk().copied().unwrap_or_default()
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(***)")
    }
}

impl RefreshHash {
    /// The bytes to look rows up by.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for RefreshHash {
    type Error = OpenError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, OpenError> {
        bytes.try_into().ok().map(Self).ok_or(OpenError)
    }
}

impl fmt::Debug for RefreshHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshHash(***)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::random::SystemRandom;
    use secrecy::SecretBox;

    fn keyring(byte: u8) -> Keyring {
        Keyring::derive(&SecretBox::new(Box::new([byte; 32]))).unwrap()
    }

    fn token() -> RefreshToken {
        RefreshToken::generate(Uuid::from_u128(7), &keyring(1), &SystemRandom).unwrap()
    }

    #[test]
    fn a_token_reads_back_under_its_key_only() {
        let token = token();
        let text = token.expose();

        let read = RefreshToken::parse(&text, &keyring(1)).unwrap();

        assert_eq!(read.session(), Uuid::from_u128(7));
        assert_eq!(read.hash(), token.hash());
        assert_eq!(read.expose(), text);
        assert!(RefreshToken::parse(&text, &keyring(2)).is_none());
        assert_eq!(text.len(), 89);
    }

    #[test]
    fn a_token_with_any_byte_changed_added_or_cut_is_nobodys() {
        let text = token().expose();
        for at in 0..text.len() {
            let mut bent = text.as_bytes().to_vec();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            let bent = String::from_utf8(bent).unwrap();
            assert!(RefreshToken::parse(&bent, &keyring(1)).is_none(), "{at}");
            assert!(RefreshToken::parse(text.get(..at).unwrap(), &keyring(1)).is_none());
        }
        for other in [format!("{}A", *text), format!("{}=", *text), String::new()] {
            assert!(
                RefreshToken::parse(&other, &keyring(1)).is_none(),
                "{other}"
            );
        }
    }

    /// security.md 36: at least 128 bits from a generator, and no two the same.
    #[test]
    fn tokens_of_one_session_differ_in_all_their_random_bits() {
        let tokens: Vec<RefreshToken> = (0..1000).map(|_| token()).collect();

        let hashes: HashSet<_> = tokens.iter().map(|token| token.hash().0).collect();
        assert_eq!(hashes.len(), 1000);
        for bit in 0..RANDOM * 8 {
            let set = |token: &RefreshToken| token.0[SESSION + bit / 8] >> (bit % 8) & 1 == 1;
            let ones = tokens.iter().filter(|token| set(token)).count();
            // 500 on average; further off than 150 is nine standard deviations.
            assert!((350..650).contains(&ones), "bit {bit}: {ones}");
        }
    }

    #[test]
    fn a_sealed_token_opens_for_whoever_has_the_one_it_replaced() {
        let (old, new) = (token(), token());
        let sealed = new.seal(old.hash(), &keyring(1), &SystemRandom).unwrap();

        let opened = RefreshToken::open(&sealed, old.hash(), &keyring(1)).unwrap();

        assert_eq!(opened.hash(), new.hash());
        assert!(RefreshToken::open(&sealed, new.hash(), &keyring(1)).is_err());
    }

    #[test]
    fn debug_output_shows_nothing() {
        let token = token();
        let shown = format!("{token:?} {:?}", token.hash());
        assert_eq!(shown, "RefreshToken(***) RefreshHash(***)");
    }
}
