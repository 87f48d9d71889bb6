//! What is good enough.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::report::Finding;
use crate::database::Timeouts;

use super::super::store::{Applied, Connections, Server};
use super::{CONNECTIONS, MIGRATED, REACH, ROUND_TRIP, TIMEOUTS, WRITABLE};

/// The oldest version that the tests run on, as README says: 15.
const OLDEST: i32 = 150_000;
/// A replica's connection over which it is told of revocations, beside those of its pool.
const FOLLOWER: i64 = 1;
/// From here on a round trip is worth a look: a verify takes up to seven statements, and nobody should wait
/// for them longer than half a second.
const SLOW: Duration = Duration::from_millis(50);

pub(super) fn version(server: &Server) -> Finding {
    let seen = format!("PostgreSQL {}", server.version);
    if server.number < OLDEST {
        return Finding::warn(REACH, seen, "upgrade: nothing below 15 is tested");
    }
    Finding::ok(REACH, seen)
}

pub(super) fn writable(server: &Server) -> Finding {
    if server.is_standby {
        let advice = "point database.url at the primary";
        return Finding::fail(WRITABLE, "it is a standby", advice);
    }
    if server.is_read_only {
        let advice = "take default_transaction_read_only from the user or the database";
        return Finding::fail(WRITABLE, "it is read-only", advice);
    }
    Finding::ok(WRITABLE, "it is a primary that can be written to")
}

pub(super) fn migrations(
    known: &BTreeMap<i64, Vec<u8>>,
    applied: &Applied,
    on_start: bool,
) -> Finding {
    let list = |versions: Vec<i64>| {
        let texts: Vec<String> = versions.iter().map(i64::to_string).collect();
        texts.join(", ")
    };
    if let Some(version) = applied.broken {
        let seen = format!("{version} broke off");
        return Finding::fail(MIGRATED, seen, "restore from a backup, or mend it by hand");
    }
    let all = applied.migrations.iter();
    let changed = all
        .clone()
        .filter(|(version, checksum)| known.get(version).is_some_and(|ours| ours != checksum));
    let changed: Vec<i64> = changed.map(|(version, _)| *version).collect();
    if !changed.is_empty() {
        let seen = format!(
            "applied with another text than this program's: {}",
            list(changed)
        );
        let advice = "run a program that was released, against a database that one made";
        return Finding::fail(MIGRATED, seen, advice);
    }
    let newer = all
        .clone()
        .filter(|(version, _)| !known.contains_key(version));
    let newer: Vec<i64> = newer.map(|(version, _)| *version).collect();
    if !newer.is_empty() {
        let seen = format!("applied by a newer version: {}", list(newer));
        let advice = "run that version; this one works if it is the one before";
        return Finding::warn(MIGRATED, seen, advice);
    }
    let is_applied = |version: &i64| all.clone().any(|(applied, _)| applied == version);
    let pending: Vec<i64> = known
        .keys()
        .copied()
        .filter(|version| !is_applied(version))
        .collect();
    if pending.is_empty() {
        return Finding::ok(MIGRATED, format!("all {} are applied", known.len()));
    }
    let seen = format!("pending: {}", list(pending));
    if on_start {
        Finding::warn(MIGRATED, seen, "start this version, which applies them")
    } else {
        Finding::fail(MIGRATED, seen, "run: otp-auth migrate")
    }
}

pub(super) fn connections(connections: Connections, pool: u32, replicas: u32) -> Finding {
    let Connections { most, ours, others } = connections;
    let most = i64::from(most);
    let needed = (i64::from(pool) + FOLLOWER) * i64::from(replicas);
    let seen = format!(
        "{needed} wanted by {replicas} x ({pool} + {FOLLOWER}), of {most}; {ours} are ours now, {others} those \
         of others"
    );
    if needed > most {
        let advice = "lower database.max_connections, or raise max_connections of PostgreSQL";
        return Finding::fail(CONNECTIONS, seen, advice);
    }
    if needed + others > most {
        let advice = "lower database.max_connections or what others hold, or raise max_connections \
                      of PostgreSQL";
        return Finding::warn(CONNECTIONS, seen, advice);
    }
    Finding::ok(CONNECTIONS, seen)
}

pub(super) fn timeouts(found: Timeouts, wanted: Timeouts) -> Finding {
    let Timeouts {
        statement,
        idle_in_transaction,
    } = found;
    let seen = format!(
        "a statement {statement} ms, a transaction that stands still {idle_in_transaction} ms"
    );
    if found == wanted {
        return Finding::ok(TIMEOUTS, seen);
    }
    let advice = "a pooler between sets others than database.statement_timeout_ms asks for: set them in its \
                  connect_query, as deploy/pgbouncer/ does";
    if statement == 0 || idle_in_transaction == 0 {
        return Finding::fail(TIMEOUTS, seen, advice);
    }
    Finding::warn(TIMEOUTS, seen, advice)
}

