//! The private PostgreSQL, and the command that lends one, with real servers.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs::{self, DirBuilder, File},
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{DirBuilderExt, MetadataExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid},
};
use otp_auth::{
    dev::postgres::{DataDir, PostgresError, PostgresOptions, PrivatePostgres},
    random::{SystemRandom, uuid_v4},
};
use secrecy::ExposeSecret;
use sqlx::{Connection, Executor, PgConnection, Row};

/// A temporary directory.
struct Directory(PathBuf);

impl Directory {
    /// Makes one with these access rights.
    fn new(mode: u32) -> Self {
        let name = uuid_v4(&SystemRandom).unwrap().to_string();
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(mode).create(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

async fn start(data: DataDir) -> Result<PrivatePostgres, PostgresError> {
    start_with(data, false).await
}

async fn start_with(data: DataDir, durable: bool) -> Result<PrivatePostgres, PostgresError> {
    let options = PostgresOptions {
        data,
        durable,
        max_connections: 10,
        settings: &[],
    };
    PrivatePostgres::start(options, &SystemRandom).await
}

async fn write_a_row(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection
        .execute("CREATE TABLE kept AS SELECT 'value' AS it")
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn has_the_row(url: &str) -> bool {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let row = connection.fetch_one("SELECT it FROM kept").await.unwrap();
    connection.close().await.unwrap();
    row.get::<&str, _>(0) == "value"
}

#[tokio::test]
async fn kept_data_outlives_its_server_and_has_one_server_at_a_time() {
    let directory = Directory::new(0o711);
    let data = directory.path().join("data");

    let first = start(DataDir::Kept(data.clone())).await.unwrap();
    write_a_row(first.url().expose_secret()).await;
    let second = start(DataDir::Kept(data.clone())).await;
    assert!(matches!(second, Err(PostgresError::InUse(path)) if path == data));
    first.stop().await.unwrap();

    let third = start(DataDir::Kept(data)).await.unwrap();
    assert!(has_the_row(third.url().expose_secret()).await);
    third.stop().await.unwrap();

    let password = fs::metadata(directory.path().join("data.password")).unwrap();
    assert_eq!(password.mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_restart_cuts_connections_and_keeps_address_and_data() {
    let mut postgres = start_with(DataDir::ThrowAway, true).await.unwrap();
    let url = postgres.url().expose_secret().to_owned();
    write_a_row(&url).await;
    let mut open = PgConnection::connect(&url).await.unwrap();

    postgres.restart().await.unwrap();

    assert!(open.execute("SELECT 1").await.is_err());
    assert_eq!(postgres.url().expose_secret(), url);
    assert!(has_the_row(&url).await);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_logs_in_without_the_password_or_as_superuser() {
    let postgres = start(DataDir::ThrowAway).await.unwrap();
    let url = url::Url::parse(postgres.url().expose_secret()).unwrap();
    let mut wrong = url.clone();
    wrong.set_password(Some("wrong")).unwrap();
    let mut superuser = url;
    superuser.set_username("postgres").unwrap();

    for url in [wrong, superuser] {
        let refusal = PgConnection::connect(url.as_str()).await.unwrap_err();

        // Class 28 is "invalid authorization specification".
        let code = refusal.as_database_error().unwrap().code().unwrap();
        assert!(code.starts_with("28"), "{code}");
    }
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn data_asked_for_where_only_we_may_enter_is_kept_all_the_same() {
    let directory = Directory::new(0o700);
    let data = directory.path().join("data");

    let first = start(DataDir::Kept(data.clone())).await.unwrap();
    write_a_row(first.url().expose_secret()).await;
    first.stop().await.unwrap();
    // Beside a link, the password may go while the data stays.
    fs::remove_file(directory.path().join("data.password")).unwrap();
    let second = start(DataDir::Kept(data.clone())).await.unwrap();
    let kept = has_the_row(second.url().expose_secret()).await;
    second.stop().await.unwrap();

    let is_elsewhere = data.is_symlink();
    fs::remove_dir_all(fs::canonicalize(&data).unwrap()).unwrap();
    assert!(kept);
    assert_eq!(
        is_elsewhere,
        Uid::effective().is_root(),
        "only root's server runs as another"
    );
}

/// `otp-auth test-database` with a shell script that writes the address of its database when it is
/// ready.
struct Lent {
    process: Child,
    // Apart from `process`, whose `wait` would close it.
    stdin: ChildStdin,
    url: String,
    directory: Directory,
}

impl Lent {
    fn to(script: &str) -> Self {
        let directory = Directory::new(0o711);
        let mut process = Command::new(env!("CARGO_BIN_EXE_otp-auth"))
            .args(["test-database", "--", "sh", "-c", script])
            .env_remove("DATABASE_URL")
            .env("TMPDIR", directory.path())
            // Not in the foreground of the terminal that the tests run in, if they do.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take().unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        Self {
            process,
            stdin,
            url: url.trim().to_owned(),
            directory,
        }
    }

    /// The server's data directory.
    fn data(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.directory.path()).unwrap();
        entries.next().unwrap().unwrap().path().join("data")
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap())
    }

    fn has_cleared_away(&self) -> bool {
        fs::read_dir(self.directory.path())
            .unwrap()
            .next()
            .is_none()
    }
}

/// Returns when no process is left of the server of this data: each of them keeps its log locked.
fn wait_for_the_end_of_its_server(data: &Path) {
    let log = File::open(data.with_extension("log")).unwrap();
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(log.lock()));
    end.recv_timeout(Duration::from_secs(30)).unwrap().unwrap();
}

#[tokio::test]
async fn a_killed_run_leaves_no_server_and_its_data_can_be_started_again() {
    let mut lent = Lent::to("echo $DATABASE_URL; exec cat");
    write_a_row(&lent.url).await;

    lent.process.kill().unwrap();
    // Its lock goes with it, and may do so later than its server ends.
    lent.process.wait().unwrap();
    wait_for_the_end_of_its_server(&lent.data());

    assert!(
        !lent.data().join("postmaster.pid").exists(),
        "it was shut down, not killed"
    );
    let again = start(DataDir::Kept(lent.data())).await.unwrap();
    assert!(has_the_row(again.url().expose_secret()).await);
    again.stop().await.unwrap();
}

#[tokio::test]
async fn data_of_a_killed_server_can_be_started_again() {
    let mut lent = Lent::to("echo $DATABASE_URL; exec cat");
    let pid_file = fs::read_to_string(lent.data().join("postmaster.pid")).unwrap();
    let server = Pid::from_raw(pid_file.lines().next().unwrap().parse().unwrap());

    kill(server, Signal::SIGKILL).unwrap();
    lent.process.kill().unwrap();
    // Its lock goes with it, and may do so later than its server ends.
    lent.process.wait().unwrap();
    wait_for_the_end_of_its_server(&lent.data());

    assert!(
        lent.data().join("postmaster.pid").exists(),
        "it was killed, not shut down"
    );
    start(DataDir::Kept(lent.data()))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[test]
fn a_lent_database_goes_when_the_command_ends_whose_status_is_passed_on() {
    let mut lent = Lent::to("echo $DATABASE_URL; read line; exit 3");

    lent.stdin.write_all(b"a line\n").unwrap();

    assert_eq!(lent.process.wait().unwrap().code(), Some(3));
    assert!(lent.has_cleared_away());
}

#[test]
fn a_signal_is_passed_on_to_the_command_and_its_database_goes_too() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        // A shell that waits in `read` runs its trap at once.
        let mut lent = Lent::to("trap 'exit 9' TERM INT; echo $DATABASE_URL; read line; exit 3");

        kill(lent.pid(), signal).unwrap();

        assert_eq!(lent.process.wait().unwrap().code(), Some(9), "{signal}");
        assert!(lent.has_cleared_away());
    }
}

#[test]
fn a_command_that_has_a_database_gets_no_other() {
    let output = Command::new(env!("CARGO_BIN_EXE_otp-auth"))
        .args(["test-database", "--", "printenv", "DATABASE_URL"])
        .env("DATABASE_URL", "postgres://elsewhere/here")
        .output()
        .unwrap();

    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "postgres://elsewhere/here\n"
    );
}
