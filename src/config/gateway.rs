//! `[gateway]`: what `/v1/authorize` looks at.

use std::time::Duration;

use super::reader::{Read, Reader};

/// `[gateway]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Name of the cookie that may carry the access token; `None` = only the header.
    pub cookie: Option<String>,
    /// How long the feed of revocations may be out of reach before `/readyz` says so.
    pub max_staleness: Duration,
    /// How many good tokens are remembered.
    pub cached_tokens: u64,
}

pub(super) fn read(reader: &mut Reader) -> Read<Gateway> {
    const COOKIE: &str = "gateway.cookie";
    let cookie = reader.optional_text(COOKIE);
    let max_staleness = reader.seconds("gateway.max_staleness_seconds", 1..=3600);
    let cached_tokens = reader.integer("gateway.cached_tokens", 0..=10_000_000);
    if let Ok(Some(name)) = &cookie
        && !name.bytes().all(is_token_byte)
    {
        reader.fault(
            COOKIE,
            format!("{name:?} is no name of a cookie; use letters, digits, - and _"),
        );
    }
    Ok(Gateway {
        cookie: cookie?,
        max_staleness: max_staleness?,
        cached_tokens: cached_tokens?,
    })
}

/// `tchar` of RFC 9110 section 5.6.2, of which names of cookies are made (RFC 6265 section 4.1.1).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
