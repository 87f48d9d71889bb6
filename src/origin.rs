//! Where a call comes from.

use std::net::IpAddr;

use crate::limit::per_address::AddressKey;

/// Where a call comes from, as far as limits, rules and the audit log care.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The end user's address.
    pub address: IpAddr,
    /// Its keyed hash.
    pub key: AddressKey,
    /// The call's id in answers and logs.
    pub trace_id: String,
}
