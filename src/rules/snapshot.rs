//! All rules and switches as they were at one version, ready to be looked up.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use ipnet::IpNet;

use super::target::{Prefix, Target};
use super::{Switches, Verdict};
use crate::phone::PhoneNumber;
use crate::secrets::{Keyring, PhoneIndex};

/// A verdict, and how long it holds.
#[derive(Clone, Copy)]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

impl Decision {
    fn at(self, now: DateTime<Utc>) -> Option<Verdict> {
        let holds = self.expires_at.is_none_or(|end| now < end);
        holds.then_some(self.verdict)
    }
}

/// All rules and switches. Phones are held by their blind index only.
pub(super) struct Snapshot {
    pub(super) version: i64,
    pub(super) switches: Switches,
    phones: HashMap<PhoneIndex, Decision>,
    prefixes: HashMap<Prefix, Decision>,
    networks: HashMap<IpNet, Decision>,
}

impl Snapshot {
    /// One without rules.
    pub(super) fn new(version: i64, switches: Switches) -> Self {
        Self {
            version,
            switches,
            phones: HashMap::new(),
            prefixes: HashMap::new(),
            networks: HashMap::new(),
        }
    }

    pub(super) fn insert(&mut self, target: Target, decision: Decision, keyring: &Keyring) {
        match target {
            Target::Phone(phone) => {
                self.phones.insert(keyring.phone_index(&phone), decision);
            }
            Target::Prefix(prefix) => {
                self.prefixes.insert(prefix, decision);
            }
            Target::Network(network) => {
                self.networks.insert(network, decision);
            }
        }
    }

    pub(super) fn has_phone_rules(&self) -> bool {
        !self.phones.is_empty() || !self.prefixes.is_empty()
    }

    /// The phone's own rule, else that of the longest prefix, of those that hold.
    pub(super) fn phone(
        &self,
        phone: &PhoneNumber,
        now: DateTime<Utc>,
        keyring: &Keyring,
    ) -> Option<Verdict> {
        if !self.has_phone_rules() {
            return None;
        }
        let index = keyring.phone_index(phone);
        let own = self.phones.get(&index);
        own.and_then(|decision| decision.at(now))
            .or_else(|| self.prefix(phone.as_e164().trim_start_matches('+'), now))
    }

    fn prefix(&self, digits: &str, now: DateTime<Utc>) -> Option<Verdict> {
        let beginnings = (1..=digits.len()).rev();
        beginnings
            .filter_map(|length| self.prefixes.get(digits.get(..length)?))
            .find_map(|decision| decision.at(now))
    }

    /// The rule of the smallest network around an address, of those that hold.
    pub(super) fn network(&self, address: IpAddr, now: DateTime<Utc>) -> Option<Verdict> {
        if self.networks.is_empty() {
            return None;
        }
        let host = IpNet::from(address.to_canonical());
        let around = (1..=host.max_prefix_len()).rev();
        around
            .filter_map(|length| IpNet::new(host.addr(), length).ok())
            .filter_map(|network| self.networks.get(&network.trunc()))
            .find_map(|decision| decision.at(now))
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use chrono::TimeDelta;
    use secrecy::SecretBox;

    use super::super::target::Kind;
    use super::*;

    use Verdict::{Allow, Block};

    fn keyring() -> Keyring {
        Keyring::derive(&SecretBox::new(Box::new([1; 32]))).unwrap()
    }

    /// A snapshot of rules that end so many seconds after the epoch, or never.
    fn snapshot(rules: &[(Kind, &str, Verdict, Option<i64>)]) -> Snapshot {
        let mut snapshot = Snapshot::new(0, Switches::default());
        for (kind, text, verdict, end) in rules {
            let decision = Decision {
                verdict: *verdict,
                expires_at: end.map(at),
            };
            let target = Target::from_plain(*kind, text).unwrap();
            snapshot.insert(target, decision, &keyring());
        }
        snapshot
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn phone(snapshot: &Snapshot, e164: &str, seconds: i64) -> Option<Verdict> {
        let phone = PhoneNumber::from_stored_e164(e164).unwrap();
        snapshot.phone(&phone, at(seconds), &keyring())
    }

    fn network(snapshot: &Snapshot, address: &str, seconds: i64) -> Option<Verdict> {
        snapshot.network(IpAddr::from_str(address).unwrap(), at(seconds))
    }

    #[test]
    fn the_longest_prefix_decides_unless_the_phone_has_its_own_rule() {
        let rules = snapshot(&[
            (Kind::Prefix, "+91", Block, None),
            (Kind::Prefix, "+9198", Allow, None),
            (Kind::Prefix, "+919812", Block, None),
            (Kind::Phone, "+919812345678", Allow, None),
            (Kind::Phone, "+919876543210", Block, None),
        ]);

        for (number, expected) in [
            ("+917000000000", Some(Block)),
            ("+919800000000", Some(Allow)),
            ("+919812000000", Some(Block)),
            ("+919812345678", Some(Allow)),
            ("+919876543210", Some(Block)),
            ("+971501234567", None),
        ] {
            assert_eq!(phone(&rules, number, 0), expected, "{number}");
        }
    }

    #[test]
    fn the_smallest_network_decides() {
        let rules = snapshot(&[
            (Kind::Network, "10.0.0.0/8", Block, None),
            (Kind::Network, "10.1.0.0/16", Allow, None),
            (Kind::Network, "10.1.2.3", Block, None),
            (Kind::Network, "128.0.0.0/1", Block, None),
            (Kind::Network, "2001:db8::/32", Block, None),
            (Kind::Network, "2001:db8:1::/48", Allow, None),
        ]);

        for (address, expected) in [
            ("10.2.0.1", Some(Block)),
            ("10.1.0.1", Some(Allow)),
            ("10.1.2.3", Some(Block)),
            ("::ffff:10.1.2.3", Some(Block)),
            ("::ffff:10.1.0.1", Some(Allow)),
            ("::10.1.2.3", None),
            ("11.0.0.1", None),
            ("203.0.113.9", Some(Block)),
            ("2001:db8::1", Some(Block)),
            ("2001:db8:1::1", Some(Allow)),
            ("2001:db9::1", None),
        ] {
            assert_eq!(network(&rules, address, 0), expected, "{address}");
        }
    }

    #[test]
    fn a_rule_for_mapped_addresses_is_about_ipv4_callers() {
        let rules = snapshot(&[(Kind::Network, "::ffff:10.0.0.0/104", Block, None)]);

        assert_eq!(network(&rules, "10.9.9.9", 0), Some(Block));
        assert_eq!(network(&rules, "11.0.0.0", 0), None);
    }

    #[test]
    fn a_rule_that_expired_leaves_the_decision_to_the_next() {
        let rules = snapshot(&[
            (Kind::Prefix, "+91", Allow, Some(30)),
            (Kind::Prefix, "+9198", Block, Some(20)),
            (Kind::Phone, "+919876543210", Allow, Some(10)),
            (Kind::Network, "10.0.0.0/8", Block, Some(20)),
            (Kind::Network, "10.1.0.0/16", Allow, Some(10)),
        ]);

        for (seconds, of_phone, of_network) in [
            (9, Some(Allow), Some(Allow)),
            (10, Some(Block), Some(Block)),
            (19, Some(Block), Some(Block)),
            (20, Some(Allow), None),
            (30, None, None),
        ] {
            let number = "+919876543210";
            assert_eq!(phone(&rules, number, seconds), of_phone, "{seconds} s");
            assert_eq!(
                network(&rules, "10.1.0.1", seconds),
                of_network,
                "{seconds} s"
            );
        }
    }
}
