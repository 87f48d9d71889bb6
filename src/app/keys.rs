//! The settings become the rules of the signing keys.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgPool;

use super::Deps;
use crate::config::Settings;
use crate::secrets::Keyring;
use crate::token::keys::{Keeper, KeyPolicy};

pub(super) fn keeper(
    settings: &Settings,
    deps: &Deps,
    keyring: Arc<Keyring>,
    pool: PgPool,
) -> Keeper {
    let tokens = &settings.tokens;
    let lives = settings
        .clients
        .iter()
        .map(|client| client.access_token_ttl);
    let longest = lives.fold(tokens.access_ttl, Duration::max);
    let policy = KeyPolicy {
        algorithm: tokens.algorithm,
        rotate_every: delta(tokens.rotate_every),
        publish_ahead: delta(tokens.publish_ahead),
        keep_after: delta(tokens.keep_after),
        longest_token: delta(longest),
        verifiers: tokens.verifiers.clone(),
        verifier_deadline: delta(tokens.verifier_deadline),
    };
    Keeper {
        pool,
        keyring,
        random: Arc::clone(&deps.random),
        clock: Arc::clone(&deps.clock),
        policy: Arc::new(policy),
    }
}

/// The settings bound it to a year.
fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
