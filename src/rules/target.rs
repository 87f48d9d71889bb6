//! What a rule is about: a phone, the beginning of phone numbers, or a network.

use std::borrow::Borrow;
use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use secrecy::zeroize::Zeroizing;

use crate::phone::{PhoneNumber, PhoneRules};

/// Most digits of a prefix: with one more it would be a whole number (ITU-T E.164 (11/2010), section
/// 6.2.1).
const PREFIX_MAX_DIGITS: usize = 14;
/// Bits before the IPv4 address in an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// What kind of thing a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One phone.
    Phone,
    /// All phones whose numbers begin so.
    Prefix,
    /// All callers from there.
    Network,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Phone, Self::Prefix, Self::Network];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Prefix => "prefix",
            Self::Network => "network",
        }
    }

    /// The kind of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The beginning of phone numbers: 1 to 14 digits, the calling code first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Prefix(String);

/// So that a number's digits can be looked up without being copied.
impl Borrow<str> for Prefix {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A long one is nearly a whole number.
impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prefix(***)")
    }
}

/// What a rule is about.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// One phone.
    Phone(PhoneNumber),
    /// All phones whose numbers begin so.
    Prefix(Prefix),
    /// All callers from there: no bit is set behind its length, and an IPv4 network is never written as
    /// an IPv6 one.
    Network(IpNet),
}

/// Why a text is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a phone number, or not one that codes are sent to.
    #[error("must be a phone number that codes are sent to")]
    Phone,
    /// Not the beginning of phone numbers.
    #[error("must be + and 1 to 14 digits, the first not 0")]
    Prefix,
    /// Neither an address nor a network.
    #[error("must be an address, or a network such as 203.0.113.0/24")]
    Network,
    /// Which of two networks is meant is not sure.
    #[error("has bits set behind its length")]
    HostBits,
    /// Such a rule would be about everybody.
    #[error("must not be the whole internet")]
    Everybody,
}

impl Target {
    /// Reads what an operator wrote.
    ///
    /// # Errors
    /// [`TargetError`] says what the text should have been; it never repeats it.
    pub fn parse(kind: Kind, text: &str, phones: &PhoneRules) -> Result<Self, TargetError> {
        match kind {
            Kind::Phone => {
                let phone = PhoneNumber::parse(text, phones).ok();
                phone.map(Self::Phone).ok_or(TargetError::Phone)
            }
            Kind::Prefix => prefix(text).map(Self::Prefix).ok_or(TargetError::Prefix),
            Kind::Network => network(text).map(Self::Network),
        }
    }

    /// Takes back what [`Self::plain`] gave. `None` if it did not.
    pub(super) fn from_plain(kind: Kind, plain: &str) -> Option<Self> {
        match kind {
            // Which countries are allowed may have changed since.
            Kind::Phone => PhoneNumber::from_stored_e164(plain).ok().map(Self::Phone),
            Kind::Prefix => prefix(plain).map(Self::Prefix),
            Kind::Network => network(plain).ok().map(Self::Network),
        }
    }

    /// The target in clear, to be sealed: one text for all spellings of the same one.
    pub(super) fn plain(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Phone(phone) => phone.as_e164().to_owned(),
            Self::Prefix(prefix) => format!("+{}", prefix.0),
            Self::Network(network) => network.to_string(),
        })
    }

    /// As operators are shown it: a phone only by its last digits.
    pub fn shown(&self) -> String {
        match self {
            Self::Phone(phone) => phone.masked(),
            Self::Prefix(prefix) => format!("+{}", prefix.0),
            Self::Network(network) => network.to_string(),
        }
    }

    /// What kind of thing it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Phone(_) => Kind::Phone,
            Self::Prefix(_) => Kind::Prefix,
            Self::Network(_) => Kind::Network,
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({} ***)", self.kind().name())
    }
}

fn prefix(text: &str) -> Option<Prefix> {
    let digits = text.strip_prefix('+')?;
    // No calling code begins with 0: such a prefix would never be met.
    let fits = (1..=PREFIX_MAX_DIGITS).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    fits.then(|| Prefix(digits.to_owned()))
}

