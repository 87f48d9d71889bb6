//! The data directory: finds it a place, fills it once, and guards it.
//!
//! New data is prepared under a name ending in `.new` and renamed when it is complete, so a
//! directory under its own name is always whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::symlink,
    path::{self, Path, PathBuf},
    process::{Command, Stdio},
};

use aws_lc_rs::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};

use super::{
    DataDir, NAME, PostgresOptions,
    account::Account,
    error::PostgresError,
    files::{self, Log, ThrowAwayDir, beside},
    programs,
};

/// Kept data goes here when it cannot be where it was asked for: it survives a reboot (Filesystem
/// Hierarchy Standard 3.0, section 5.15).
const ELSEWHERE: &str = "/var/tmp";

/// The data of one server, ready to be served.
#[derive(Debug)]
pub(super) struct Cluster {
    programs: PathBuf,
    account: Account,
    data: PathBuf,
    durable: bool,
    password: SecretString,
    log: Log,
    // Held, not read. Dropped before the directory it may be in.
    _lock: File,
    throw_away: Option<ThrowAwayDir>,
}

impl Cluster {
    /// Finds the data, or makes it with `new_password`. Blocks for about a second when it does.
    pub(super) fn prepare(
        options: &PostgresOptions,
        new_password: SecretString,
        run_name: &str,
    ) -> Result<Self, PostgresError> {
        let programs = programs::find()?;
        let (requested, throw_away) = match &options.data {
            DataDir::Kept(path) => (path.clone(), None),
            DataDir::ThrowAway => {
                let directory = ThrowAwayDir::new(run_name)?;
                (directory.path().join("data"), Some(directory))
            }
        };
        let requested = path::absolute(&requested).map_err(PostgresError::files(&requested))?;
        if let Some(parent) = requested.parent() {
            fs::create_dir_all(parent).map_err(PostgresError::files(parent))?;
        }
        let lock = files::lock(&requested)?;
        let log = Log::open(&requested)?;
        let (data, account) = place(&requested)?;
        let mut cluster = Self {
            programs,
            account,
            data,
            durable: options.durable,
            password: new_password,
            log,
            _lock: lock,
            throw_away,
        };
        cluster.fill_or_reopen(&requested)?;
        Ok(cluster)
    }

