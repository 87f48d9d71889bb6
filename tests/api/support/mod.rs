//! What every test starts with: a [`World`] with a database, a sandbox, a clock, and as many
//! instances of the service as the test wants.

mod admin;
mod answer;
pub(crate) mod bench;
mod clock;
pub(crate) mod collector;
mod cut;
pub(crate) mod doctor;
pub(crate) mod doorman;
mod gateway;
pub(crate) mod keys;
mod line;
pub(crate) mod master_key;
pub(crate) mod pooler;
pub(crate) mod raw;
mod retention;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use otp_auth::app::{App, Deps};
use otp_auth::clock::Clock as _;
use otp_auth::config::Settings;
use otp_auth::random::{self, SystemRandom};
use otp_auth::sandbox::{Mode, Sandbox, SandboxHandle, SandboxOptions};
use reqwest::{Method, RequestBuilder, redirect};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgPool};
use tokio::sync::watch;

pub(crate) use admin::ADMIN_TOKEN;
pub(crate) use answer::Answer;
pub(crate) use clock::TestClock;
pub(crate) use gateway::GATEWAY_SECRET;
pub(crate) use line::Line;
pub(crate) use session::OFTEN;

/// An Indian mobile number.
pub(crate) const PHONE: &str = "+919876543210";
/// Another one.
pub(crate) const OTHER_PHONE: &str = "+919812345678";

/// A public client, and a confidential one whose secret is [`SECRET`].
pub(crate) const CLIENTS: &str = r#"
[[clients]]
id = "web"
audience = "api"
allowed_origins = ["https://web.example"]
scopes = []

[[clients]]
id = "shop"
secret_hash = "sha256:3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9"
audience = ["orders", "billing"]
allowed_origins = []
access_token_ttl = 120
scopes = ["phone", "orders:read"]
"#;
/// The confidential client's secret.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The key from which all others derive.
pub(crate) const MASTER_KEY: &str = "bWFzdGVyIGtleSBvZiB0aGUgdGVzdHMsIDMyIGJ5dGU=";
/// The key of the account at StartMessaging.
pub(crate) const API_KEY: &str = "sm_live_0123456789012345678901234567890123456789";

/// Everything around the service.
pub(crate) struct World {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) sandbox: SandboxHandle,
    pub(crate) pool: PgPool,
    pub(crate) connect: PgConnectOptions,
    /// Dropped with the world: its instances stop and let go of the database, so that it can be
    /// thrown away.
    running: watch::Sender<()>,
}

/// One running instance of the service.
pub(crate) struct Instance {
    pub(crate) base: String,
    pub(crate) admin: String,
    pub(crate) http: reqwest::Client,
}

impl World {
    /// A world whose sandbox does not limit numbers by itself: the service's own limits are what
    /// is tested.
    pub(crate) async fn new(connect: PgConnectOptions) -> Self {
        Self::with_sandbox(connect, |_| {}).await
    }

    /// [`Self::new`] at the beginning of a day of UTC: no hour, day or month of the bill ends by chance.
    pub(crate) async fn at_midnight(connect: PgConnectOptions) -> Self {
        let world = Self::new(connect).await;
        world.clock.advance_to_next_day();
        world
    }

    pub(crate) async fn with_sandbox(
        connect: PgConnectOptions,
        change: impl FnOnce(&mut SandboxOptions),
    ) -> Self {
        let clock = Arc::new(TestClock::new());
        let mut options = SandboxOptions::new(Mode::Service);
        options.clock = clock.clone();
        options.number_limit = false;
        options.throttle_limit = u32::MAX;
        change(&mut options);
        let sandbox = Sandbox::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
        let handle = sandbox.handle();
        tokio::spawn(sandbox.run(std::future::pending()));
        let pool = PgPool::connect_with(connect.clone()).await.unwrap();
        Self {
            clock,
            sandbox: handle,
            pool,
            connect,
            running: watch::Sender::new(()),
        }
    }

    /// An instance with the usual settings: one public client, no per-address limits.
    pub(crate) async fn instance(&self) -> Instance {
        self.instance_with(&[], "").await
    }

    /// An instance with further settings, as environment variables without their prefix, and
    /// further TOML.
    pub(crate) async fn instance_with(&self, settings: &[(&str, &str)], toml: &str) -> Instance {
        let settings = self.settings(settings, toml);
        let deps = Deps {
            clock: self.clock.clone(),
            random: Arc::new(SystemRandom),
        };
        let app = App::build(&settings, deps).await.unwrap();
        let base = format!("http://{}", app.public_addr);
        let admin = format!("http://{}", app.admin_addr);
        let mut world = self.running.subscribe();
        tokio::spawn(app.run(async move { while world.changed().await.is_ok() {} }));
        Instance {
            base,
            admin,
            http: http_client(),
        }
    }

