//! Everything around the people: a database, a provider, a clock and the service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use otp_auth::app::{App, Deps};
use otp_auth::clock::{Clock, SystemClock};
use otp_auth::config::Settings;
use otp_auth::dev::postgres::{DataDir, PostgresOptions, PrivatePostgres};
use otp_auth::random::{SystemRandom, bytes};
use secrecy::ExposeSecret as _;
use sqlx::{AssertSqlSafe, Executor as _, PgPool, Row as _, raw_sql};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Failure;
use crate::vendor::{self, Phones};

/// Without `OTP_AUTH__`: limits that nobody meets, since how they hold is not what is seen here; and the
/// shortest life of an event, so that the audit log has an end within the run, and sessions that end
/// the next day unless somebody uses them.
const SETTINGS: &[(&str, &str)] = &[
    ("SERVER__BIND", "127.0.0.1:0"),
    ("SERVER__ADMIN_BIND", "127.0.0.1:0"),
    ("SERVER__SHUTDOWN_GRACE_SECONDS", "0"),
    ("SERVER__TRUSTED_PROXIES", "127.0.0.1/32"),
    ("STARTMESSAGING__API_KEY", "sm_live_of_the_soak"),
    ("STARTMESSAGING__TIMEOUT_MS", "60000"),
    ("STARTMESSAGING__REQUESTS_PER_SECOND", "1000"),
    ("STARTMESSAGING__BURST", "10000"),
    ("DATABASE__ACQUIRE_TIMEOUT_MS", "60000"),
    ("DATABASE__STATEMENT_TIMEOUT_MS", "60000"),
    ("LIMITS__PUMPING__MODE", "record_only"),
    ("RETENTION__AUDIT_DAYS", "30"),
    ("TOKENS__REFRESH_IDLE_SECONDS", "86400"),
];
/// How long a night may take.
const NIGHT: Duration = Duration::from_mins(5);

/// What must be empty in the morning: rows that are over.
const OVERDUE: [(&str, &str); 6] = [
    (
        "otp_requests",
        "created_at < $1::timestamptz - interval '20 hours 1 minute'",
    ),
    (
        "idempotency_keys",
        "expires_at < $1::timestamptz - interval '1 minute'",
    ),
    (
        "sessions",
        "least(ended_at, expires_at, refresh_expires_at) < $1::timestamptz - interval '62 minutes'",
    ),
    (
        "spent_refresh_tokens",
        "spent_at < $1::timestamptz - interval '71 seconds'",
    ),
    (
        "phone_throttles",
        "failures_in_row = 0 AND known_failures_in_row = 0 AND locks = 0
            AND cooldown_until < $1::timestamptz - interval '26 hours'",
    ),
    (
        "address_throttles",
        "day_start < $1::timestamptz - interval '2 days'",
    ),
];

/// A time of day that is moved on. How long something takes is true, but not at night: hours pass then while
/// nobody calls, and no work that there is seems long in them.
struct FastClock {
    now: Mutex<DateTime<Utc>>,
    real: SystemClock,
    night: Mutex<Option<Duration>>,
}

impl Clock for FastClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn monotonic(&self) -> Duration {
        let night = *self.night.lock().unwrap_or_else(PoisonError::into_inner);
        night.unwrap_or_else(|| self.real.monotonic())
    }
}

