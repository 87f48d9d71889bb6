//! What a gateway requires of a token, beyond its being good.

use chrono::{DateTime, TimeDelta, Utc};

use crate::verifier::Claims;

/// What a token must have. All of it: where it is said twice, both hold, so whoever adds a header to a
/// request can only be asked for more by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    audiences: Vec<String>,
    scopes: Vec<String>,
    max_age: Option<TimeDelta>,
    /// What was said cannot be read. Nobody passes, since it may have meant anything.
    unreadable: Option<&'static str>,
}

/// What a good token lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// It is for others.
    #[error("the token is for another audience")]
    Audience,
    /// It may do less; the scopes that are required, separated by spaces.
    #[error("the token lacks a scope that is required")]
    Scope(String),
    /// Its user entered a code longer ago than this many seconds.
    #[error("the login is too long ago")]
    Age(i64),
    /// What the gateway requires cannot be read; the option's name.
    #[error("the gateway's {0} cannot be read")]
    Unreadable(&'static str),
}

impl Requirement {
    /// Requires this audience.
    pub fn audience(&mut self, audience: &str) {
        if audience.is_empty() {
            self.unreadable("audience");
        } else {
            self.audiences.push(audience.to_owned());
        }
    }

    /// Requires these scopes, separated by spaces (RFC 6749 section 3.3).
    pub fn scope(&mut self, scopes: &str) {
        let scopes = scopes.split_ascii_whitespace().map(str::to_owned);
        let before = self.scopes.len();
        self.scopes.extend(scopes);
        if self.scopes.len() == before {
            self.unreadable("scope");
        }
    }

    /// Requires that the user entered a code at most so many whole seconds ago (`max_age` of RFC 9470).
    pub fn max_age(&mut self, seconds: &str) {
        let digits = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
        let age = seconds.parse().ok().and_then(TimeDelta::try_seconds);
        match age.filter(|_| digits) {
            Some(age) => {
                self.max_age = Some(self.max_age.map_or(age, |known| known.min(age)));
            }
            None => self.unreadable("max_age"),
        }
    }

    /// An option that is said in a way that cannot be read.
    pub fn unreadable(&mut self, option: &'static str) {
        self.unreadable = Some(option);
    }

    /// Whether a token has what is required.
    pub fn met_by(&self, claims: &Claims, now: DateTime<Utc>) -> Result<(), Unmet> {
        if let Some(option) = self.unreadable {
            return Err(Unmet::Unreadable(option));
        }
        if !self
            .audiences
            .iter()
            .all(|audience| claims.audience().contains(audience))
        {
            return Err(Unmet::Audience);
        }
        if !self.scopes.iter().all(|scope| claims.has_scope(scope)) {
            return Err(Unmet::Scope(self.scopes.join(" ")));
        }
        if let Some(most) = self.max_age {
            // Whole seconds, since that is how the token tells it.
            let is_recent = claims
                .auth_time()
                .is_some_and(|at| (now - at).num_seconds() <= most.num_seconds());
            if !is_recent {
                return Err(Unmet::Age(most.num_seconds()));
            }
        }
        Ok(())
    }
}