    /// The command that serves this data on `port`.
    pub(super) fn server_command(
        &self,
        options: &PostgresOptions,
        port: u16,
    ) -> Result<Command, PostgresError> {
        let mut command = self.program("postgres");
        command.arg("-D").arg(&self.data);
        // No socket: the path of one may be 107 bytes long at most, and a clone's may be longer.
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "logging_collector=off".to_owned(),
            format!("port={port}"),
            format!("max_connections={}", options.max_connections),
        ];
        if !self.durable {
            settings.extend(
                [
                    "fsync=off",
                    "synchronous_commit=off",
                    "full_page_writes=off",
                ]
                .map(str::to_owned),
            );
        }
        settings.extend(options.settings.iter().map(|&setting| setting.to_owned()));
        for setting in settings {
            command.args(["-c", &setting]);
        }
        command
            .stdin(Stdio::null())
            .stdout(self.log.stdio()?)
            .stderr(self.log.stdio()?);
        Ok(command)
    }

    pub(super) fn password(&self) -> &SecretString {
        &self.password
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Lets go of the data, and removes it if it was to be thrown away.
    pub(super) fn close(self) -> Result<(), PostgresError> {
        self.throw_away.map_or(Ok(()), ThrowAwayDir::remove)
    }

    fn fill_or_reopen(&mut self, requested: &Path) -> Result<(), PostgresError> {
        if !exists(&self.data)? {
            files::keep_password(requested, &self.password)?;
            return self.fill();
        }
        self.remove_stale_pid()?;
        if let Some(kept) = files::kept_password(requested)? {
            self.password = kept;
            return Ok(());
        }
        // The password's file went away, as by `git clean`, while the data was kept elsewhere.
        let password = self.password.expose_secret();
        self.execute(
            &self.data,
            &format!("ALTER ROLE {NAME} PASSWORD '{password}'\n"),
        )?;
        files::keep_password(requested, &self.password)
    }

    fn fill(&self) -> Result<(), PostgresError> {
        let new = beside(&self.data, ".new");
        if exists(&new)? {
            fs::remove_dir_all(&new).map_err(PostgresError::files(&new))?;
        }
        self.account.make_directory(&new)?;

        let mut initdb = self.program("initdb");
        initdb.arg("-D").arg(&new);
        // The superuser gets no password, so nobody can ever log in as it; our role is made below
        // by the server itself, without a connection.
        initdb.args([
            "--username=postgres",
            "--auth-local=reject",
            "--auth-host=scram-sha-256",
        ]);
        // The C locale is the one that is there on every machine.
        initdb.args(["--encoding=UTF8", "--locale=C"]);
        if !self.durable {
            initdb.arg("--no-sync");
        }
        self.run("initdb", initdb, "")?;

        let password = self.password.expose_secret();
        self.execute(
            &new,
            &format!(
                "CREATE ROLE {NAME} LOGIN CREATEDB PASSWORD '{password}'\n\
                 CREATE DATABASE {NAME} OWNER {NAME}\n"
            ),
        )?;
        fs::rename(&new, &self.data).map_err(PostgresError::files(&self.data))
    }

    /// Has a server without connections execute SQL as superuser, one statement a line.
    fn execute(&self, data: &Path, sql: &str) -> Result<(), PostgresError> {
        let mut command = self.program("postgres");
        command.arg("--single").arg("-D").arg(data);
        command.args(["-c", "exit_on_error=on"]);
        // PostgreSQL 13 would hash the password with MD5 otherwise; and it is not to be logged.
        command.args(["-c", "password_encryption=scram-sha-256"]);
        command.args(["-c", "log_min_error_statement=panic"]);
        if !self.durable {
            command.args(["-c", "fsync=off"]);
        }
        command.arg("postgres");
        self.run("postgres", command, sql)
    }

    fn program(&self, name: &str) -> Command {
        self.account.command(&self.programs.join(name))
    }

    /// Runs a program to its end on this thread, which must wait for it: see [`Account::command`].
    fn run(
        &self,
        program: &'static str,
        mut command: Command,
        input: &str,
    ) -> Result<(), PostgresError> {
        let spawn = |source| PostgresError::Spawn {
            program: self.programs.join(program),
            source,
        };
        command
            .stdin(Stdio::piped())
            .stdout(self.log.stdio()?)
            .stderr(self.log.stdio()?);
        let mut child = command.spawn().map_err(spawn)?;
        let written = child
            .stdin
            .take()
            .map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
        let status = child.wait().map_err(spawn)?;
        if !status.success() {
            return Err(PostgresError::Failed {
                program,
                status,
                log: self.log.tail(),
            });
        }
        written.map_err(spawn)
    }

    /// Removes what a killed server left. PostgreSQL would take it for a live server's if another
    /// process got its number meanwhile; we know better, see [`Log`].
    fn remove_stale_pid(&self) -> Result<(), PostgresError> {
        let pid = self.data.join("postmaster.pid");
        match fs::remove_file(&pid) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(PostgresError::files(pid)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Where the data that is asked for at `requested` is or shall be, and who runs its server.
fn place(requested: &Path) -> Result<(PathBuf, Account), PostgresError> {
    let at = |data: PathBuf| match fs::symlink_metadata(&data) {
        Ok(metadata) => Account::owner_of(&data, &metadata).map(|account| (data, account)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok((data, Account::for_new_data()?))
        }
        Err(source) => Err(PostgresError::Files { path: data, source }),
    };
    if let Ok(target) = fs::read_link(requested) {
        return at(target);
    }
    if exists(requested)? || can_be_reached(requested)? {
        return at(requested.to_owned());
    }
    let elsewhere = elsewhere(requested);
    symlink(&elsewhere, requested).map_err(PostgresError::files(requested))?;
    tracing::info!(
        data = %elsewhere.display(),
        link = %requested.display(),
        "the account that runs PostgreSQL may not enter this directory; its data goes elsewhere"
    );
    at(elsewhere)
}

fn can_be_reached(requested: &Path) -> Result<bool, PostgresError> {
    requested.parent().map_or(Ok(true), |parent| {
        Account::for_new_data()?.can_enter(parent)
    })
}

/// A place that only `requested` has, the same at every start.
fn elsewhere(requested: &Path) -> PathBuf {
    use std::{fmt::Write, os::unix::ffi::OsStrExt};

    let hash = digest(&SHA256, requested.as_os_str().as_bytes());
    let mut name = String::from("otp-auth-postgres-");
    for byte in hash.as_ref().iter().take(8) {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    Path::new(ELSEWHERE).join(name)
}

fn exists(path: &Path) -> Result<bool, PostgresError> {
    path.try_exists().map_err(PostgresError::files(path))
}
