//! A [`World`]: a database, the sandbox as the provider and its own record of what it was asked,
//! and programs that can be ended anywhere.

mod point;
mod program;
mod statement;

use std::collections::BTreeMap;
use std::time::Duration;

use otp_auth::sandbox::{Mode, Sandbox, SandboxHandle, SandboxOptions};
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgPool, Row as _};

pub(crate) use point::{Fate, Point};
pub(crate) use program::{Answer, Post, Program};
pub(crate) use statement::Statement;

/// How long something that must happen may take on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Everything around the program.
pub(crate) struct World {
    pub(crate) mode: Mode,
    pub(crate) sandbox: SandboxHandle,
    pub(crate) pool: PgPool,
    environment: BTreeMap<String, String>,
}

impl World {
    pub(crate) async fn new(connect: PgConnectOptions, mode: Mode) -> Self {
        let mut options = SandboxOptions::new(mode);
        options.number_limit = false;
        options.throttle_limit = u32::MAX;
        // What the provider says of a delivery is not what is tested.
        options.delivery_delay = Duration::from_hours(1);
        let sandbox = Sandbox::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
        let handle = sandbox.handle();
        tokio::spawn(sandbox.run(std::future::pending()));
        let owner = match mode {
            Mode::Service => "service",
            Mode::Vendor => "vendor",
        };
        let settings = [
            ("SERVER__BIND", "127.0.0.1:0"),
            ("SERVER__ADMIN_BIND", "127.0.0.1:0"),
            ("SERVER__WORKERS", "2"),
            (
                "SECRETS__MASTER_KEY",
                "bWFzdGVyIGtleSBvZiB0aGUgdGVzdHMsIDMyIGJ5dGU=",
            ),
            (
                "STARTMESSAGING__API_KEY",
                "sm_live_0123456789012345678901234567890123456789",
            ),
            ("STARTMESSAGING__BASE_URL", &handle.url()),
            ("STARTMESSAGING__CODE_OWNER", owner),
            // No limit must hide an SMS that is sent twice.
            ("OTP__RESEND_COOLDOWNS_SECONDS", "0"),
            ("LIMITS__PHONE__SENDS_PER_5_MINUTES", "0"),
            ("LIMITS__PHONE__SENDS_PER_HOUR", "0"),
            ("LIMITS__PHONE__SENDS_PER_DAY", "0"),
            ("LIMITS__IP__SENDS_PER_MINUTE", "0"),
            ("LIMITS__IP__SENDS_PER_10_MINUTES", "0"),
            ("LIMITS__IP__SENDS_PER_HOUR", "0"),
            ("LIMITS__IP__VERIFIES_PER_MINUTE", "0"),
            ("LIMITS__IP__PHONES_PER_DAY", "0"),
            ("LIMITS__IP__COUNTRIES_PER_DAY", "0"),
            ("LIMITS__NETWORK__SENDS_PER_MINUTE", "0"),
            ("LIMITS__NETWORK__SENDS_PER_HOUR", "0"),
            ("LIMITS__NETWORK__VERIFIES_PER_MINUTE", "0"),
            // So long that nothing ends by itself while the test brings a program to its point.
            ("DATABASE__ACQUIRE_TIMEOUT_MS", "60000"),
            // Half of it is what a process that stands still may keep its locks.
            ("DATABASE__STATEMENT_TIMEOUT_MS", "20000"),
            ("STARTMESSAGING__TIMEOUT_MS", "60000"),
            ("TELEMETRY__LOG_FORMAT", "json"),
        ];
        let mut environment = named(&settings);
        environment.insert(
            "DATABASE_URL".to_owned(),
            connect.to_url_lossy().to_string(),
        );
        Self {
            mode,
            sandbox: handle,
            pool: PgPool::connect_with(connect).await.unwrap(),
            environment,
        }
    }

    /// Starts the program.
    pub(crate) async fn program(&self) -> Program {
        self.program_with(&[]).await
    }

    /// Starts the program with further settings, named as in the environment without the prefix.
    pub(crate) async fn program_with(&self, settings: &[(&str, &str)]) -> Program {
        let mut environment = self.environment.clone();
        environment.extend(named(settings));
        Program::start(&environment).await
    }

