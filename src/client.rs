//! Who may call: the registered clients, and the one behind a call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::limit::spend::Ceilings;
use crate::phone::Country;

/// Longest client name, in characters.
const LONGEST_ID: usize = 64;

/// The name of a registered client: 1 to 64 of `[A-Za-z0-9._-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(String);

/// The text is no client name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no client id; use 1 to 64 of A-Z a-z 0-9 . _ -")]
pub struct ClientIdError;

impl FromStr for ClientId {
    type Err = ClientIdError;

    fn from_str(text: &str) -> Result<Self, ClientIdError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(plain);
        fits.then(|| Self(text.to_owned())).ok_or(ClientIdError)
    }
}

impl ClientId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a client's secret. A fast hash is enough, because the secret is random and has at
/// least 128 bits (OWASP ASVS 5.0, 11.4.2 asks for a slow one for passwords only).
#[derive(Clone, Copy)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    /// That of a secret.
    pub fn of(secret: &str) -> Self {
        let mut hash = [0; 32];
        let digested = digest::digest(&digest::SHA256, secret.as_bytes());
        for (byte, digested) in hash.iter_mut().zip(digested.as_ref()) {
            *byte = *digested;
        }
        Self(hash)
    }

    /// Whether both are of the same secret, compared in constant time.
    pub fn is(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(***)")
    }
}

/// How long a session can be refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshLife {
    /// While nobody does.
    pub idle: Duration,
    /// However often somebody does.
    pub absolute: Duration,
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name: the token's `client_id`.
    pub id: ClientId,
    /// Absent for a public client, which cannot keep a secret.
    pub secret_hash: Option<SecretHash>,
    /// Who its tokens are for; at least one.
    pub audience: Vec<String>,
    /// Origins of its pages.
    pub allowed_origins: Vec<String>,
    /// Life of its access tokens.
    pub access_token_ttl: Duration,
    /// Life of its sessions.
    pub refresh: RefreshLife,
    /// What its tokens may say and do.
    pub scopes: Vec<String>,
    /// Claims that are in each of its tokens; no reserved one is among them.
    pub claims: Map<String, Value>,
    /// Whether it may ask about tokens.
    pub may_introspect: bool,
    /// Where it may send to; `None` = to every country that the service accepts.
    pub countries: Option<BTreeSet<Country>>,
    /// The most that its SMS may be and cost.
    pub ceilings: Ceilings,
}

impl Client {
    /// Whether it may send to a number of this country; `None` is one that no numbering plan knows.
    pub fn may_send_to(&self, country: Option<Country>) -> bool {
        self.countries
            .as_ref()
            .is_none_or(|allowed| country.is_some_and(|country| allowed.contains(&country)))
    }

    /// Whether it has no secret.
    pub fn is_public(&self) -> bool {
        self.secret_hash.is_none()
    }

    /// Whether this is its secret, compared in constant time; never for a public client.
    pub fn has_secret(&self, secret: &SecretString) -> bool {
        let given = SecretHash::of(secret.expose_secret());
        self.secret_hash.is_some_and(|hash| hash.is(&given))
    }
}

/// All registered clients.
#[derive(Clone, Debug, Default)]
pub struct Clients(BTreeMap<String, Client>);

impl Clients {
    /// The client of that name.
    pub fn get(&self, id: &str) -> Option<&Client> {
        self.0.get(id)
    }

    /// All clients, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.0.values()
    }

    /// The only client there is, if it is public: it need not name itself.
    pub fn sole_public(&self) -> Option<&Client> {
        let mut clients = self.0.values();
        let first = clients.next()?;
        (clients.next().is_none() && first.is_public()).then_some(first)
    }

    /// Whether a page of this origin may read answers.
    pub fn allow_origin(&self, origin: &str) -> bool {
        self.0
            .values()
            .any(|client| client.allowed_origins.iter().any(|known| known == origin))
    }
}

impl FromIterator<Client> for Clients {
    fn from_iter<I: IntoIterator<Item = Client>>(clients: I) -> Self {
        Self(
            clients
                .into_iter()
                .map(|client| (client.id.0.clone(), client))
                .collect(),
        )
    }
}

/// The client behind a call, as far as it said who it is.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A confidential client that proved its secret.
    Authenticated(ClientId),
    /// A public client that named itself.
    Named(ClientId),
    /// Nobody in particular: the holder of a request id.
    Unnamed(Arc<Clients>),
}

impl Caller {
    /// Whether this caller may use a request that `owner` asked for. A public client's request
    /// belongs to whoever holds its id; a confidential client's only to that client.
    pub fn may_act_for(&self, owner: &str) -> bool {
        match self {
            Self::Authenticated(id) | Self::Named(id) => id.as_str() == owner,
            Self::Unnamed(clients) => clients.get(owner).is_some_and(Client::is_public),
        }
    }

