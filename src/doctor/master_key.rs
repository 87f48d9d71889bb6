//! Whether the master keys of the settings are those of the database.

use std::time::Duration;

use sqlx::PgPool;

use super::database::Reached;
use super::report::Finding;
use super::within;
use crate::master_key::{self, MasterKeyError};
use crate::secrets::MasterKeys;

const NAME: &str = "secrets.master_key";

pub(super) async fn check(
    pool: &PgPool,
    masters: MasterKeys,
    reached: impl Future<Output = Reached>,
    deadline: Duration,
) -> Finding {
    if reached.await.is_err() {
        return unknown("needs the database");
    }
    within(deadline, NAME, look(pool, masters)).await
}

/// What is said where the database cannot be asked.
pub(super) fn unknown(why: &str) -> Finding {
    Finding::skip(NAME, why)
}

async fn look(pool: &PgPool, masters: MasterKeys) -> Finding {
    match master_key::look(pool, masters).await {
        Ok(left) if left.is_empty() => Finding::ok(NAME, "every row is sealed under it"),
        Ok(left) => Finding::warn(
            NAME,
            format!("rows left under other keys: {left}"),
            "keep those keys in secrets.other_master_keys until none is left: docs/backup.md",
        ),
        Err(MasterKeyError::Wrong) => Finding::fail(
            NAME,
            "the rows of this database were sealed with another one",
            "use that one; a new one comes in three steps: docs/backup.md",
        ),
        Err(MasterKeyError::Needed(left)) => Finding::fail(
            NAME,
            format!("rows need a key that is not in the settings: {left}"),
            "put it back into secrets.other_master_keys: docs/backup.md",
        ),
        Err(_) => unknown("needs what database.migrations and database.rights are about"),
    }
}
