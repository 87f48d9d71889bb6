//! Who calls: HTTP Basic for confidential clients, a name in the body for public ones.

use std::sync::Arc;

use actix_web::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

use super::body::Fields;
use super::call::Call;
use super::codes::Code;
use super::problem::Problem;
use crate::client::{Caller, Client};

impl Call {
    /// Identifies the caller by its `Authorization` header, else by `client_id` in the body.
    pub fn caller(&self, fields: &Fields) -> Result<Caller, Problem> {
        let invalid = || Problem::new(Code::InvalidClient);
        let clients = &self.state.clients;
        let named = fields
            .optional_text("client_id")
            .map_err(|error| Problem::field("/client_id", &error.to_string()))?;
        if self.headers().contains_key(AUTHORIZATION) {
            let client = self.basic_client().ok_or_else(invalid)?;
            if named.is_some_and(|name| name != client.id.as_str()) {
                return Err(Problem::field(
                    "/client_id",
                    "must name the authenticated client",
                ));
            }
            return Ok(Caller::Authenticated(client.id.clone()));
        }
        match named {
            None => Ok(Caller::Unnamed(Arc::clone(clients))),
            Some(name) => {
                let client = clients.get(name).filter(|client| client.is_public());
                client
                    .map(|client| Caller::Named(client.id.clone()))
                    .ok_or_else(invalid)
            }
        }
    }

    /// The confidential client that the `Authorization` header proves.
    pub fn basic_client(&self) -> Option<&Client> {
        let (id, secret) = basic(self.header(&AUTHORIZATION)?)?;
        let client = self.state.clients.get(&id);
        client.filter(|client| client.has_secret(&secret))
    }

    /// The client a new request is for: the caller, or the only client there is if it is public.
    pub fn client_of(&self, caller: &Caller) -> Result<&Client, Problem> {
        let clients = &self.state.clients;
        match caller {
            Caller::Authenticated(id) | Caller::Named(id) => clients
                .get(id.as_str())
                .ok_or_else(|| Problem::new(Code::InvalidClient)),
            Caller::Unnamed(_) => clients.sole_public().ok_or_else(|| {
                Problem::field(
                    "/client_id",
                    "is required where several clients are registered",
                )
            }),
        }
    }
}

/// Name and secret of a Basic header; both are form-encoded inside (RFC 6749 section 2.3.1).
fn basic(header: &str) -> Option<(String, SecretString)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let decode = |text: &str| {
        let pair = format!("v={text}");
        // One form value; a `&` in it would be another pair, which no encoder leaves bare.
        let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
        pairs.next().map(|(_, value)| value.into_owned())
    };
    Some((decode(id)?, SecretString::from(decode(secret)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn read(header: &str) -> Option<(String, String)> {
        basic(header).map(|(id, secret)| (id, secret.expose_secret().to_owned()))
    }

    #[test]
    fn basic_credentials_are_read_as_rfc_6749_writes_them() {
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        for (plain, expected) in [
            ("shop:s3cret", pair("shop", "s3cret")),
            ("shop:a%3Ab", pair("shop", "a:b")),
            ("shop:a:b", pair("shop", "a:b")),
            ("shop:", pair("shop", "")),
            ("shop", None),
        ] {
            let header = format!("Basic {}", STANDARD.encode(plain));
            assert_eq!(read(&header), expected, "{plain}");
        }
        assert_eq!(read("Bearer abc"), None);
        assert_eq!(read("Basic !!!"), None);
        assert_eq!(read("Basic"), None);
    }
}