    /// Every client that [`Self::may_act_for`] says yes to.
    pub fn owners(&self) -> Vec<String> {
        match self {
            Self::Authenticated(id) | Self::Named(id) => vec![id.to_string()],
            Self::Unnamed(clients) => {
                let public = clients.iter().filter(|client| client.is_public());
                public.map(|client| client.id.to_string()).collect()
            }
        }
    }

    /// The client's name; empty for a caller that gave none.
    pub fn name(&self) -> &str {
        match self {
            Self::Authenticated(id) | Self::Named(id) => id.as_str(),
            Self::Unnamed(_) => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str, secret: Option<&str>) -> Client {
        let hash = |secret: &str| {
            let digest = digest::digest(&digest::SHA256, secret.as_bytes());
            SecretHash(digest.as_ref().try_into().unwrap())
        };
        Client {
            id: (id).parse::<ClientId>().unwrap(),
            secret_hash: secret.map(hash),
            audience: vec!["api".to_owned()],
            allowed_origins: vec![format!("https://{id}.example")],
            access_token_ttl: Duration::from_mins(15),
            refresh: RefreshLife {
                idle: Duration::from_hours(1),
                absolute: Duration::from_hours(2),
            },
            scopes: Vec::new(),
            claims: Map::new(),
            may_introspect: false,
            countries: None,
            ceilings: Ceilings::default(),
        }
    }

    #[test]
    fn only_the_right_secret_authenticates_and_a_public_client_has_none() {
        let shop = client("shop", Some("s3cret"));
        assert!(shop.has_secret(&SecretString::from("s3cret")));
        assert!(!shop.has_secret(&SecretString::from("s3cres")));
        assert!(!shop.has_secret(&SecretString::from("")));
        assert!(!client("web", None).has_secret(&SecretString::from("")));
    }

    #[test]
    fn only_a_sole_public_client_need_not_name_itself() {
        let sole = |clients: Vec<Client>| {
            let clients: Clients = clients.into_iter().collect();
            clients.sole_public().map(|client| client.id.to_string())
        };
        assert_eq!(sole(vec![client("web", None)]), Some("web".to_owned()));
        assert_eq!(sole(vec![client("shop", Some("x"))]), None);
        assert_eq!(sole(vec![client("web", None), client("app", None)]), None);
        assert_eq!(sole(Vec::new()), None);
    }

    #[test]
    fn a_confidential_clients_request_is_its_own() {
        let clients: Clients = [client("web", None), client("shop", Some("x"))]
            .into_iter()
            .collect();
        let unnamed = Caller::Unnamed(Arc::new(clients));
        let named = |id: &str| Caller::Named((id).parse::<ClientId>().unwrap());

        assert!(unnamed.may_act_for("web"));
        assert!(!unnamed.may_act_for("shop"));
        assert!(!unnamed.may_act_for("gone"));
        assert_eq!(unnamed.owners(), ["web"]);
        assert_eq!(named("web").owners(), ["web"]);
        assert!(named("web").may_act_for("web"));
        assert!(!named("app").may_act_for("web"));
    }

    #[test]
    fn a_client_with_countries_sends_nowhere_else() {
        let country = |code: &str| Country::parse(code).ok();
        let anywhere = client("web", None);
        let shop = Client {
            countries: Some(country("IN").into_iter().collect()),
            ..client("shop", None)
        };
        for (to, by_shop) in [("IN", true), ("US", false)] {
            assert!(anywhere.may_send_to(country(to)), "{to}");
            assert_eq!(shop.may_send_to(country(to)), by_shop, "{to}");
        }
        assert!(anywhere.may_send_to(None));
        assert!(!shop.may_send_to(None));
    }

    #[test]
    fn only_exact_registered_origins_are_allowed() {
        let clients: Clients = [client("web", None)].into_iter().collect();

        assert!(clients.allow_origin("https://web.example"));
        assert!(!clients.allow_origin("https://web.example.evil"));
        assert!(!clients.allow_origin("http://web.example"));
        assert!(!clients.allow_origin("null"));
    }

    #[test]
    fn client_names_are_plain_and_short() {
        for (name, fits) in [
            ("a", true),
            ("web-1.x_Y", true),
            ("", false),
            ("a b", false),
            ("é", false),
        ] {
            assert_eq!((name).parse::<ClientId>().is_ok(), fits, "{name:?}");
        }
        assert!("a".repeat(64).parse::<ClientId>().is_ok());
        assert!("a".repeat(65).parse::<ClientId>().is_err());
    }
}