fn network(text: &str) -> Result<IpNet, TargetError> {
    let address = text.parse::<IpAddr>().map(IpNet::from).ok();
    let network = address.or_else(|| text.parse::<IpNet>().ok());
    let network = network.ok_or(TargetError::Network)?;
    if network != network.trunc() {
        return Err(TargetError::HostBits);
    }
    let network = canonical(network);
    if network.prefix_len() == 0 {
        return Err(TargetError::Everybody);
    }
    Ok(network)
}

/// Callers with an IPv4-mapped IPv6 address count as IPv4 ones, and so do networks of them.
fn canonical(network: IpNet) -> IpNet {
    let length = network.prefix_len().checked_sub(MAPPED_BITS);
    let mapped = match (network.addr().to_canonical(), length) {
        (IpAddr::V4(first), Some(length)) => Ipv4Net::new(first, length).ok(),
        (IpAddr::V4(_) | IpAddr::V6(_), _) => None,
    };
    mapped.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::Country;

    fn read(kind: Kind, text: &str) -> Result<String, TargetError> {
        let india = Country::parse("IN").unwrap();
        let phones = PhoneRules::new(india, [india].into(), true).unwrap();
        let target = Target::parse(kind, text, &phones)?;
        let plain = target.plain().to_string();
        assert_eq!(Target::from_plain(kind, &plain), Some(target), "{text}");
        Ok(plain)
    }

    #[test]
    fn every_spelling_of_a_target_becomes_one_text_or_is_refused() {
        use Kind::{Network, Phone, Prefix};
        let phone = Ok("+919876543210");
        for (kind, text, expected) in [
            (Phone, "+919876543210", phone),
            (Phone, "098765 43210", phone),
            (Phone, "+14155552671", Err(TargetError::Phone)),
            (Phone, "hello", Err(TargetError::Phone)),
            (Prefix, "+1", Ok("+1")),
            (Prefix, "+91987654321012", Ok("+91987654321012")),
            (Prefix, "+919876543210123", Err(TargetError::Prefix)),
            (Prefix, "+", Err(TargetError::Prefix)),
            (Prefix, "91", Err(TargetError::Prefix)),
            (Prefix, "+0", Err(TargetError::Prefix)),
            (Prefix, "+91 98", Err(TargetError::Prefix)),
            (Prefix, "+\u{0967}", Err(TargetError::Prefix)),
            (Network, "203.0.113.9", Ok("203.0.113.9/32")),
            (Network, "203.0.113.9/32", Ok("203.0.113.9/32")),
            (Network, "203.0.113.0/24", Ok("203.0.113.0/24")),
            (Network, "203.0.113.9/24", Err(TargetError::HostBits)),
            (Network, "0.0.0.0/0", Err(TargetError::Everybody)),
            (Network, "203.0.113.0/33", Err(TargetError::Network)),
            (Network, "203.0.113", Err(TargetError::Network)),
            (Network, "2001:DB8:0::/48", Ok("2001:db8::/48")),
            (Network, "2001:db8::1/48", Err(TargetError::HostBits)),
            (Network, "::/0", Err(TargetError::Everybody)),
            (Network, "::ffff:203.0.113.9", Ok("203.0.113.9/32")),
            (Network, "::ffff:203.0.113.0/120", Ok("203.0.113.0/24")),
            (Network, "::ffff:0.0.0.0/96", Err(TargetError::Everybody)),
        ] {
            let read = read(kind, text);
            assert_eq!(read.as_deref().map_err(|error| *error), expected, "{text}");
        }
    }

    #[test]
    fn debug_output_shows_no_target() {
        let target = Target::Network("203.0.113.9/32".parse().unwrap());
        let prefix = Prefix("9198765".to_owned());

        let printed = format!("{target:?} {prefix:?}");

        assert_eq!(printed, "Target(network ***) Prefix(***)");
    }
}
