//! Tokens that were found good, so that the same one again costs no signature check.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::clock::rfc3339;
use crate::token::keys::Published;
use crate::token::own::OwnTokens;
use crate::verifier::{Claims, Refused};

/// SHA-256 of a token. A copy of the memory shows no token that was only remembered.
type TokenHash = [u8; 32];

/// A token that was found good.
pub struct Checked {
    pub(super) claims: Claims,
    /// The keys it was checked with: where others are published now, it is checked again, for its key
    /// may be one that was revoked.
    keys: Arc<Published>,
    /// Its session and its user, `None` where it does not name both by their ids.
    pub(super) ids: Option<(Uuid, Uuid)>,
    /// Made once for all calls that show it.
    scopes: String,
    expires_at: String,
}

impl Checked {
    fn new(claims: Claims, keys: Arc<Published>) -> Self {
        let session = Uuid::try_parse(claims.session_id());
        Self {
            ids: session.ok().zip(Uuid::try_parse(claims.subject()).ok()),
            scopes: claims.scopes().join(" "),
            expires_at: rfc3339(claims.expires_at()),
            claims,
            keys,
        }
    }

    /// Its scopes, space-separated.
    pub fn scopes(&self) -> &str {
        &self.scopes
    }

    /// Its end (RFC 3339).
    pub fn expires_at(&self) -> &str {
        &self.expires_at
    }
}

/// The good tokens that came last. One that is over makes room like any other that does not come again: its end is
/// compared anew each time.
pub struct Remembered {
    own: Arc<OwnTokens>,
    tokens: Cache<TokenHash, Arc<Checked>>,
}

impl Remembered {
    /// Remembers up to `most` tokens.
    pub fn new(own: Arc<OwnTokens>, most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self {
            own,
            tokens: Cache::new(most),
        }
    }

    /// What a token says, if it is good. Whether its session still lives is not looked at.
    pub fn check(&self, token: &str, now: DateTime<Utc>) -> Result<Arc<Checked>, Refused> {
        let keys = self.own.keys();
        let Ok(hash) = TokenHash::try_from(digest(&SHA256, token.as_bytes()).as_ref()) else {
            return Err(Refused::Malformed);
        };
        if let Some(known) = self.tokens.get(&hash)
            && Arc::ptr_eq(&known.keys, &keys)
        {
            return if now < known.claims.expires_at() {
                Ok(known)
            } else {
                Err(Refused::Expired)
            };
        }
        let claims = self.own.check_with(token, &keys, now)?;
        let checked = Arc::new(Checked::new(claims, keys));
        self.tokens.insert(hash, Arc::clone(&checked));
        Ok(checked)
    }
}