impl FastClock {
    fn set_night(&self, is_night: bool) {
        let since = is_night.then(|| self.real.monotonic());
        *self.night.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// What lies in the database in the morning.
pub(crate) struct Weight {
    /// Bytes of `otp_requests`, of `audit_events`, and of all other tables, indexes included.
    pub(crate) bytes: [i64; 3],
    /// Rows that should have left.
    pub(crate) overdue: i64,
}

pub(crate) struct World {
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
    pub(crate) phones: Arc<Phones>,
    admin: String,
    clock: Arc<FastClock>,
    pool: PgPool,
    postgres: PrivatePostgres,
    stop: oneshot::Sender<()>,
    running: JoinHandle<std::io::Result<()>>,
}

impl World {
    /// A world whose time begins so many days ago: at its end it is today, and the database, which has its
    /// own clock, takes nothing in it for young.
    pub(crate) async fn start(days: u16) -> Result<Self, Failure> {
        let options = PostgresOptions {
            data: DataDir::ThrowAway,
            durable: false,
            max_connections: 30,
            // A day passes in seconds, and so must what PostgreSQL does each minute.
            settings: &["autovacuum_naptime=1s"],
        };
        let postgres = PrivatePostgres::start(options, &SystemRandom).await?;
        let pool = PgPool::connect(postgres.url().expose_secret()).await?;
        let phones = Arc::new(Phones::default());
        let vendor = vendor::start(Arc::clone(&phones))?;
        let today = SystemClock::default().now().date_naive();
        let first = today - Days::new(u64::from(days) + 1);
        let clock = Arc::new(FastClock {
            now: Mutex::new(first.and_time(NaiveTime::MIN).and_utc()),
            real: SystemClock::default(),
            night: Mutex::default(),
        });
        let master_key: [u8; 32] = bytes(&SystemRandom)?;
        let own = [
            ("STARTMESSAGING__BASE_URL", format!("http://{vendor}")),
            ("DATABASE__URL", postgres.url().expose_secret().to_owned()),
            ("SECRETS__MASTER_KEY", BASE64_STANDARD.encode(master_key)),
        ];
        let given = SETTINGS
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let environment: BTreeMap<String, String> = given
            .chain(own)
            .map(|(name, value)| (format!("OTP_AUTH__{name}"), value))
            .collect();
        let settings = Settings::load(environment.into_iter(), None, clock.now())?;
        let deps = Deps {
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
        };
        let app = App::build(&settings, deps).await?;
        let (base, admin) = (
            format!("http://{}", app.public_addr),
            format!("http://{}", app.admin_addr),
        );
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(app.run(async move { drop(stopped.await) }));
        Ok(Self {
            base,
            http: reqwest::Client::builder().no_proxy().build()?,
            phones,
            admin,
            clock,
            pool,
            postgres,
            stop,
            running,
        })
    }

    /// Moves the clock on by so many seconds.
    pub(crate) fn advance(&self, seconds: i64) {
        *self
            .clock
            .now
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += TimeDelta::seconds(seconds);
    }

    /// Moves on to the next day, and waits until the service has looked through all tables since.
    pub(crate) async fn sleep_until_morning(&self) -> Result<(), Failure> {
        self.clock.set_night(true);
        let slept = self.sleep().await;
        self.clock.set_night(false);
        slept
    }

    async fn sleep(&self) -> Result<(), Failure> {
        let before = self.walks().await?;
        {
            let mut now = self
                .clock
                .now
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let tomorrow = now.date_naive() + Days::new(1);
            *now = tomorrow.and_time(NaiveTime::MIN).and_utc();
        }
        self.walked_since(before).await?;
        // The walk that ended may have begun the day before; after a minute's rest comes the next.
        let before = self.walks().await?;
        self.advance(61);
        self.walked_since(before).await
    }

    async fn walked_since(&self, before: BTreeMap<String, u64>) -> Result<(), Failure> {
        let walked = async {
            loop {
                let walks = self.walks().await?;
                let again =
                    |(table, count): (&String, &u64)| before.get(table).is_none_or(|b| count > b);
                if walks.len() == 5 && walks.iter().all(again) {
                    return Ok::<_, Failure>(());
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(NIGHT, walked)
            .await
            .map_err(|elapsed| format!("a night took too long: {elapsed}"))?
    }

    async fn walks(&self) -> Result<BTreeMap<String, u64>, Failure> {
        let metrics = self
            .http
            .get(format!("{}/metrics", self.admin))
            .send()
            .await?;
        let metrics = metrics.text().await?;
        let lines = metrics.lines().filter_map(|line| {
            let (table, count) = line
                .strip_prefix("otp_auth_retention_walks_total{table=\"")?
                .split_once("\"} ")?;
            Some((table.to_owned(), count.parse().ok()?))
        });
        Ok(lines.filter(|(_, count)| *count > 0).collect())
    }

    /// Weighs what is there, and searches it for what should not be.
    pub(crate) async fn weigh(&self) -> Result<Weight, Failure> {
        let sizes = "SELECT CASE WHEN relname LIKE 'otp\\_requests%' THEN 0
                 WHEN relname LIKE 'audit\\_events%' THEN 1 ELSE 2 END AS kind,
                 sum(pg_total_relation_size(oid))::bigint AS bytes
             FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
             GROUP BY 1";
        let mut bytes = [0; 3];
        for row in self.pool.fetch_all(sizes).await? {
            let kind = usize::try_from(row.get::<i32, _>("kind"))?;
            if let Some(sum) = bytes.get_mut(kind) {
                *sum = row.get("bytes");
            }
        }
        let mut overdue = 0;
        for (table, is_over) in OVERDUE {
            let now = self.clock.now().to_rfc3339();
            let is_over = is_over.replace("$1", &format!("'{now}'"));
            let count = format!("SELECT count(*) FROM {table} WHERE {is_over}");
            let row = self.pool.fetch_one(raw_sql(AssertSqlSafe(count))).await?;
            let rows: i64 = row.get(0);
            if rows > 0 {
                crate::say(&format!("{rows} rows of {table} are still there"));
            }
            overdue += rows;
        }
        Ok(Weight { bytes, overdue })
    }

    /// Ends the service and the database.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        drop(self.stop);
        self.running.await??;
        self.pool.close().await;
        Ok(self.postgres.stop().await?)
    }
}