pub(super) fn round_trips(mut trips: Vec<Duration>) -> Finding {
    trips.sort();
    let middle = trips.get(trips.len() / 2).copied().unwrap_or_default();
    let seen = format!("{:.1} ms", middle.as_secs_f64() * 1000.0);
    if middle > SLOW {
        return Finding::warn(
            ROUND_TRIP,
            seen,
            "run the service near the database: a verify takes up to seven statements",
        );
    }
    Finding::ok(ROUND_TRIP, seen)
}

#[cfg(test)]
mod tests {
    use super::super::super::report::Level;
    use super::*;

    fn server(number: i32) -> Server {
        Server {
            number,
            version: "x".to_owned(),
            is_standby: false,
            is_read_only: false,
        }
    }

    #[test]
    fn postgresql_15_and_newer_are_tested() {
        for (number, level) in [
            (149_999, Level::Warn),
            (150_000, Level::Ok),
            (180_001, Level::Ok),
        ] {
            assert_eq!(version(&server(number)).level, level, "{number}");
        }
    }

    #[test]
    fn nothing_can_be_written_to_a_standby() {
        let mut server = server(150_000);
        assert_eq!(writable(&server).level, Level::Ok);
        server.is_read_only = true;
        assert_eq!(writable(&server).seen, "it is read-only");
        server.is_standby = true;
        let found = writable(&server);
        assert_eq!(
            (found.level, found.seen.as_str()),
            (Level::Fail, "it is a standby")
        );
    }

    #[test]
    fn what_migrations_left_is_compared_with_what_is_known() {
        let text = |version: i64| (version, version.to_le_bytes().to_vec());
        let known = [1, 2].map(text).into_iter().collect();
        let judge = |migrations: &[(i64, Vec<u8>)], broken, on_start| {
            let migrations = migrations.to_vec();
            let found = super::migrations(&known, &Applied { migrations, broken }, on_start);
            (found.level, found.seen)
        };
        let told = |level, seen: &str| (level, seen.to_owned());

        let all = [text(1), text(2)];
        assert_eq!(
            judge(&all, None, true),
            told(Level::Ok, "all 2 are applied")
        );
        for (on_start, level) in [(true, Level::Warn), (false, Level::Fail)] {
            assert_eq!(judge(&[text(1)], None, on_start), told(level, "pending: 2"));
            assert_eq!(judge(&[], None, on_start), told(level, "pending: 1, 2"));
        }
        let newer = [text(1), text(2), text(3)];
        for on_start in [true, false] {
            let seen = "applied by a newer version: 3";
            assert_eq!(judge(&newer, None, on_start), told(Level::Warn, seen));
        }
        let changed = [text(1), (2, vec![7])];
        let seen = "applied with another text than this program's: 2";
        assert_eq!(judge(&changed, None, true), told(Level::Fail, seen));
        assert_eq!(judge(&all, Some(2), true), told(Level::Fail, "2 broke off"));
    }

    #[test]
    fn all_replicas_must_find_room_beside_the_others() {
        let judge = |most, others, replicas| {
            let connections = Connections {
                most,
                ours: 4,
                others,
            };
            super::connections(connections, 8, replicas).level
        };
        assert_eq!(judge(97, 6, 2), Level::Ok);
        // 18 wanted.
        assert_eq!(judge(24, 6, 2), Level::Ok);
        assert_eq!(judge(23, 6, 2), Level::Warn);
        assert_eq!(judge(18, 0, 2), Level::Ok);
        assert_eq!(judge(17, 0, 2), Level::Fail);
    }

    #[test]
    fn timeouts_must_be_those_that_were_asked_for() {
        let judge = |statement, idle_in_transaction| {
            let found = Timeouts {
                statement,
                idle_in_transaction,
            };
            let wanted = Timeouts {
                statement: 2000,
                idle_in_transaction: 1000,
            };
            timeouts(found, wanted).level
        };
        assert_eq!(judge(2000, 1000), Level::Ok);
        assert_eq!(judge(3000, 1000), Level::Warn);
        assert_eq!(judge(2000, 900), Level::Warn);
        assert_eq!(judge(0, 1000), Level::Fail);
        assert_eq!(judge(2000, 0), Level::Fail);
    }

    #[test]
    fn the_middle_round_trip_counts() {
        let judge = |millis: &[u64]| {
            let trips = millis.iter().copied().map(Duration::from_millis);
            round_trips(trips.collect()).level
        };
        assert_eq!(judge(&[900, 1, 50, 1, 900]), Level::Ok);
        assert_eq!(judge(&[900, 1, 51, 1, 900]), Level::Warn);
    }
}
