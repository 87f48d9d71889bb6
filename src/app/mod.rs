//! Puts the parts together: the only module, beside `config`, that knows every concrete type.

mod keys;
mod parts;
mod policies;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App as ActixApp, HttpServer};
use futures_util::{FutureExt as _, future};
use sqlx::PgPool;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::config::Settings;
use crate::database::{self, DatabaseOptions, StoreError};
use crate::http::{self, cors, observe};
use crate::otp::Otp;
use crate::otp::code::CodeError;
use crate::phone;
use crate::provider;
use crate::random::Random;
use crate::retention::{self, Retention};
use crate::revocation::Revocations;
use crate::rules::{Rules, RulesError};
use crate::secrets::{DeriveError, Keyring};
use crate::telemetry::Chain;
use crate::token::keys::{Keeper, KeyError, SigningKeys};
use crate::verifier::ExpectedError;

pub(crate) use parts::{resolver, startmessaging, webhook_timeouts};

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
    /// What operators decided could not be read.
    #[error("the rules of the operators could not be read")]
    Rules(#[from] RulesError),
    /// The sessions that ended could not be read.
    #[error("the revocations could not be read")]
    Revocations(#[source] StoreError),
    /// The master key is not usable.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// A test number's code is no code.
    #[error("a test number's code {0}")]
    TestNumber(#[from] CodeError),
    /// The provider's client could not be built.
    #[error(transparent)]
    Provider(#[from] provider::BuildError),
    /// The issuer or an audience is empty.
    #[error(transparent)]
    OwnTokens(#[from] ExpectedError),
    /// The metrics have no buckets.
    #[error("the metrics could not be set up")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// A service that listens and waits to be run.
pub struct App {
    /// Where the public listener is.
    pub public_addr: SocketAddr,
    /// Where the admin listener is.
    pub admin_addr: SocketAddr,
    public: Server,
    admin: Server,
    otp: Arc<Otp>,
    rules: Arc<Rules>,
    keys: Arc<SigningKeys>,
    retention: Retention,
    revocations: Arc<Revocations>,
    /// The connection over which the revocations are followed.
    follower: PgPool,
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
        // Where that fails rows go to the default partitions, which is worth a warning only.
        if let Err(error) = retention::prepare(&startup, deps.clock.now()).await {
            tracing::warn!(error = %Chain(&error), "partitions were not made");
        }
        let pool = database::pool(&database).map_err(StartError::Pool)?;
        let keeper = keys::keeper(settings, &deps, Arc::clone(&keyring), pool.clone());
        let signing_keys = Arc::new(SigningKeys::load(&startup, keeper).await?);
        let rules = Rules::load(
            &startup,
            pool.clone(),
            Arc::clone(&keyring),
            Arc::clone(&deps.random),
        );
        let rules = Arc::new(rules.await?);
        let revocations = Revocations::load(
            &startup,
            pool.clone(),
            Arc::clone(&deps.clock),
            Arc::clone(&deps.random),
        );
        let revocations = Arc::new(revocations.await.map_err(StartError::Revocations)?);
        let follower = DatabaseOptions {
            max_connections: 1,
            ..database
        };
        let follower = database::pool(&follower).map_err(StartError::Pool)?;
        startup.close().await;
        phone::warm_up(&settings.phone);
        let state = parts::state(
            settings,
            deps,
            keyring,
            Arc::clone(&signing_keys),
            Arc::clone(&rules),
            Arc::clone(&revocations),
            pool.clone(),
        );
        let state = Data::new(state?);
        let grace = settings.server.shutdown_grace.as_secs();
        let clients = Arc::clone(&state.clients);
        let otp = Arc::clone(&state.otp);
        let retention = parts::retention(settings, &state);

        let public_state = state.clone();
        let mut public_server = HttpServer::new(move || {
            ActixApp::new()
                .app_data(public_state.clone())
                .wrap(from_fn(observe::observe))
                .configure(http::gateway_routes)
                .service(
                    web::scope("")
                        .wrap(cors::cors(Arc::clone(&clients)))
                        .configure(http::public_routes),
                )
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
            otp,
            rules,
            keys: signing_keys,
            retention,
            revocations,
            follower,
            pool,
        })
    }

    /// Serves until `shutdown` is done, then stops accepting, finishes what is in flight within
    /// `server.shutdown_grace_seconds`, and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let (public, admin) = (self.public.handle(), self.admin.handle());
        let servers = future::try_join(self.public, self.admin);
        let (stop_background, stopped) = oneshot::channel::<()>();
        let stopped = stopped.map(drop).shared();
        let background = future::join(
            Box::pin(self.revocations.follow(self.follower, stopped.clone())),
            future::join4(
                self.otp.follow_deliveries(stopped.clone()),
                self.rules.follow(stopped.clone()),
                self.keys.follow(stopped.clone()),
                self.retention.follow(stopped),
            ),
        );
        let stop = async {
            shutdown.await;
            drop(stop_background);
            tracing::info!("stopping: no new connections, finishing what is in flight");
            public.stop(true).await;
            admin.stop(true).await;
        };
        let (served, (), _) = future::join3(servers, stop, background).await;
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

/// What changes the signing keys, over a connection of its own: for commands, whose questions may take
/// longer than a call's.
pub async fn keeper(settings: &Settings, deps: &Deps) -> Result<Keeper, StartError> {
    let keyring = Arc::new(Keyring::derive(&settings.secrets.master_key)?);
    let pool = database::startup_pool(&database_options(settings))
        .await
        .map_err(StartError::Connect)?;
    Ok(keys::keeper(settings, deps, keyring, pool))
}

/// The same over connections as the service itself has them, none of which is made yet: for who looks at a
/// deployment.
pub(crate) fn keeper_over(
    settings: &Settings,
    deps: &Deps,
    pool: PgPool,
) -> Result<Keeper, StartError> {
    let keyring = Arc::new(Keyring::derive(&settings.secrets.master_key)?);
    Ok(keys::keeper(settings, deps, keyring, pool))
}

/// How the settings say to reach the database.
pub(crate) fn database_options(settings: &Settings) -> DatabaseOptions {
    DatabaseOptions {
        url: settings.database.url.clone(),
        max_connections: settings.database.max_connections,
        acquire_timeout: settings.database.acquire_timeout,
        statement_timeout: settings.database.statement_timeout,
    }
}
