//! What a user is shown of a session, so that he knows it again: the program and the network it was
//! begun from. Both are personal, so they are stored sealed.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limit::per_ip::Network;
use crate::random::Random;
use crate::secrets::{Keyring, Purpose, SealError};

/// Characters of a user agent that are kept. Chrome's has about 110.
const LONGEST_AGENT: usize = 256;

/// What is shown of a session. It is not printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The `User-Agent` of the login.
    pub user_agent: Option<String>,
    /// The network of the login: an IPv4 /24 or an IPv6 /48.
    pub address_prefix: Option<String>,
}

impl Seen {
    /// Of a call with this user agent, from this address.
    pub fn new(user_agent: Option<&str>, address: IpAddr) -> Self {
        let network = Network::from(address).wider().address();
        let bits = if network.is_ipv4() { 24 } else { 48 };
        let agent = user_agent.map(|agent| agent.chars().take(LONGEST_AGENT).collect());
        Self {
            user_agent: agent,
            address_prefix: Some(format!("{network}/{bits}")),
        }
    }

    /// For the row of a session.
    pub(super) fn seal(
        &self,
        session: Uuid,
        keyring: &Keyring,
        random: &dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        // Two texts; nothing in it can fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        keyring.seal(Purpose::Session, session.as_bytes(), &json, random)
    }

    /// What [`Self::seal`] sealed; nothing where it does not open, since it only helps to remember.
    pub(super) fn open(sealed: &[u8], session: Uuid, keyring: &Keyring) -> Self {
        let opened = keyring.open(Purpose::Session, session.as_bytes(), sealed);
        let read = opened.ok().map(|json| serde_json::from_slice(&json));
        read.and_then(Result::ok).unwrap_or_default()
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seen(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;
    use secrecy::SecretBox;

    #[test]
    fn an_address_is_shown_as_its_network() {
        for (address, prefix) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ] {
            let seen = Seen::new(None, address.parse().unwrap());
            assert_eq!(seen.address_prefix.as_deref(), Some(prefix), "{address}");
        }
    }

    #[test]
    fn what_was_seen_is_sealed_cut_and_not_printed() {
        let keyring = Keyring::derive(&SecretBox::new(Box::new([1; 32]))).unwrap();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let seen = Seen::new(Some(&"ü".repeat(300)), "203.0.113.77".parse().unwrap());

        let sealed = seen.seal(one, &keyring, &SystemRandom).unwrap();

        assert!(Seen::open(&sealed, one, &keyring) == seen);
        assert!(Seen::open(&sealed, other, &keyring) == Seen::default());
        assert_eq!(seen.user_agent.as_ref().unwrap().chars().count(), 256);
        assert_eq!(format!("{seen:?}"), "Seen(***)");
    }
}
