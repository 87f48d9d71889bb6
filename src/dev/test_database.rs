//! `otp-auth test-database -- COMMAND`: lends a command an empty PostgreSQL that is thrown away
//! when the command has ended.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use secrecy::ExposeSecret;
use tokio::{
    process::{Child, Command},
    signal::unix::{self, SignalKind},
};

use super::postgres::{DataDir, PostgresError, PostgresOptions, PrivatePostgres};
use crate::random::Random;

/// The variable that tells the command where its database is; the tests' own (`sqlx::test`) read it.
pub const DATABASE_URL: &str = "DATABASE_URL";

/// Each test has a pool on a database of its own, and as many tests run at once as there are cores.
const MAX_CONNECTIONS: u16 = 300;

/// Why the command could not be run, or its database not be cleared away.
#[derive(Debug, thiserror::Error)]
pub enum TestDatabaseError {
    /// The database failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// No command was given.
    #[error("there is no command to run; give one after `--`")]
    NoCommand,
    /// The command could not be started.
    #[error("cannot run {}", program.display())]
    Command {
        /// Its name.
        program: OsString,
        /// Why not.
        source: io::Error,
    },
    /// Signals could not be watched for.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
}

/// Runs `command` with `DATABASE_URL` set to a new database and returns what it returned; 128 and
/// the signal's number if a signal ended it, as shells do.
///
/// Where there is a `database_url` already, the command runs with that one and nothing is started.
/// SIGINT and SIGTERM are passed on, and the database is stopped when the command has ended.
pub async fn run(
    command: &[OsString],
    database_url: Option<&OsStr>,
    random: &dyn Random,
) -> Result<ExitCode, TestDatabaseError> {
    let (program, arguments) = command.split_first().ok_or(TestDatabaseError::NoCommand)?;
    let mut command = Command::new(program);
    command.args(arguments);
    let mut signals = Signals::watch().map_err(TestDatabaseError::Signals)?;
    let failed = |source| TestDatabaseError::Command {
        program: program.clone(),
        source,
    };

    if database_url.is_some_and(|url| !url.is_empty()) {
        return signals
            .pass_on_to(command.spawn())
            .await
            .map(exit_code)
            .map_err(failed);
    }
    let options = PostgresOptions {
        data: DataDir::ThrowAway,
        durable: false,
        max_connections: MAX_CONNECTIONS,
        settings: &[],
    };
    let postgres = tokio::select! {
        started = PrivatePostgres::start(options, random) => started?,
        _ = signals.next() => return Ok(ExitCode::FAILURE),
    };
    command.env(DATABASE_URL, postgres.url().expose_secret());
    let ended = signals.pass_on_to(command.spawn()).await;
    postgres.stop().await?;
    ended.map(exit_code).map_err(failed)
}

/// What asks this process to end.
struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
        }
    }

    /// Waits for the child, which gets every signal that we get.
    async fn pass_on_to(&mut self, child: io::Result<Child>) -> io::Result<ExitStatus> {
        let mut child = child?;
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw);
        loop {
            tokio::select! {
                status = child.wait() => return status,
                signal = self.next() => {
                    if let Some(pid) = pid.filter(|_| !came_from_our_terminal(signal)) {
                        // The only error there can be is that it ended just now.
                        let _ = kill(pid, signal);
                    }
                }
            }
        }
    }
}

/// Whether the child got this signal already. A terminal's Ctrl-C goes to all of its foreground
/// process group, to which the child belongs as we do, and some programs (cargo nextest, for one)
/// take a second one for an order to drop everything.
fn came_from_our_terminal(signal: Signal) -> bool {
    signal == Signal::SIGINT
        && fs::read_to_string("/proc/self/stat").is_ok_and(|stat| is_in_foreground(&stat))
}

/// Compares the fields `pgrp` and `tpgid` of proc(5), the fifth and the eighth; the second, which
/// may contain spaces, ends with the last `)`.
fn is_in_foreground(stat: &str) -> bool {
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return false;
    };
    let mut fields = fields.split_ascii_whitespace().skip(2);
    let (group, foreground) = (fields.next(), fields.nth(2));
    group.is_some() && group == foreground
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_in_the_foreground_if_its_group_is_the_terminals() {
        let cases = [
            (
                "7 (otp-auth) S 1 42 40 34816 42 4194304",
                true,
                "the same group",
            ),
            (
                "7 (otp-auth) S 1 42 40 34816 43 4194304",
                false,
                "another group",
            ),
            ("7 (otp-auth) S 1 42 40 0 -1 4194304", false, "no terminal"),
            (
                "7 (a) b) S 1 42 40 34816 42 4194304",
                true,
                "a name with a parenthesis",
            ),
            ("7 (otp-auth) S", false, "too few fields"),
            ("", false, "nothing"),
        ];
        for (stat, expected, why) in cases {
            assert_eq!(is_in_foreground(stat), expected, "{why}");
        }
    }
}
