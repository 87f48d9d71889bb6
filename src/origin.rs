//! Where a call comes from.

use std::net::IpAddr;

use crate::limit::per_address::AddressKey;
use crate::session::Seen;

/// Where a call comes from, as far as limits, rules and the audit log care.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The end user's address, unless that is in doubt: who makes his proxy answer for him must not be
    /// let through because the proxy would be.
    pub address: Option<IpAddr>,
    /// Keyed hash of the address that answers for the call.
    pub key: AddressKey,
    /// What the user is shown of a session that begins with the call.
    pub seen: Seen,
    /// The call's id in answers and logs.
    pub trace_id: String,
}
