//! Nothing that a vendor is told or trusted by is ever written down: neither in a log line, at any
//! level and with any vendor, nor where settings are shown for debugging.

use std::process::Stdio;

use otp_auth::sandbox::{Fault, FaultKind};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::support::{API_KEY, GATEWAY_SECRET, Instance, Line, MASTER_KEY, http_client, wrong};

/// The bytes of the gateway's secret, as a careless line would show them.
const GATEWAY_BYTES: &str = "the secret of the tests' gateway";

/// The program itself, since its log is what is read: one that started, and all it has to say.
struct Program {
    child: tokio::process::Child,
    /// What is read of its log; somebody must read, or it would wait for them to.
    log: JoinHandle<String>,
}

impl Program {
    async fn start(line: &Line) -> (Self, Instance) {
        let settings = line.settings(&[
            ("TELEMETRY__LOG_LEVEL", "trace"),
            ("TELEMETRY__LOG_FORMAT", "json"),
            ("STARTMESSAGING__TIMEOUT_MS", "9000"),
        ]);
        let mut child = Command::new(env!("CARGO_BIN_EXE_otp-auth"))
            .arg("serve")
            .env_clear()
            .envs(line.world.environment(&settings))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut read = String::new();
        let ready = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).await.unwrap(), 0, "{read}");
            read.push_str(&line);
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["message"] == "ready" {
                break line;
            }
        };
        let address = |name: &str| format!("http://{}", ready[name].as_str().unwrap());
        let instance = Instance {
            base: address("public"),
            admin: address("admin"),
            http: http_client(),
        };
        let log = tokio::spawn(async move {
            log.read_to_string(&mut read).await.unwrap();
            read
        });
        (Self { child, log }, instance)
    }

    /// Ends it, and returns its whole log.
    async fn end(mut self) -> String {
        self.child.start_kill().unwrap();
        self.log.await.unwrap()
    }
}

/// Sends, checks, and failures of both, with every word that must stay unsaid.
async fn work(line: &Line, app: &Instance) -> Vec<String> {
    let mut secrets = Vec::new();
    let phone = |number: usize| format!("+9198765432{number:02}");
    let id = app.sent(&phone(0)).await;
    let code = line.code(&phone(0));
    assert_eq!(app.verify(&id, &wrong(&code)).await.status, 401);
    let signed_in = app.verify(&id, &code).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.body);
    secrets.extend([code, signed_in.text("access_token")]);
    for (number, fault) in [
        (1, FaultKind::SendFailedAfterSend),
        (2, FaultKind::Garbage),
        (3, FaultKind::ResetAfterSend),
        (4, FaultKind::Unauthorized),
    ] {
        line.world.sandbox.arm(Fault::once(fault));
        app.send(&phone(number)).await;
        secrets.extend(line.codes(&phone(number)));
    }
    secrets.extend((0..5).map(|number| phone(number).replace("+91", "")));
    secrets
}

/// Whether the text has these characters; six digits also occur inside of ids and times, which are
/// longer.
fn has(text: &str, secret: &str) -> bool {
    if secret.len() > 6 {
        return text.contains(secret);
    }
    text.split(|found: char| !found.is_ascii_alphanumeric())
        .any(|word| word == secret)
}

/// security.md 9 and 10.
async fn nothing_secret_is_written_down(line: Line) {
    let (program, app) = Program::start(&line).await;
    let mut secrets = work(&line, &app).await;
    let keys = [API_KEY, GATEWAY_SECRET, GATEWAY_BYTES, MASTER_KEY];
    secrets.extend(keys.map(str::to_owned));
    secrets.push(GATEWAY_SECRET.replace("whsec_", ""));
    let log = program.end().await;
    let settings = format!("{:?}", line.world.settings(&line.settings(&[]), ""));

    assert!(log.contains(r#""level":"TRACE""#), "the whole log is read");
    for secret in secrets {
        let found = log.lines().find(|line| has(line, &secret));
        assert_eq!(found, None, "{secret}");
        assert!(!has(&settings, &secret), "{secret} in {settings}");
    }
}

#[sqlx::test]
async fn startmessaging_service(_: PgPoolOptions, connect: PgConnectOptions) {
    nothing_secret_is_written_down(Line::startmessaging_service(connect).await).await;
}

#[sqlx::test]
async fn startmessaging_vendor(_: PgPoolOptions, connect: PgConnectOptions) {
    nothing_secret_is_written_down(Line::startmessaging_vendor(connect).await).await;
}

#[sqlx::test]
async fn webhook(_: PgPoolOptions, connect: PgConnectOptions) {
    nothing_secret_is_written_down(Line::webhook(connect).await).await;
}