    pub(crate) fn settings(&self, settings: &[(&str, &str)], toml: &str) -> Settings {
        let name = format!(
            "otp-auth-test-{}.toml",
            random::uuid_v4(&SystemRandom).unwrap()
        );
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, toml).unwrap();
        let environment = self.environment(settings).into_iter();
        let settings = Settings::load(environment, Some(&file), self.clock.now()).unwrap();
        std::fs::remove_file(file).unwrap();
        settings
    }

    /// The environment of an instance with further settings; an empty one takes a usual one away.
    pub(crate) fn environment(&self, settings: &[(&str, &str)]) -> BTreeMap<String, String> {
        let usual = [
            ("SERVER__BIND", "127.0.0.1:0"),
            ("SERVER__ADMIN_BIND", "127.0.0.1:0"),
            ("SERVER__WORKERS", "2"),
            ("SECRETS__MASTER_KEY", MASTER_KEY),
            ("SECRETS__ADMIN_TOKEN", ADMIN_TOKEN),
            ("STARTMESSAGING__API_KEY", API_KEY),
            ("LIMITS__IP__SENDS_PER_MINUTE", "0"),
            ("LIMITS__IP__SENDS_PER_10_MINUTES", "0"),
            ("LIMITS__IP__SENDS_PER_HOUR", "0"),
            ("LIMITS__IP__VERIFIES_PER_MINUTE", "0"),
            ("LIMITS__IP__PHONES_PER_DAY", "0"),
            ("LIMITS__IP__COUNTRIES_PER_DAY", "0"),
            ("LIMITS__NETWORK__SENDS_PER_MINUTE", "0"),
            ("LIMITS__NETWORK__SENDS_PER_HOUR", "0"),
            ("LIMITS__NETWORK__VERIFIES_PER_MINUTE", "0"),
            // How long a loaded machine takes is not what is tested: fifty calls that queue for one
            // row must end as what they are, not as 503.
            ("DATABASE__ACQUIRE_TIMEOUT_MS", "60000"),
            ("DATABASE__STATEMENT_TIMEOUT_MS", "60000"),
            ("STARTMESSAGING__TIMEOUT_MS", "60000"),
        ];
        let named =
            |(name, value): &(&str, &str)| (format!("OTP_AUTH__{name}"), (*value).to_owned());
        let mut environment: BTreeMap<String, String> = usual.iter().map(named).collect();
        environment.insert(
            "DATABASE_URL".to_owned(),
            self.connect.to_url_lossy().to_string(),
        );
        environment.insert(
            "OTP_AUTH__STARTMESSAGING__BASE_URL".to_owned(),
            self.sandbox.url(),
        );
        environment.extend(settings.iter().map(named));
        environment.retain(|_, value| !value.is_empty());
        environment
    }

    /// The code in the newest SMS to a number, read as its owner would.
    pub(crate) fn code(&self, phone: &str) -> String {
        self.sandbox
            .messages_to(phone)
            .first()
            .expect("an SMS")
            .code
            .clone()
    }

    /// Asks the database until a condition holds, and fails where it never does.
    pub(crate) async fn until(&self, condition: &str) {
        let question = format!("SELECT 1 WHERE {condition}");
        let poll = async {
            loop {
                let question = sqlx::AssertSqlSafe(question.clone());
                let rows = sqlx::Executor::fetch_all(&self.pool, sqlx::raw_sql(question));
                if !rows.await.unwrap().is_empty() {
                    return;
                }
            }
        };
        let held = tokio::time::timeout(Duration::from_mins(1), poll).await;
        assert!(held.is_ok(), "{condition}");
    }

    /// Waits until what became of every SMS is recorded, which a caller is answered before.
    pub(crate) async fn all_recorded(&self) {
        self.until("NOT EXISTS (SELECT FROM otp_requests WHERE delivery = 'queued')")
            .await;
    }

    /// How many SMS a number got.
    pub(crate) fn sms_count(&self, phone: &str) -> usize {
        self.sandbox.messages_to(phone).len()
    }
}

/// A client that waits long enough for a loaded machine, and not for ever.
pub(crate) fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_mins(1))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

impl Instance {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    /// A POST that a trusted proxy passes on for this address.
    pub(crate) async fn post_from(&self, address: &str, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path);
        Answer::of(request.header("x-forwarded-for", address).json(body)).await
    }

    pub(crate) async fn send(&self, phone: &str) -> Answer {
        self.post("/v1/otp/send", &json!({"phone_number": phone}))
            .await
    }

    /// Sends a code that must go out, and returns the request's id.
    pub(crate) async fn sent(&self, phone: &str) -> String {
        let answer = self.send(phone).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.text("request_id")
    }

    pub(crate) async fn resend(&self, request_id: &str) -> Answer {
        self.post("/v1/otp/resend", &json!({"request_id": request_id}))
            .await
    }

    pub(crate) async fn verify(&self, request_id: &str, code: &str) -> Answer {
        self.post(
            "/v1/otp/verify",
            &json!({"request_id": request_id, "code": code}),
        )
        .await
    }

    /// Posts with an `Idempotency-Key`.
    pub(crate) async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("idempotency-key", key);
        Answer::of(request.json(body)).await
    }

    /// What the circuit breaker does, as `/readyz` tells.
    pub(crate) async fn breaker(&self) -> String {
        let ready = Answer::of(self.http.get(format!("{}/readyz", self.admin))).await;
        let check = &ready.json()["checks"]["provider:breaker"][0];
        check["observedValue"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn report(&self, request_id: &str) -> Answer {
        self.get(&format!("/v1/otp/{request_id}")).await
    }
}

/// How many answers there are of each status and problem code.
pub(crate) fn by_outcome(answers: &[Answer]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        let body = answer.json();
        let code = body["code"].as_str().unwrap_or("ok");
        let outcome = format!("{} {code}", answer.status);
        *counts.entry(outcome).or_default() += 1;
    }
    counts
}

/// A code of six digits that is not this one.
pub(crate) fn wrong(code: &str) -> String {
    let mut digits = code.to_owned();
    let last = digits.pop();
    digits.push(if last == Some('0') { '1' } else { '0' });
    digits
}
