//! The files beside the data: lock, log and password; and the directory of throw-away data.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};

use super::{account::Account, error::PostgresError};

/// How many lines of the log an error shows.
const TAIL: usize = 12;

/// How long to wait for the server of a killed process to end, in steps of [`STEP`]: it has been
/// told to, and its last checkpoint takes seconds at most.
const STEPS: u32 = 200;
const STEP: Duration = Duration::from_millis(50);

/// `path` with `suffix` added to its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Claims the data at `path` for this process, until the returned file is dropped.
pub(super) fn lock(path: &Path) -> Result<File, PostgresError> {
    let name = beside(path, ".lock");
    let file = OpenOptions::new().create(true).append(true).open(&name);
    let file = file.map_err(PostgresError::files(&name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(PostgresError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(PostgresError::Files { path: name, source }),
    }
}

/// Where the server and the programs that prepare its data write what they have to say.
///
/// The file is locked, and they inherit the lock with the open file: as long as one of them lives,
/// nobody else gets it. So who holds it may take any `postmaster.pid` for a dead server's.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Waits until no server of an earlier run is left, and empties the log.
    pub(super) fn open(data: &Path) -> Result<Self, PostgresError> {
        let path = beside(data, ".log");
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path);
        let file = file.map_err(PostgresError::files(&path))?;
        let mut steps_left = STEPS;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => {
                    return Err(PostgresError::Files { path, source });
                }
                Err(TryLockError::WouldBlock) if steps_left == 0 => {
                    return Err(PostgresError::StillEnding(data.to_owned()));
                }
                Err(TryLockError::WouldBlock) => {
                    steps_left -= 1;
                    thread::sleep(STEP);
                }
            }
        }
        file.set_len(0).map_err(PostgresError::files(&path))?;
        Ok(Self { path, file })
    }

    /// The log as the standard output of a program.
    pub(super) fn stdio(&self) -> Result<Stdio, PostgresError> {
        Ok(self
            .file
            .try_clone()
            .map_err(PostgresError::files(&self.path))?
            .into())
    }

    /// Its last lines, as far as they can be read.
    pub(super) fn tail(&self) -> String {
        let written = fs::read(&self.path).unwrap_or_default();
        let written = String::from_utf8_lossy(&written);
        let lines: Vec<_> = written.lines().collect();
        lines
            .get(lines.len().saturating_sub(TAIL)..)
            .unwrap_or_default()
            .join("\n")
    }
}

/// The password that was kept for the data at `path`, if there is one.
pub(super) fn kept_password(path: &Path) -> Result<Option<SecretString>, PostgresError> {
    let name = beside(path, ".password");
    match fs::read_to_string(&name) {
        Ok(password) if password.is_empty() => Ok(None),
        Ok(password) => Ok(Some(password.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PostgresError::Files { path: name, source }),
    }
}

/// Keeps the password for the data at `path`, readable by this user alone.
pub(super) fn keep_password(path: &Path, password: &SecretString) -> Result<(), PostgresError> {
    let name = beside(path, ".password");
    let open = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&name);
    open.and_then(|mut file| file.write_all(password.expose_secret().as_bytes()))
        .map_err(PostgresError::files(name))
}

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct ThrowAwayDir(PathBuf);

impl ThrowAwayDir {
    /// Makes one where the account that runs the server may enter it.
    pub(super) fn new(name: &str) -> Result<Self, PostgresError> {
        let mut parent = std::env::temp_dir();
        if !Account::for_new_data()?.can_enter(&parent)? {
            parent = PathBuf::from("/tmp");
        }
        let path = parent.join(format!("otp-auth-postgres-{name}"));
        // Others may pass through it to the data, which is the server's alone, but see no names.
        DirBuilder::new()
            .mode(0o711)
            .create(&path)
            .map_err(PostgresError::files(&path))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes it now and tells whether that worked.
    pub(super) fn remove(self) -> Result<(), PostgresError> {
        fs::remove_dir_all(&self.0).map_err(PostgresError::files(&self.0))
    }
}

impl Drop for ThrowAwayDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "could not remove a throw-away directory");
        }
    }
}
