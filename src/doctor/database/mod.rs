//! The database, over connections as the service has them.

mod judge;

use std::time::Duration;

use sqlx::PgPool;
use sqlx::migrate::MigrateError;
use tokio::time::{Instant, timeout};

use super::drift::{Reading, timed};
use super::report::Finding;
use super::store::{self, Server};
use super::within;
use crate::clock::Clock;
use crate::database::{self, DatabaseOptions, MIGRATIONS};
use crate::random::{self, Random};

const REACH: &str = "database.reach";
const WRITABLE: &str = "database.writable";
const MIGRATED: &str = "database.migrations";
const CONNECTIONS: &str = "database.connections";
const ROUND_TRIP: &str = "database.round_trip";
const CLOCK: &str = "database.clock";
const RIGHTS: &str = "database.rights";
const TIMEOUTS: &str = "database.timeouts";
const LISTEN: &str = "database.listen";

/// Of so many round trips the middle one counts.
const TRIPS: usize = 5;
/// Longest way of a notification: twice the time in which a revocation has to be everywhere.
const NOTIFIED_WITHIN: Duration = Duration::from_secs(2);

/// What the service does with its tables: SELECT, INSERT, UPDATE and DELETE, by their first letters.
const TABLES: [(&str, &str); 20] = [
    ("access_rules", "SIUD"),
    ("address_throttles", "SIUD"),
    ("audit_events", "SI"),
    ("carried_keys", "SIU"),
    ("idempotency_keys", "SIUD"),
    ("leases", "SIU"),
    ("master_keys", "SID"),
    ("operator_changes", "SU"),
    ("otp_requests", "SIUD"),
    ("phone_throttles", "SIUD"),
    ("revocation_feed", "SU"),
    ("revocations", "SIUD"),
    ("sessions", "SIUD"),
    ("signing_keys", "SIUD"),
    ("sms_counters", "SIUD"),
    ("spend_warnings", "SID"),
    ("spent_refresh_tokens", "SIUD"),
    ("switches", "SIU"),
    ("users", "SIUD"),
    ("verifier_sightings", "SIU"),
];

/// Every right to a table that the service uses: the table, and what it does there.
pub fn rights() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rights = |(table, letters): &(&'static str, &'static str)| {
        let table = *table;
        letters.chars().map(move |letter| (table, right(letter)))
    };
    TABLES.iter().flat_map(rights)
}

/// What is asked of the database.
pub(super) struct Database<'a> {
    pub(super) options: &'a DatabaseOptions,
    /// Connections of its own.
    pub(super) pool: &'a PgPool,
    /// The same past a pooler, if there is one.
    pub(super) direct: Option<&'a PgPool>,
    pub(super) migrate_on_start: bool,
    /// How many replicas there are to be.
    pub(super) replicas: u32,
    pub(super) clock: &'a dyn Clock,
    pub(super) random: &'a dyn Random,
}

/// Who is there, or what is said if nobody is.
pub(super) type Reached = Result<Server, Finding>;

/// Looks for it.
pub(super) async fn reach(options: &DatabaseOptions, deadline: Duration) -> Reached {
    match timeout(deadline, store::server(options)).await {
        Ok(Ok(server)) => Ok(server),
        Ok(Err(error)) => {
            let advice = "see that database.url names the right host, port, user, password and \
                          database, and that PostgreSQL runs and lets this machine in";
            Err(Finding::fail(REACH, reason(&error), advice))
        }
        Err(_) => Err(Finding::late(REACH, deadline)),
    }
}

/// Checks all of it; where nobody answers, nothing more is asked.
pub(super) async fn check(
    database: &Database<'_>,
    reached: impl Future<Output = Reached>,
    deadline: Duration,
) -> Vec<Finding> {
    let server = match reached.await {
        Ok(server) => server,
        Err(finding) => return unreached(finding),
    };
    let late = |_| {
        (
            Finding::late(ROUND_TRIP, deadline),
            Finding::late(CLOCK, deadline),
        )
    };
    let (migrations, connections, (round_trip, clock), rights, timeouts, listen) = tokio::join!(
        within(deadline, MIGRATED, database.migrations()),
        within(deadline, CONNECTIONS, database.connections()),
        async {
            let timed = timeout(deadline, database.times()).await;
            timed.unwrap_or_else(late)
        },
        within(deadline, RIGHTS, database.rights()),
        within(deadline, TIMEOUTS, database.timeouts()),
        within(deadline, LISTEN, database.listen()),
    );
    let (reach, writable) = (judge::version(&server), judge::writable(&server));
    vec![
        reach,
        writable,
        migrations,
        connections,
        round_trip,
        clock,
        rights,
        timeouts,
        listen,
    ]
}

/// What is said of the database where it cannot be asked.
pub(super) fn unreached(reach: Finding) -> Vec<Finding> {
    let others = [
        WRITABLE,
        MIGRATED,
        CONNECTIONS,
        ROUND_TRIP,
        CLOCK,
        RIGHTS,
        TIMEOUTS,
        LISTEN,
    ];
    let skip = |name| Finding::skip(name, "needs the database");
    std::iter::once(reach)
        .chain(others.into_iter().map(skip))
        .collect()
}

/// What is said without settings.
pub(super) fn unknown(why: &str) -> Vec<Finding> {
    unreached(Finding::skip(REACH, why))
}

