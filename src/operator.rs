//! Who may call the admin API, and what for.
//!
//! | role | may |
//! |---|---|
//! | `viewer` | read what names no person: the audit log, rules, switches, signing keys |
//! | `support` | that, and what helps one person: look a phone up, unlock it, list and end sessions, set rules |
//! | `owner` | that, and what concerns everybody or cannot be undone: switches, signing keys, erasure |

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::client::{ClientId, SecretHash};

/// What an operator may do; each role may what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Helps people.
    Support,
    /// Decides.
    Owner,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Support, Self::Owner];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Support => "support",
            Self::Owner => "owner",
        }
    }

    /// The role of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The name of an operator's token: 1 to 64 of `[A-Za-z0-9._-]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorId(ClientId);

/// The text is no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no id; use 1 to 64 of A-Z a-z 0-9 . _ -")]
pub struct OperatorIdError;

impl FromStr for OperatorId {
    type Err = OperatorIdError;

    fn from_str(text: &str) -> Result<Self, OperatorIdError> {
        // The same alphabet, since both stand in the same column of the audit log.
        text.parse().map(Self).or(Err(OperatorIdError))
    }
}

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// `None` holds `secrets.admin_token`.
    pub id: Option<OperatorId>,
    /// What he may do.
    pub role: Role,
}

/// A call of an operator that changes something.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Who makes it.
    pub by: &'a Operator,
    /// Its `X-Request-Id`.
    pub trace_id: &'a str,
    /// When.
    pub now: DateTime<Utc>,
}

/// One of `[[admin_tokens]]`.
#[derive(Clone, Debug)]
pub struct AdminToken {
    /// Whose.
    pub id: OperatorId,
    /// What it opens.
    pub role: Role,
    /// What is kept of it.
    pub hash: SecretHash,
    /// When it ends to open anything; `None` = never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// No token does.
    NotConfigured,
    /// It is nobody's.
    Wrong,
    /// It was somebody's.
    Expired,
}

/// All tokens that open the admin API.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    /// The hash of `secrets.admin_token`.
    root: Option<SecretHash>,
    tokens: Vec<AdminToken>,
}

impl Operators {
    /// The holder of `root`, who is an owner, and those of `tokens`.
    pub fn new(root: Option<&SecretString>, tokens: Vec<AdminToken>) -> Self {
        let root = root.map(|root| SecretHash::of(root.expose_secret()));
        Self { root, tokens }
    }

    /// Whose token this is. It is compared with all of them, each in constant time: how long that takes tells
    /// nothing.
    pub fn find(&self, token: &str, now: DateTime<Utc>) -> Result<Operator, Stranger> {
        if self.root.is_none() && self.tokens.is_empty() {
            return Err(Stranger::NotConfigured);
        }
        let given = SecretHash::of(token);
        let mut found = Err(Stranger::Wrong);
        if self.root.is_some_and(|root| root.is(&given)) {
            found = Ok(Operator {
                id: None,
                role: Role::Owner,
            });
        }
        for kept in &self.tokens {
            if kept.hash.is(&given) && found.is_err() {
                let is_over = kept.expires_at.is_some_and(|end| end <= now);
                let operator = Operator {
                    id: Some(kept.id.clone()),
                    role: kept.role,
                };
                found = if is_over {
                    Err(Stranger::Expired)
                } else {
                    Ok(operator)
                };
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: &str, role: Role, text: &str, expires_at: Option<i64>) -> AdminToken {
        AdminToken {
            id: id.parse().unwrap(),
            role,
            hash: SecretHash::of(text),
            expires_at: expires_at.and_then(|at| DateTime::from_timestamp(at, 0)),
        }
    }

    #[test]
    fn a_token_is_its_owners_until_it_expires() {
        let root = SecretString::from("root");
        let tokens = vec![
            token("ann", Role::Viewer, "of ann", None),
            token("bob", Role::Support, "of bob", Some(100)),
        ];
        let operators = Operators::new(Some(&root), tokens);
        let find = |text, at| {
            let now = DateTime::from_timestamp(at, 0).unwrap();
            let found = operators.find(text, now);
            found.map(|found| (found.id.map(|id| id.to_string()), found.role))
        };
        let named = |id: &str, role| Ok((Some(id.to_owned()), role));

        assert_eq!(find("root", 0), Ok((None, Role::Owner)));
        assert_eq!(find("of ann", 0), named("ann", Role::Viewer));
        assert_eq!(find("of bob", 99), named("bob", Role::Support));
        assert_eq!(find("of bob", 100), Err(Stranger::Expired));
        for wrong in ["", "of", "of ann ", "Root"] {
            assert_eq!(find(wrong, 0), Err(Stranger::Wrong), "{wrong:?}");
        }
    }

    #[test]
    fn without_tokens_nobody_gets_in() {
        let none = Operators::new(None, Vec::new());
        let found = none.find("", DateTime::UNIX_EPOCH);
        assert_eq!(found, Err(Stranger::NotConfigured));
    }

    #[test]
    fn roles_are_in_order_and_read_back() {
        assert!(Role::Viewer < Role::Support && Role::Support < Role::Owner);
        for role in Role::ALL {
            assert_eq!(Role::parse(role.name()), Some(role));
        }
        assert_eq!(Role::parse("Owner"), None);
    }
}
