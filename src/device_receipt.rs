//! Device receipts: proof that a device logged in with a phone before.
//!
//! A receipt says nothing about who holds it now, so it opens no account. It only gives its holder an
//! allowance of his own where a stranger's wrong codes or floods have spent the phone's limits (NIST
//! SP 800-63B-4 section 3.2.2 suggests as much), and lets him pass where unknown numbers are refused.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::random::Random;
use crate::secrets::{Keyring, PhoneIndex, SealError};

/// Longest receipt that is looked at, in characters; ours have 55.
const LONGEST: usize = 128;

/// A receipt as its holder has it. It cannot be printed.
#[derive(Clone)]
pub struct DeviceReceipt(SecretString);

impl DeviceReceipt {
    /// Takes what a caller sent. Whether it is any good shows when it is held against a phone.
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= LONGEST;
        fits.then(|| Self(SecretString::from(text)))
    }

    /// Makes the receipt of a device that logs in with this phone.
    pub fn issue(
        phone: PhoneIndex,
        keyring: &Keyring,
        random: &dyn Random,
        now: DateTime<Utc>,
    ) -> Result<Self, SealError> {
        let at = now.timestamp().to_be_bytes();
        let sealed = keyring.seal_receipt(phone, &at, random)?;
        Ok(Self(SecretString::from(URL_SAFE_NO_PAD.encode(sealed))))
    }

    /// Whether it was made for this phone, no longer ago than `life`.
    pub fn is_for(
        &self,
        phone: PhoneIndex,
        keyring: &Keyring,
        life: TimeDelta,
        now: DateTime<Utc>,
    ) -> bool {
        let issued = || {
            let sealed = URL_SAFE_NO_PAD.decode(self.0.expose_secret()).ok()?;
            let at = keyring.open_receipt(phone, &sealed).ok()?;
            let at = i64::from_be_bytes(at.as_slice().try_into().ok()?);
            DateTime::from_timestamp(at, 0)
        };
        // The difference of any two times can be told, their sum with a span cannot.
        issued().is_some_and(|at| now - at < life)
    }

    /// The text, for the answer or cookie that carries it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for DeviceReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceReceipt(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::PhoneNumber;
    use crate::random::SystemRandom;
    use secrecy::SecretBox;

    fn keyring(byte: u8) -> Keyring {
        Keyring::derive(&SecretBox::new(Box::new([byte; 32]))).unwrap()
    }

    fn index(number: &str) -> PhoneIndex {
        keyring(1).phone_index(&PhoneNumber::from_stored_e164(number).unwrap())
    }

    #[test]
    fn a_receipt_is_good_for_its_phone_under_its_key_and_for_its_time() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let life = TimeDelta::days(180);
        let (mine, other) = (index("+919876543210"), index("+919812345678"));
        let receipt = DeviceReceipt::issue(mine, &keyring(1), &SystemRandom, now).unwrap();

        assert!(receipt.is_for(mine, &keyring(1), life, now));
        let last = now + life - TimeDelta::seconds(1);
        assert!(receipt.is_for(mine, &keyring(1), life, last));
        assert!(!receipt.is_for(mine, &keyring(1), life, now + life));
        assert!(!receipt.is_for(other, &keyring(1), life, now));
        let latest =
            DeviceReceipt::issue(mine, &keyring(1), &SystemRandom, DateTime::<Utc>::MAX_UTC);
        assert!(latest.unwrap().is_for(mine, &keyring(1), life, now));
        assert!(!receipt.is_for(mine, &keyring(2), life, now));
        let read = DeviceReceipt::new(receipt.expose()).unwrap();
        assert!(read.is_for(mine, &keyring(1), life, now));
        assert_eq!(format!("{receipt:?}"), "DeviceReceipt(***)");
        assert_eq!(receipt.expose().len(), 55);
    }

    #[test]
    fn what_is_no_receipt_is_good_for_nothing() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mine = index("+919876543210");
        let good = DeviceReceipt::issue(mine, &keyring(1), &SystemRandom, now).unwrap();
        let cut = good.expose().get(..54).unwrap();
        for text in ["x", cut, "AAAA", "!!!!", "null"] {
            let receipt = DeviceReceipt::new(text).unwrap();
            assert!(
                !receipt.is_for(mine, &keyring(1), TimeDelta::days(180), now),
                "{text}"
            );
        }
        assert!(DeviceReceipt::new("").is_none());
        assert!(DeviceReceipt::new(&"a".repeat(129)).is_none());
    }
}
