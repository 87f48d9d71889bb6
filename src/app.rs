//! Puts the parts together: the only file, beside `config`, that knows every concrete type.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App as ActixApp, HttpServer};
use chrono::TimeDelta;
use futures_util::future;
use governor::Quota;
use metrics_exporter_prometheus::BuildError;
use sqlx::PgPool;

use crate::clock::Clock;
use crate::config::Settings;
use crate::database::{self, DatabaseOptions};
use crate::http::{self, State, cors, observe};
use crate::idempotency::Idempotency;
use crate::limit::per_ip::{IpLimit, IpWindow};
use crate::limit::per_phone::{SendPolicy, Window};
use crate::metrics::Metrics;
use crate::otp::code::{CodeError, OtpCode};
use crate::otp::store::Store;
use crate::otp::{FailurePolicy, Otp, Policy, TestNumbers};
use crate::phone;
use crate::provider::breaker::{Breaker, BreakerPolicy};
use crate::provider::startmessaging::{self, StartMessaging, StartMessagingOptions};
use crate::random::Random;
use crate::secrets::{DeriveError, Keyring};
use crate::sign_in::SignIn;
use crate::token::issuer::Issuer;
use crate::token::keys::{KeyError, SigningKeys};

/// What the service takes from its surroundings.
#[derive(Clone)]
pub struct Deps {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids, nonces and keys.
    pub random: Arc<dyn Random>,
}