    /// Lets all leases end now; they last minutes here. That they end by themselves is tested once
    /// in `sms.rs`, and to the millisecond in `tests/api/leases.rs`.
    pub(crate) async fn end_leases(&self) {
        let end = "UPDATE idempotency_keys SET lease_until = statement_timestamp()
                       WHERE lease_until > statement_timestamp();
                   UPDATE phone_throttles SET check_until = statement_timestamp()
                       WHERE check_until > statement_timestamp();
                   UPDATE otp_requests SET due_at = statement_timestamp()
                       WHERE delivery = 'queued'";
        sqlx::Executor::execute(&self.pool, sqlx::raw_sql(end))
            .await
            .unwrap();
    }

    /// Makes a call until its key is not in progress any more.
    pub(crate) async fn repeat(&self, program: &Program, post: &Post) -> Answer {
        // No more often than a caller who was told "in a moment".
        let mut moments = tokio::time::interval(Duration::from_millis(50));
        let repeated = async {
            loop {
                moments.tick().await;
                let answer = program.post(post).await;
                if answer.status != 409 {
                    return answer;
                }
            }
        };
        let answer = tokio::time::timeout(PATIENCE, repeated).await;
        answer.unwrap_or_else(|_| panic!("{post:?} stays in progress"))
    }

    /// Asks the database until a condition holds, and fails where it never does.
    pub(crate) async fn until(&self, condition: &str) {
        let poll = async { while !self.ask::<bool>(&format!("SELECT {condition}")).await {} };
        let held = tokio::time::timeout(PATIENCE, poll).await;
        assert!(held.is_ok(), "{condition}");
    }

    /// The one value that a query gives.
    pub(crate) async fn ask<T>(&self, query: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let query = sqlx::raw_sql(sqlx::AssertSqlSafe(query.to_owned()));
        let row = sqlx::Executor::fetch_one(&self.pool, query).await.unwrap();
        row.get(0)
    }

    /// How many SMS a number got.
    pub(crate) fn sms_count(&self, phone: &str) -> usize {
        self.sandbox.messages_to(phone).len()
    }

    /// The code in the newest SMS to a number.
    pub(crate) fn code(&self, phone: &str) -> String {
        let messages = self.sandbox.messages_to(phone);
        messages.first().expect("an SMS").code.clone()
    }

    /// How many SMS count in the limits of a request's phone.
    pub(crate) async fn logged_sends(&self, request_id: &str) -> i32 {
        self.ask(&format!(
            "SELECT cardinality(send_log) FROM phone_throttles JOIN otp_requests USING (phone_index)
             WHERE id = '{request_id}'"
        ))
        .await
    }

    /// What nobody may find after a crash: an SMS that seems to be under way for ever, or a call
    /// that does.
    pub(crate) async fn nothing_is_left_open(&self) {
        self.until("NOT EXISTS (SELECT FROM otp_requests WHERE delivery = 'queued')")
            .await;
        let open = "SELECT EXISTS (SELECT FROM idempotency_keys WHERE reply IS NULL)";
        assert!(!self.ask::<bool>(open).await, "a key without a reply");
    }
}

fn named(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    let settings = settings.iter();
    settings
        .map(|(name, value)| (format!("OTP_AUTH__{name}"), (*value).to_owned()))
        .collect()
}

/// The phone of a row of a table.
pub(crate) fn phone(row: usize) -> String {
    format!("+9198765432{row:02}")
}

pub(crate) fn send(phone: &str, key: &str) -> Post {
    Post {
        path: "/v1/otp/send",
        key: key.to_owned(),
        body: json!({"phone_number": phone}),
    }
}

pub(crate) fn resend(request_id: &str, key: &str) -> Post {
    Post {
        path: "/v1/otp/resend",
        key: key.to_owned(),
        body: json!({"request_id": request_id}),
    }
}

pub(crate) fn verify(request_id: &str, code: &str, key: &str) -> Post {
    Post {
        path: "/v1/otp/verify",
        key: key.to_owned(),
        body: json!({"request_id": request_id, "code": code}),
    }
}

pub(crate) fn refresh(token: &str) -> Post {
    Post {
        path: "/v1/token/refresh",
        // The call takes none; the token itself is what tells a repeat.
        key: "none".to_owned(),
        body: json!({"refresh_token": token}),
    }
}
