//! The URLs among the settings: the issuer, the addresses we call and the origins of browsers.

use std::{fmt, str::FromStr};

use url::{Host, Url};

use super::reader::{Read, Reader};

/// The address by which everybody knows this service: the `iss` claim, byte for byte (RFC 8725
/// section 3.8). A URL without query, fragment, credentials or trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

/// Why a URL is refused. The texts do not repeat it: it could carry a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No URL, or not one of http and https.
    #[error("is not an address; write it like https://auth.example.com")]
    NotHttp,
    /// `user:password@`
    #[error("must not hold a user name or password; remove the part before @")]
    Credentials,
    /// `?` or `#`
    #[error("must have no query and no fragment; remove what follows ? or #")]
    QueryOrFragment,
    /// Not in the one form that everybody can compare byte by byte.
    #[error(
        "is not in its plain form; write scheme and host in small letters, without the standard \
         port and without a slash at the end"
    )]
    NotPlain,
    /// An origin with something behind the port.
    #[error("is not an origin; write it like https://app.example.com, without path or wildcard")]
    NotOrigin,
}

impl Issuer {
    /// The exact text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the service is reached over TLS, so that its cookies must be `Secure`.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for Issuer {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = service_url(text)?;
        if url.as_str().trim_end_matches('/') == text {
            Ok(Self(text.to_owned()))
        } else {
            Err(AddressError::NotPlain)
        }
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address of a service: http or https, with a path at most.
pub(super) fn service_url(text: &str) -> Result<Url, AddressError> {
    let Ok(url) = Url::parse(text) else {
        return Err(AddressError::NotHttp);
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(AddressError::NotHttp);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::QueryOrFragment);
    }
    Ok(url)
}

/// An address that this service calls.
///
/// Plain http is fine on the loopback interface, also in production: nothing but an explicit
/// setting leads there, and a local egress proxy is a common one. Elsewhere it would show codes
/// and key to the network.
pub(super) fn called(reader: &mut Reader, key: &str, text: &str) -> Read<Url> {
    let url = service_url(text).map_err(|error| reader.fault(key, error.to_string()))?;
    if !is_private(&url) {
        reader.fault_in_production(key, "must begin with https:// in production");
    }
    Ok(url)
}

/// A browser origin exactly as a browser sends it (RFC 6454 section 6.2).
pub(super) fn origin(text: &str) -> Result<Url, AddressError> {
    let url = service_url(text)?;
    if url.origin().ascii_serialization() == text {
        Ok(url)
    } else {
        Err(AddressError::NotOrigin)
    }
}

/// Whether what is sent to this address cannot be read on the way: it is encrypted, or it does not
/// leave the machine.
pub(super) fn is_private(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
}
