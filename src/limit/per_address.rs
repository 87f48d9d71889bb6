//! What limits the sends for one address over all replicas: the shared half of [`super::per_ip`].

use std::fmt;
use std::net::IpAddr;

use super::per_ip::Network;
use crate::secrets::Keyring;

/// Keyed hash of an address (IPv6: of its /64): the same address gives the same key, and without the
/// master key nobody can tell which address it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressKey([u8; 16]);

impl AddressKey {
    /// The key of an address.
    pub fn of(network: Network, keyring: &Keyring) -> Self {
        let bytes = match network.address() {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let hash = keyring.lookup("address", &bytes);
        let mut key = [0; 16];
        for (byte, source) in key.iter_mut().zip(hash) {
            *byte = source;
        }
        Self(key)
    }

    /// The bytes to look rows up by.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressKey(***)")
    }
}
