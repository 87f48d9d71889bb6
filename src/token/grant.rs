//! What a token is for: audiences and scopes, never more than its client was given.

use crate::client::Client;

/// What a caller asks for; `None` = all that there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Who the tokens are for.
    pub audience: Option<Vec<String>>,
    /// What they say and do.
    pub scopes: Option<Vec<String>>,
}

/// What a token gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    audience: Vec<String>,
    scopes: Vec<String>,
}

/// The caller asked for what is not its to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGiven {
    /// An audience.
    #[error("names an audience that the client was not given")]
    Audience,
    /// A scope.
    #[error("names a scope that the client was not given")]
    Scope,
}

/// The text is no list of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be scopes with one blank between them")]
pub struct ScopeError;

impl Wanted {
    /// Reads `scope` (RFC 6749 section 3.3). An empty one asks for no scope at all.
    pub fn parse_scopes(text: &str) -> Result<Vec<String>, ScopeError> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let scopes: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let good = scopes.iter().all(|scope| is_scope_token(scope));
        good.then_some(scopes).ok_or(ScopeError)
    }

    /// Whether all of it is asked for.
    pub fn is_all(&self) -> bool {
        self.audience.is_none() && self.scopes.is_none()
    }
}

/// `scope-token` of RFC 6749 section 3.3.
pub fn is_scope_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

impl Granted {
    /// All that a client has.
    pub fn all(client: &Client) -> Self {
        Self {
            audience: client.audience.clone(),
            scopes: client.scopes.clone(),
        }
    }

    /// What is left of it for whoever once asked for `wanted`: a client's registration may have shrunk
    /// since.
    #[must_use]
    pub fn left_of(mut self, wanted: &Wanted) -> Self {
        if let Some(asked) = &wanted.audience {
            self.audience.retain(|audience| asked.contains(audience));
        }
        if let Some(asked) = &wanted.scopes {
            self.scopes.retain(|scope| asked.contains(scope));
        }
        self
    }

    /// The part of it that is asked for now, all of which must be there.
    pub fn narrowed(self, wanted: &Wanted) -> Result<Self, NotGiven> {
        let has = |given: &[String], asked: &Option<Vec<String>>| {
            asked.iter().flatten().all(|one| given.contains(one))
        };
        let asks_for_nobody = wanted.audience.as_ref().is_some_and(Vec::is_empty);
        if asks_for_nobody || !has(&self.audience, &wanted.audience) {
            return Err(NotGiven::Audience);
        }
        if !has(&self.scopes, &wanted.scopes) {
            return Err(NotGiven::Scope);
        }
        Ok(self.left_of(wanted))
    }

    /// Who the token is for.
    pub fn audience(&self) -> &[String] {
        &self.audience
    }

    /// Its scopes as one text (RFC 6749 section 3.3).
    pub fn scope(&self) -> String {
        self.scopes.join(" ")
    }

    /// Whether the number is in it.
    pub fn has_phone(&self) -> bool {
        self.scopes.iter().any(|scope| scope == "phone")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(audience: &[&str], scopes: &[&str]) -> Granted {
        Granted {
            audience: texts(audience),
            scopes: texts(scopes),
        }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn wanted(audience: Option<&[&str]>, scopes: Option<&[&str]>) -> Wanted {
        Wanted {
            audience: audience.map(texts),
            scopes: scopes.map(texts),
        }
    }

    #[test]
    fn nobody_is_granted_what_was_not_given() {
        let all = || given(&["orders", "billing"], &["phone", "read"]);
        for (audience, scopes, granted) in [
            (None, None, Ok(all())),
            (
                Some(&["billing"][..]),
                None,
                Ok(given(&["billing"], &["phone", "read"])),
            ),
            (None, Some(&[][..]), Ok(given(&["orders", "billing"], &[]))),
            (
                Some(&["billing", "orders"]),
                Some(&["read"]),
                Ok(given(&["orders", "billing"], &["read"])),
            ),
            (Some(&["admin"]), None, Err(NotGiven::Audience)),
            (Some(&["orders", "admin"]), None, Err(NotGiven::Audience)),
            (Some(&["Orders"]), None, Err(NotGiven::Audience)),
            (Some(&[]), None, Err(NotGiven::Audience)),
            (None, Some(&["write"]), Err(NotGiven::Scope)),
            (None, Some(&["read", "write"]), Err(NotGiven::Scope)),
        ] {
            let asked = wanted(audience, scopes);
            assert_eq!(all().narrowed(&asked), granted, "{asked:?}");
        }
    }

    #[test]
    fn what_a_client_lost_is_not_granted_any_more() {
        let asked = wanted(Some(&["orders", "billing"]), Some(&["phone", "read"]));

        let left = given(&["billing", "new"], &["read", "write"]).left_of(&asked);

        assert_eq!(left, given(&["billing"], &["read"]));
    }

    #[test]
    fn scopes_are_read_as_rfc_6749_writes_them() {
        for (text, scopes) in [
            ("", Ok(vec![])),
            ("phone", Ok(vec!["phone"])),
            ("phone orders:read", Ok(vec!["phone", "orders:read"])),
            ("phone  read", Err(ScopeError)),
            (" phone", Err(ScopeError)),
            ("phone ", Err(ScopeError)),
            ("a\"b", Err(ScopeError)),
            ("a\\b", Err(ScopeError)),
            ("a\tb", Err(ScopeError)),
            ("é", Err(ScopeError)),
        ] {
            assert_eq!(
                Wanted::parse_scopes(text),
                scopes.map(|scopes| texts(&scopes)),
                "{text:?}"
            );
        }
    }
}
