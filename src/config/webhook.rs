//! `[webhook]`: a company's own SMS gateway.

use std::{num::NonZeroU32, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretBox};
use url::Url;

use super::{
    address,
    reader::{Read, Reader},
};

/// Bytes of a secret (Standard Webhooks 1.0.0, section "Signature scheme").
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// `[webhook]`
#[derive(Debug)]
pub struct Webhook {
    /// Posted to as it is.
    pub url: Url,
    /// What calls are signed with.
    pub secret: SecretBox<Vec<u8>>,
    /// Named to the gateway; `None` = nothing.
    pub app_name: Option<String>,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time of a whole call.
    pub timeout: Duration,
    /// Calls per second that this process makes, if they are limited.
    pub requests_per_second: Option<NonZeroU32>,
    /// Calls that may come at once.
    pub burst: NonZeroU32,
}

/// Reads the section; `None` if it is not `selected`.
pub(super) fn read(reader: &mut Reader, selected: bool) -> Read<Option<Webhook>> {
    let url = url(reader, selected);
    let secret = read_secret(reader, "webhook.secret", selected);
    let app_name = reader.optional_text("webhook.app_name");
    let connect_timeout = reader.millis("webhook.connect_timeout_ms", 10..=60_000);
    let timeout = reader.millis("webhook.timeout_ms", 10..=60_000);
    let requests_per_second = reader.limit("webhook.requests_per_second", 100_000);
    let burst = reader.positive("webhook.burst", 100_000);
    let webhook = (url?, secret?, app_name?, connect_timeout?, timeout?);
    let (Some(url), Some(secret), app_name, connect_timeout, timeout) = webhook else {
        return Ok(None);
    };
    Ok(Some(Webhook {
        url,
        secret,
        app_name,
        connect_timeout,
        timeout,
        requests_per_second: requests_per_second?,
        burst: burst?,
    }))
}

/// The gateway may be in a private network: nothing but this setting leads there.
fn url(reader: &mut Reader, selected: bool) -> Read<Option<Url>> {
    const KEY: &str = "webhook.url";
    let Some(text) = reader.optional_text(KEY)? else {
        if selected {
            return Err(reader.fault(KEY, "is not set; give the address of your SMS gateway"));
        }
        return Ok(None);
    };
    address::called(reader, KEY, &text).map(Some)
}

/// The secret of Standard Webhooks under this key; a fault if it is `needed` and not set.
pub(super) fn read_secret(
    reader: &mut Reader,
    key: &str,
    needed: bool,
) -> Read<Option<SecretBox<Vec<u8>>>> {
    const MAKE: &str = "make one with: echo whsec_$(openssl rand -base64 32)";
    let Some(text) = reader.secret(key)? else {
        if needed {
            return Err(reader.fault(key, format!("is not set; {MAKE}")));
        }
        return Ok(None);
    };
    let bytes = text
        .expose_secret()
        .strip_prefix("whsec_")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .filter(|bytes| SECRET_BYTES.contains(&bytes.len()));
    match bytes {
        Some(bytes) => Ok(Some(SecretBox::new(Box::new(bytes)))),
        None => Err(reader.fault(
            key,
            format!("is not whsec_ and 24 to 64 bytes in base64; {MAKE}"),
        )),
    }
}