/// The service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// `database.url` is not usable.
    #[error("database.url is not usable")]
    Pool(#[source] sqlx::Error),
    /// The database cannot be reached.
    #[error("the database of database.url cannot be reached")]
    Connect(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the database could not be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The signing keys could not be read or made.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The master key is not usable.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// A test number's code is no code.
    #[error("a test number's code {0}")]
    TestNumber(#[from] CodeError),
    /// The provider's client could not be built.
    #[error(transparent)]
    Provider(#[from] startmessaging::BuildError),
    /// The metrics have no buckets.
    #[error("the metrics could not be set up")]
    Metrics(#[from] BuildError),
}

/// A service that listens and waits to be run.
pub struct App {
    /// Where the public listener is.
    pub public_addr: SocketAddr,
    /// Where the admin listener is.
    pub admin_addr: SocketAddr,
    public: Server,
    admin: Server,
    pool: PgPool,
}

impl App {
    /// Migrates the database, reads or makes the signing key, and starts to listen.
    pub async fn build(settings: &Settings, deps: Deps) -> Result<Self, StartError> {
        let public = listen(settings.server.bind)?;
        let admin = listen(settings.server.admin_bind)?;
        let (public_addr, admin_addr) = (public.1, admin.1);
        let database = database_options(settings);
        let keyring = Arc::new(Keyring::derive(&settings.secrets.master_key)?);
        let startup = database::startup_pool(&database)
            .await
            .map_err(StartError::Connect)?;
        if settings.database.migrate_on_start {
            database::MIGRATIONS.run(&startup).await?;
        }
        let (random, now) = (deps.random.as_ref(), deps.clock.now());
        let keys = SigningKeys::load_or_create(&startup, &keyring, random, now).await?;
        startup.close().await;
        let pool = database::pool(&database).map_err(StartError::Pool)?;
        phone::warm_up(&settings.phone);
        let state = Data::new(state(settings, deps, keyring, keys, pool.clone())?);
        let grace = settings.server.shutdown_grace.as_secs();
        let clients = Arc::clone(&state.clients);

        let public_state = state.clone();
        let mut public_server = HttpServer::new(move || {
            ActixApp::new()
                .app_data(public_state.clone())
                .wrap(cors::cors(Arc::clone(&clients)))
                .wrap(from_fn(observe::observe))
                .configure(http::public_routes)
        });
        if let Some(workers) = settings.server.workers {
            public_server = public_server.workers(workers.get());
        }
        let admin_server = HttpServer::new(move || {
            ActixApp::new()
                .app_data(state.clone())
                .wrap(from_fn(observe::observe))
                .configure(http::admin_routes)
        })
        .workers(1);
        let listening = |address| move |error| StartError::Listen { address, error };
        Ok(Self {
            public_addr,
            admin_addr,
            public: public_server
                .disable_signals()
                .shutdown_timeout(grace)
                .listen(public.0)
                .map_err(listening(public_addr))?
                .run(),
            admin: admin_server
                .disable_signals()
                .shutdown_timeout(grace)
                .listen(admin.0)
                .map_err(listening(admin_addr))?
                .run(),
            pool,
        })
    }

    /// Serves until `shutdown` is done, then stops accepting, finishes what is in flight within
    /// `server.shutdown_grace_seconds`, and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let (public, admin) = (self.public.handle(), self.admin.handle());
        let servers = future::try_join(self.public, self.admin);
        let stop = async {
            shutdown.await;
            tracing::info!("stopping: no new connections, finishing what is in flight");
            public.stop(true).await;
            admin.stop(true).await;
        };
        let (served, ()) = future::join(servers, stop).await;
        self.pool.close().await;
        served.map(|((), ())| ())
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    });
    bound.map_err(|error| StartError::Listen { address, error })
}

/// Brings the database up to this program's version, and nothing else.
pub async fn migrate(settings: &Settings) -> Result<(), StartError> {
    let options = database_options(settings);
    let pool = database::startup_pool(&options)
        .await
        .map_err(StartError::Connect)?;
    database::MIGRATIONS.run(&pool).await?;
    pool.close().await;
    Ok(())
}

/// How the settings say to reach the database.
fn database_options(settings: &Settings) -> DatabaseOptions {
    DatabaseOptions {
        url: settings.database.url.clone(),
        max_connections: settings.database.max_connections,
        acquire_timeout: settings.database.acquire_timeout,
        statement_timeout: settings.database.statement_timeout,
    }
}

fn state(
    settings: &Settings,
    deps: Deps,
    keyring: Arc<Keyring>,
    keys: SigningKeys,
    pool: PgPool,
) -> Result<State, StartError> {
    let keys = Arc::new(keys);
    let clients = Arc::new(settings.clients.clone());
    let issuer = settings.server.issuer.as_str().to_owned();
    let metrics = Arc::new(Metrics::new()?);
    let breaker = Breaker::new(BreakerPolicy::default(), Arc::clone(&deps.clock));
    let provider = StartMessaging::new(provider_options(settings), Arc::clone(&deps.clock))?;
    let otp = Arc::new(Otp {
        store: Store::new(pool.clone()),
        keyring: Arc::clone(&keyring),
        policy: policy(settings),
        provider: Arc::new(provider),
        random: Arc::clone(&deps.random),
        clock: Arc::clone(&deps.clock),
        test_numbers: test_numbers(settings, &keyring)?,
    });
    let ip = &settings.limits.ip;
    let limit = |windows: &[(Option<NonZeroU32>, u64)]| {
        let windows: Vec<IpWindow> = windows
            .iter()
            .filter_map(|(most, seconds)| {
                Some(IpWindow {
                    most: (*most)?,
                    window: Duration::from_secs(*seconds),
                })
            })
            .collect();
        IpLimit::new(&windows, Arc::clone(&deps.clock))
    };
    Ok(State {
        send_limit: limit(&[
            (ip.sends_per_minute, 60),
            (ip.sends_per_10_minutes, 600),
            (ip.sends_per_hour, 3600),
        ]),
        verify_limit: limit(&[(ip.verifies_per_minute, 60)]),
        sign_in: SignIn {
            pool: pool.clone(),
            otp: Arc::clone(&otp),
            issuer: Issuer::new(issuer.clone(), Arc::clone(&keys)),
            clients: Arc::clone(&clients),
            random: Arc::clone(&deps.random),
        },
        idempotency: Idempotency {
            pool: pool.clone(),
            keyring: Arc::clone(&keyring),
            random: Arc::clone(&deps.random),
        },
        issuer,
        clients,
        phone_rules: settings.phone.clone(),
        otp,
        keys,
        trusted_proxies: settings.server.trusted_proxies.clone(),
        keyring,
        clock: deps.clock,
        random: deps.random,
        pool,
        breaker: Arc::new(breaker),
        metrics,
    })
}

fn policy(settings: &Settings) -> Policy {
    let phone = &settings.limits.phone;
    let count = |most: NonZeroU32| i32::try_from(most.get()).unwrap_or(i32::MAX);
    let windows = [
        (phone.sends_per_5_minutes, 300),
        (phone.sends_per_hour, 3600),
        (phone.sends_per_day, 86_400),
    ];
    let windows = windows.iter().filter_map(|(most, seconds)| {
        Some(Window {
            seconds: *seconds,
            most: count((*most)?),
        })
    });
    let otp = &settings.otp;
    let seconds = |length: &Duration| i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
    Policy {
        ttl: TimeDelta::seconds(seconds(&otp.ttl)),
        max_attempts: i32::try_from(otp.max_attempts).unwrap_or(i32::MAX),
        max_sends: i32::try_from(otp.max_sends).unwrap_or(i32::MAX),
        sends: SendPolicy {
            windows: windows.collect(),
            cooldowns: otp.resend_cooldowns.iter().map(seconds).collect(),
        },
        failures: FailurePolicy {
            per_day: phone.failures_per_day.map_or(i32::MAX, count),
            lock: phone.lock,
            lock_max: phone.lock_max,
        },
    }
}

fn provider_options(settings: &Settings) -> StartMessagingOptions {
    let sm = &settings.startmessaging;
    StartMessagingOptions {
        base_url: sm.base_url.clone(),
        api_key: sm.api_key.clone(),
        template_id: sm.template_id,
        app_name: sm.app_name.clone(),
        connect_timeout: sm.connect_timeout,
        timeout: sm.timeout,
        budget: Some(Quota::per_second(sm.requests_per_second).allow_burst(sm.burst)),
    }
}

fn test_numbers(settings: &Settings, keyring: &Keyring) -> Result<TestNumbers, CodeError> {
    let numbers = settings.test_numbers.iter();
    numbers
        .map(|number| {
            let code = OtpCode::parse(secrecy::ExposeSecret::expose_secret(&number.code))?;
            Ok((keyring.phone_index(&number.phone_number), code))
        })
        .collect()
}
