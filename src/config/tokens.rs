//! `[tokens]`: how long tokens, sessions and signing keys live.

use std::collections::BTreeSet;
use std::time::Duration;

use super::reader::{Read, Reader};
use crate::client::ClientId;
pub use crate::token::keys::SigningAlgorithm;

/// Longest life of an access token in seconds: a day. There is no shortest one for safety.
pub(super) const ACCESS_TTL_MAX: u64 = 86_400;
/// Longest life of anything else, in seconds: a year.
const YEAR: u64 = 31_536_000;
/// In production a key is published at least so long before it signs: twice the 300 s for which a
/// JWKS may be cached.
const PUBLISH_AHEAD_MIN: Duration = Duration::from_mins(10);

/// `[tokens]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// How access tokens are signed.
    pub algorithm: SigningAlgorithm,
    /// Life of an access token, where the client has none of its own.
    pub access_ttl: Duration,
    /// Life of a refresh token that is not used.
    pub refresh_idle: Duration,
    /// Life of a session, used or not.
    pub refresh_absolute: Duration,
    /// How long a used refresh token still returns its successor.
    pub reuse_grace: Duration,
    /// Sessions that one user may have; the one that was not used for longest makes room.
    pub sessions_per_user: u32,
    /// How long a key signs.
    pub rotate_every: Duration,
    /// How long a key is published before it signs.
    pub publish_ahead: Duration,
    /// How long a key stays published after its last signature.
    pub keep_after: Duration,
    /// Who must have seen a key before it signs.
    pub verifiers: BTreeSet<String>,
    /// How long the key waits for them, beyond its time.
    pub verifier_deadline: Duration,
}

pub(super) fn read(reader: &mut Reader) -> Read<Tokens> {
    let algorithm = algorithm(reader);
    let access_ttl = reader.seconds("tokens.access_ttl_seconds", 1..=ACCESS_TTL_MAX);
    let refresh_idle = reader.seconds("tokens.refresh_idle_seconds", 1..=YEAR);
    let refresh_absolute = reader.seconds("tokens.refresh_absolute_seconds", 1..=YEAR);
    let reuse_grace = reader.seconds("tokens.reuse_grace_seconds", 0..=60);
    let sessions_per_user = reader.integer("tokens.sessions_per_user", 1..=1000);
    let rotate_every = reader.seconds("tokens.rotate_every_seconds", 1..=YEAR);
    let publish_ahead = reader.seconds("tokens.publish_ahead_seconds", 1..=2_592_000);
    let keep_after = reader.seconds("tokens.keep_after_seconds", 1..=YEAR);
    let verifiers = reader.parsed_list(
        "tokens.verifiers",
        "use 1 to 64 of A-Z a-z 0-9 . _ -",
        |name| Some(name.parse::<ClientId>().ok()?.as_str().to_owned()),
    );
    let verifier_deadline = reader.seconds("tokens.verifier_deadline_seconds", 0..=2_592_000);
    let tokens = Tokens {
        algorithm: algorithm?,
        access_ttl: access_ttl?,
        refresh_idle: refresh_idle?,
        refresh_absolute: refresh_absolute?,
        reuse_grace: reuse_grace?,
        sessions_per_user: sessions_per_user?,
        rotate_every: rotate_every?,
        publish_ahead: publish_ahead?,
        keep_after: keep_after?,
        verifiers: verifiers?.into_iter().collect(),
        verifier_deadline: verifier_deadline?,
    };
    check(reader, &tokens);
    Ok(tokens)
}

/// Notes values that contradict each other.
fn check(reader: &mut Reader, tokens: &Tokens) {
    if tokens.refresh_idle > tokens.refresh_absolute {
        reader.fault_in_production(
            "tokens.refresh_idle_seconds",
            "is longer than tokens.refresh_absolute_seconds, which ends the session; lower it",
        );
    }
    if tokens.publish_ahead >= tokens.rotate_every {
        reader.fault(
            "tokens.publish_ahead_seconds",
            "is not less than tokens.rotate_every_seconds, so no key would be ready; lower it",
        );
    }
    if tokens.publish_ahead < PUBLISH_AHEAD_MIN {
        reader.fault_in_production(
            "tokens.publish_ahead_seconds",
            "is below 600, so callers with a cached JWKS would refuse good tokens; raise it",
        );
    }
    if tokens.keep_after < tokens.access_ttl {
        reader.fault(
            "tokens.keep_after_seconds",
            "is shorter than tokens.access_ttl_seconds, so good tokens would be refused; raise it",
        );
    }
}

fn algorithm(reader: &mut Reader) -> Read<SigningAlgorithm> {
    const KEY: &str = "tokens.algorithm";
    let name = reader.text(KEY)?;
    SigningAlgorithm::parse(&name).ok_or_else(|| {
        let mend = "use \"ES256\", \"EdDSA\" or \"RS256\"";
        reader.fault(KEY, format!("{name:?} is unknown; {mend}"))
    })
}
