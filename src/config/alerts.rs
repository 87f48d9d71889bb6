//! `[alerts]`: where warnings about spending go.

use secrecy::SecretBox;
use url::Url;

use super::{
    address,
    reader::{Read, Reader},
    webhook,
};

/// `[alerts]`
#[derive(Debug)]
pub struct Alerts {
    /// Posted to as it is.
    pub url: Url,
    /// What posts are signed with: 24 to 64 bytes.
    pub secret: SecretBox<Vec<u8>>,
}

/// Reads the section; `None` if nobody is told.
pub(super) fn read(reader: &mut Reader) -> Read<Option<Alerts>> {
    const URL: &str = "alerts.webhook_url";
    let text = reader.optional_text(URL);
    let is_told = matches!(text, Ok(Some(_)));
    let url = text.and_then(|text| {
        text.map(|text| address::called(reader, URL, &text))
            .transpose()
    });
    let secret = webhook::read_secret(reader, "alerts.webhook_secret", is_told);
    let pair = url?.zip(secret?);
    Ok(pair.map(|(url, secret)| Alerts { url, secret }))
}
