//! `[database]`: where PostgreSQL is and how long we wait for it.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::reader::{Read, Reader};

/// `[database]`
#[derive(Clone, Debug)]
pub struct Database {
    /// With user and password; of PostgreSQL, or of a pooler in front of it.
    pub url: SecretString,
    /// The same of PostgreSQL itself, where `url` is a pooler's.
    pub direct_url: Option<SecretString>,
    /// Connections of this process.
    pub max_connections: u32,
    /// How long a request waits for a connection.
    pub acquire_timeout: Duration,
    /// How long PostgreSQL works on one statement.
    pub statement_timeout: Duration,
    /// Whether the tables are brought up to date at start.
    pub migrate_on_start: bool,
}

pub(super) fn read(reader: &mut Reader) -> Read<Database> {
    let url = url(reader);
    let direct_url = direct_url(reader);
    let max_connections = reader.integer("database.max_connections", 1..=1000);
    let acquire_timeout = reader.millis("database.acquire_timeout_ms", 10..=60_000);
    let statement_timeout = reader.millis("database.statement_timeout_ms", 10..=60_000);
    let migrate_on_start = reader.flag("database.migrate_on_start");
    Ok(Database {
        url: url?,
        direct_url: direct_url?,
        max_connections: max_connections?,
        acquire_timeout: acquire_timeout?,
        statement_timeout: statement_timeout?,
        migrate_on_start: migrate_on_start?,
    })
}

fn url(reader: &mut Reader) -> Read<SecretString> {
    const KEY: &str = "database.url";
    let Some(url) = reader.secret(KEY)? else {
        return Err(reader.fault(
            KEY,
            "is not set; give DATABASE_URL=postgres://user:password@host:5432/name, or its file by \
             DATABASE_URL_FILE",
        ));
    };
    checked(reader, KEY, url)
}

fn direct_url(reader: &mut Reader) -> Read<Option<SecretString>> {
    const KEY: &str = "database.direct_url";
    let url = reader.secret(KEY)?;
    url.map(|url| checked(reader, KEY, url)).transpose()
}

fn checked(reader: &mut Reader, key: &str, url: SecretString) -> Read<SecretString> {
    let is_postgres = Url::parse(url.expose_secret())
        .is_ok_and(|url| matches!(url.scheme(), "postgres" | "postgresql"));
    is_postgres.then_some(url).ok_or_else(|| {
        reader.fault(
            key,
            "is no address of a database; it must begin with postgres://",
        )
    })
}
