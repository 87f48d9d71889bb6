//! `otp-auth keys`, run as a program beside instances that notice.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use otp_auth::random::{self, SystemRandom};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::process::Command;

use crate::support::keys::{accepts, kid_of};
use crate::support::{PHONE, World};

/// An Ed25519 key in PKCS #8 begins so (RFC 8410 section 7).
const ED25519_HEADER: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A file with a key, which is deleted in the end.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(text: &str) -> Self {
        let name = format!("otp-auth-key-{}", random::uuid_v4(&SystemRandom).unwrap());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A fresh Ed25519 key in PEM.
fn ed25519_pem() -> String {
    let seed: [u8; 32] = random::bytes(&SystemRandom).unwrap();
    let body = STANDARD.encode([ED25519_HEADER.as_slice(), &seed].concat());
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// Runs a command: its output if it succeeded, else what it complained of.
async fn run(
    world: &World,
    settings: &[(&str, &str)],
    arguments: &[&str],
) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otp-auth"));
    command.env_clear().envs(world.environment(settings));
    let output = command.arg("keys").args(arguments).output().await.unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[sqlx::test]
async fn keys_are_listed_rotated_and_revoked_beside_running_instances(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let verifiers = [("TOKENS__VERIFIERS", "gateway")];
    let app = world.instance_with(&verifiers, "").await;
    let first = app.kids().await[0].clone();

    let listed = run(&world, &verifiers, &["list"]).await.unwrap();
    assert!(
        listed.starts_with(&format!("{first}\n  ES256, active\n  created ")),
        "{listed}"
    );
    assert!(listed.contains("  not seen by gateway\n"), "{listed}");

    let rotated = run(&world, &[], &["rotate", "--reason", "yearly"])
        .await
        .unwrap();
    assert!(
        rotated.contains(" (ES256) signs from ") && !rotated.contains("Warning"),
        "{rotated}"
    );
    let next = rotated.split(' ').next().unwrap().to_owned();
    app.publishes(&[first.clone(), next.clone()]).await;

    let rotated = run(&world, &[], &["rotate", "--now"]).await.unwrap();
    assert!(
        rotated.starts_with(&format!("{next} (ES256) signs now\nWarning: ")),
        "{rotated}"
    );
    app.publishes(&[next.clone(), first.clone()]).await;

    let rehearsed = run(&world, &[], &["revoke", &next, "--dry-run"])
        .await
        .unwrap();
    let expected = format!("{next}, which is active, would be revoked\na new key would be made\n");
    assert!(rehearsed.starts_with(&expected), "{rehearsed}");
    assert!(rehearsed.contains("No token of it is alive"), "{rehearsed}");

    let revoked = run(&world, &[], &["revoke", &next]).await.unwrap();
    assert!(
        revoked.starts_with(&format!("{next}, which was active, is revoked\n")),
        "{revoked}"
    );
    let successor = revoked
        .lines()
        .nth(1)
        .unwrap()
        .strip_suffix(" signs now")
        .unwrap()
        .to_owned();
    app.publishes(&[successor, first]).await;

    for kid in [next.as_str(), "none", "-begins-with-a-hyphen"] {
        let error = run(&world, &[], &["revoke", kid]).await.unwrap_err();
        assert!(
            error.contains(&format!("no signing key with the kid \"{kid}\"")),
            "{error}"
        );
    }
    let told = world.text(
        "SELECT detail ->> 'reason' FROM audit_events
         WHERE action = 'signing_key.create' AND actor = 'admin' ORDER BY id LIMIT 1",
    );
    assert_eq!(told.await.as_deref(), Some("yearly"));
}

#[sqlx::test]
async fn the_sessions_whose_tokens_end_are_listed_one_a_line(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let id = app.sent(PHONE).await;
    let answer = app.verify(&id, &world.code(PHONE)).await;
    let kid = app.kids().await[0].clone();
    let note = format!("UPDATE sessions SET token_kids = '{{\"{kid}\": 4102444800}}'");
    let note = sqlx::raw_sql(sqlx::AssertSqlSafe(note));
    note.execute(&world.pool).await.unwrap();

    let told = run(&world, &[], &["revoke", &kid, "--dry-run", "--list"])
        .await
        .unwrap();

    let (sub, sid) = (answer.text("subject"), answer.text("session_id"));
    let end = "2100-01-01T00:00:00.000Z";
    let line = format!("web: 1 sessions of 1 users, the last token until {end}\n");
    assert!(told.contains(&line), "{told}");
    assert!(
        told.ends_with(&format!("{sub}\t{sid}\tweb\t{end}\n")),
        "{told}"
    );
}

#[sqlx::test]
async fn an_imported_key_follows_or_signs_at_once_and_keeps_its_name(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let world = World::new(connect).await;
    let settings = [("TOKENS__ALGORITHM", "EdDSA")];
    let app = world.instance_with(&settings, "").await;
    let first = app.kids().await[0].clone();
    let (one, two) = (KeyFile::new(&ed25519_pem()), KeyFile::new(&ed25519_pem()));

    let import = ["import", one.path(), "--kid", "from-before"];
    let imported = run(&world, &settings, &import).await.unwrap();
    assert!(
        imported.starts_with("from-before (EdDSA) signs from "),
        "{imported}"
    );
    app.publishes(&[first.clone(), "from-before".to_owned()])
        .await;

    // The one before never signed, and makes room.
    let import = ["import", two.path(), "--now"];
    let imported = run(&world, &settings, &import).await.unwrap();
    assert!(
        imported.contains(" (EdDSA) signs now\nWarning: "),
        "{imported}"
    );
    let kid = imported.split(' ').next().unwrap().to_owned();
    app.publishes(&[kid.clone(), first]).await;
    let token = app.token(&world, PHONE).await;
    assert_eq!(kid_of(&token), kid);
    assert!(accepts(&app.jwks().await, &token));

    let error = run(&world, &settings, &import).await.unwrap_err();
    assert!(
        error.contains("already; give another one with --kid"),
        "{error}"
    );
    let error = run(&world, &[], &["import", one.path()]).await.unwrap_err();
    assert!(
        error.contains("a key for EdDSA, but tokens.algorithm is ES256"),
        "{error}"
    );
}

/// The reasons are those of the unit tests of `token::keys::import`; here they reach the operator, and
/// nothing is changed.
#[sqlx::test]
async fn a_key_that_is_not_imported_changes_nothing(_: PgPoolOptions, connect: PgConnectOptions) {
    let world = World::new(connect).await;
    let app = world.instance().await;
    let kids = app.kids().await;
    let secret = URL_SAFE_NO_PAD.encode([7; 32]);
    let symmetric = KeyFile::new(&format!(r#"{{"kty":"oct","k":"{secret}"}}"#));
    let public = KeyFile::new(
        &app.jwks()
            .await
            .replace(r#"{"keys":["#, "")
            .replace("]}", ""),
    );
    for (file, reason) in [
        (symmetric.path(), "is not imported: it is a symmetric key"),
        (public.path(), "is not imported: it is a public key only"),
        ("/does/not/exist", "/does/not/exist cannot be read"),
    ] {
        let error = run(&world, &[], &["import", file]).await.unwrap_err();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains(&secret), "{error}");
    }
    let other = (
        "SECRETS__MASTER_KEY",
        "b3RoZXIga2V5IG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXM=",
    );
    let error = run(&world, &[other], &["rotate"]).await.unwrap_err();
    assert!(
        error.contains("sealed with another secrets.master_key"),
        "{error}"
    );
    let keys = world.keys(&[]).await;
    keys.look().await.unwrap();
    assert_eq!(app.kids().await, kids);
}
