//! As whom the server runs.
//!
//! Everything is started through `setpriv` of util-linux, which is on every Debian and Ubuntu. It
//! drops root's rights where there are any, and has the kernel send SIGINT to the program when the
//! thread that started it ends. The standard library could do both only through `unsafe` code.

use std::{
    env,
    fs::{DirBuilder, Metadata},
    os::unix::fs::{DirBuilderExt, MetadataExt, chown},
    path::Path,
    process::{Command, Stdio},
};

use nix::unistd::{Uid, User};

use super::error::PostgresError;

/// Who runs the server.
#[derive(Debug)]
pub(super) enum Account {
    /// Whoever runs this process, who is not root.
    Own,
    /// Somebody else, because this process is root's.
    Other(User),
}

impl Account {
    /// Who shall own new data: ourselves; for root, Debian's `postgres` or `nobody`.
    pub(super) fn for_new_data() -> Result<Self, PostgresError> {
        if !Uid::effective().is_root() {
            return Ok(Self::Own);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Self::Other(user));
            }
        }
        Err(PostgresError::NoAccount)
    }

    /// Who must run the server on existing data: PostgreSQL insists on the data's owner.
    pub(super) fn owner_of(data: &Path, metadata: &Metadata) -> Result<Self, PostgresError> {
        let foreign = || PostgresError::Foreign(data.to_owned());
        let owner = Uid::from_raw(metadata.uid());
        if !metadata.is_dir() || owner.is_root() {
            return Err(foreign());
        }
        if owner == Uid::effective() {
            return Ok(Self::Own);
        }
        if !Uid::effective().is_root() {
            return Err(foreign());
        }
        User::from_uid(owner)?.map(Self::Other).ok_or_else(foreign)
    }

    /// A command that runs `program` as this account, in its own process group so that a terminal's
    /// Ctrl-C reaches us first, and with nothing of our environment but PATH.
    ///
    /// The program is sent SIGINT when the thread that spawns it ends: spawn it from one that waits
    /// for it.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT"]);
        if let Self::Other(user) = self {
            command.args(["--reuid", &user.uid.to_string()]);
            command.args(["--regid", &user.gid.to_string(), "--init-groups"]);
        }
        command.arg("--").arg(program);
        // PGDATA, PGOPTIONS and their like would change what the server does. It does not work from
        // a directory that its account may not enter.
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        if let Some(path) = env::var_os("PATH") {
            command.env("PATH", path);
        }
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    }

    /// Whether this account may enter `directory`, with all that is above it.
    pub(super) fn can_enter(&self, directory: &Path) -> Result<bool, PostgresError> {
        if matches!(self, Self::Own) {
            return Ok(true);
        }
        let mut test = self.command(Path::new("test"));
        let status = test
            .arg("-x")
            .arg(directory)
            .stderr(Stdio::null())
            .status()
            .map_err(|source| PostgresError::Spawn {
                program: "setpriv".into(),
                source,
            })?;
        Ok(status.success())
    }

    /// Makes a directory that this account owns and nobody else may enter.
    pub(super) fn make_directory(&self, path: &Path) -> Result<(), PostgresError> {
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(PostgresError::files(path))?;
        if let Self::Other(user) = self {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .map_err(PostgresError::files(path))?;
        }
        Ok(())
    }
}
