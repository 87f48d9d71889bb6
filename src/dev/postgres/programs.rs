//! Where the server programs of PostgreSQL are on this machine.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::error::PostgresError;

/// Where Debian and Ubuntu put them, one directory per version, outside of PATH.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The directory that has both `initdb` and `postgres`: the first in PATH, else the newest of
/// Debian's.
pub(super) fn find() -> Result<PathBuf, PostgresError> {
    find_in(env::var_os("PATH").as_deref(), Path::new(DEBIAN)).ok_or(PostgresError::NotInstalled)
}

fn find_in(search_path: Option<&OsStr>, versions: &Path) -> Option<PathBuf> {
    let in_path =
        env::split_paths(search_path.unwrap_or_default()).find(|directory| has_programs(directory));
    in_path.or_else(|| newest(versions))
}

fn has_programs(directory: &Path) -> bool {
    directory.is_absolute()
        && ["initdb", "postgres"]
            .iter()
            .all(|name| directory.join(name).is_file())
}

fn newest(versions: &Path) -> Option<PathBuf> {
    fs::read_dir(versions)
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, directory)| has_programs(directory))
        .max()
        .map(|(_, directory)| directory)
}

#[cfg(test)]
mod tests {
    use super::{super::files::ThrowAwayDir, *};
    use crate::random::{SystemRandom, uuid_v4};

    fn directory_with(root: &Path, name: &str, programs: &[&str]) -> PathBuf {
        let directory = root.join(name);
        fs::create_dir_all(&directory).unwrap();
        for program in programs {
            fs::write(directory.join(program), "").unwrap();
        }
        directory
    }

    #[test]
    fn programs_come_from_the_path_first_and_from_the_newest_version_else() {
        let root = ThrowAwayDir::new(&uuid_v4(&SystemRandom).unwrap().to_string()).unwrap();
        let both = ["initdb", "postgres"];
        let in_path = directory_with(root.path(), "path", &both);
        let client_only = directory_with(root.path(), "client", &["psql", "initdb"]);
        let versions = root.path().join("versions");
        directory_with(&versions, "9/bin", &both);
        let newest = directory_with(&versions, "15/bin", &both);
        directory_with(&versions, "16/bin", &["psql"]);
        directory_with(&versions, "common/bin", &both);
        let nothing = root.path().join("nothing");

        let cases = [
            (
                &[&client_only, &in_path][..],
                &versions,
                Some(&in_path),
                "the path wins",
            ),
            (
                &[&client_only],
                &versions,
                Some(&newest),
                "9 < 15, and 16 has no server",
            ),
            (&[], &versions, Some(&newest), "an empty path"),
            (&[&client_only], &nothing, None, "no versions at all"),
        ];
        for (search_path, versions, expected, why) in cases {
            let search_path = env::join_paths(search_path).unwrap();

            let found = find_in(Some(&search_path), versions);

            assert_eq!(found.as_ref(), expected, "{why}");
        }
    }
}