impl Database<'_> {
    async fn migrations(&self) -> Finding {
        let known = MIGRATIONS.iter();
        let known = known.map(|one| (one.version, one.checksum.to_vec()));
        match store::applied(self.pool).await {
            Ok(Some(applied)) => {
                judge::migrations(&known.collect(), &applied, self.migrate_on_start)
            }
            Ok(None) => {
                let seen = "the user of database.url may not read _sqlx_migrations";
                if self.migrate_on_start {
                    let advice = "set database.migrate_on_start = false, and run otp-auth migrate as \
                                  another user";
                    Finding::fail(MIGRATED, seen, advice)
                } else {
                    Finding::skip(MIGRATED, seen)
                }
            }
            Err(MigrateError::Execute(error)) => failed(MIGRATED, &error),
            Err(_) => Finding::fail(
                MIGRATED,
                "the list of them cannot be read",
                "look at the table _sqlx_migrations",
            ),
        }
    }

    async fn connections(&self) -> Finding {
        match store::connections(self.pool).await {
            Ok(connections) => {
                // Behind a pooler the pool is its own.
                let pool = match self.direct {
                    Some(_) => 0,
                    None => self.options.max_connections,
                };
                judge::connections(connections, pool, self.replicas)
            }
            Err(error) => failed(CONNECTIONS, &error),
        }
    }

    /// One connection for both, which is there before it is asked.
    async fn times(&self) -> (Finding, Finding) {
        match self.time().await {
            Ok((trips, reading)) => {
                let advice = "let both machines follow a time server: codes and tokens begin and end \
                              by this machine's clock, on every replica";
                let clock = reading.judge(CLOCK, "the database's clock", advice);
                (judge::round_trips(trips), clock)
            }
            Err(error) => (failed(ROUND_TRIP, &error), failed(CLOCK, &error)),
        }
    }

    async fn time(&self) -> Result<(Vec<Duration>, Reading), sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let mut trips = Vec::with_capacity(TRIPS);
        for _ in 0..TRIPS {
            let start = Instant::now();
            store::now(&mut connection).await?;
            trips.push(start.elapsed());
        }
        let now = store::now(&mut connection);
        let (said, asked, answered) = timed(self.clock, now).await;
        Ok((trips, Reading::new(said?, asked, answered)))
    }

    async fn rights(&self) -> Finding {
        let (tables, rights): (Vec<String>, Vec<String>) = rights()
            .map(|(table, right)| (table.to_owned(), right.to_owned()))
            .unzip();
        match store::missing_rights(self.pool, &tables, &rights).await {
            Ok(missing) if missing.is_empty() => Finding::ok(RIGHTS, "none is missing"),
            Ok(missing) => Finding::fail(
                RIGHTS,
                format!("missing: {}", missing.join(", ")),
                "grant them to the user of database.url",
            ),
            Err(error) => failed(RIGHTS, &error),
        }
    }

    async fn timeouts(&self) -> Finding {
        match database::timeouts(self.pool).await {
            Ok(timeouts) => judge::timeouts(timeouts, self.options.timeouts()),
            Err(error) => failed(TIMEOUTS, &error),
        }
    }

    async fn listen(&self) -> Finding {
        let advice = "a pooler between that changes connections between two statements loses them, and \
                      revocations come up to half a second later: point database.direct_url at \
                      PostgreSQL itself";
        let Ok(name) = random::bytes::<16>(self.random) else {
            return Finding::fail(LISTEN, "no randomness", "look at this machine");
        };
        let word = format!("{:032x}", u128::from_be_bytes(name));
        let channel = format!("otp_auth_doctor_{word}");
        let mut ear = match store::listen(self.direct.unwrap_or(self.pool), &channel).await {
            Ok(ear) => ear,
            Err(error) => return failed(LISTEN, &error),
        };
        let heard = store::hear(self.pool, &mut ear, &channel, &word);
        match timeout(NOTIFIED_WITHIN, heard).await {
            Ok(Ok(())) => Finding::ok(LISTEN, "a notification came back"),
            Ok(Err(error)) => failed(LISTEN, &error),
            // Replicas look by themselves, too.
            Err(_) => Finding::warn(LISTEN, "no notification came within 2 s", advice),
        }
    }
}

fn right(letter: char) -> &'static str {
    match letter {
        'I' => "INSERT",
        'U' => "UPDATE",
        'D' => "DELETE",
        _ => "SELECT",
    }
}

fn failed(name: &'static str, error: &sqlx::Error) -> Finding {
    Finding::fail(name, reason(error), "look at PostgreSQL's own log")
}

/// What a statement or a connection failed of. Only what cannot hold `database.url`.
pub(super) fn reason(error: &sqlx::Error) -> String {
    if let sqlx::Error::Database(error) = error {
        let code = error.code();
        let code = code.as_deref().unwrap_or("no code");
        format!("PostgreSQL says: {} ({code})", error.message())
    } else if let sqlx::Error::Io(error) = error {
        format!("no connection: {error}")
    } else if let sqlx::Error::Tls(error) = error {
        format!("no TLS: {error}")
    } else if matches!(error, sqlx::Error::PoolTimedOut) {
        "no connection within database.acquire_timeout_ms".to_owned()
    } else {
        "the connection broke".to_owned()
    }
}
