//! Puts the parts together: the only module, beside `config`, that knows every concrete type.

mod early;
mod files;
mod keys;
mod parts;
mod policies;
mod run;
mod servers;
mod told;
mod vendors;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::web::Data;
use secrecy::SecretString;
use socket2::SockRef;
use sqlx::PgPool;
use tokio::task::JoinError;

use crate::clock::Clock;
use crate::config::Settings;
use crate::database::{self, DatabaseOptions, StoreError};
use crate::http::serving::Serving;
use crate::master_key::{self, MasterKeyError, Resealing};
use crate::otp::Otp;
use crate::otp::code::CodeError;
use crate::provider;
use crate::random::{Random, RandomUnavailable};
use crate::retention::{self, Retention};
use crate::revocation::Revocations;
use crate::rules::{Rules, RulesError};
use crate::secrets::{DeriveError, Keyring, MasterKeys};
use crate::telemetry::Chain;
use crate::telemetry::exporter::{Exporter, TracesError};
use crate::token::keys::{Keeper, KeyError, SigningKeys};
use crate::verifier::ExpectedError;
use crate::vitals::Vitals;

use parts::Stored;
use run::{Door, Patience};

pub(crate) use vendors::{resolver, startmessaging, webhook_timeouts};

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
    /// An address of the database is not usable.
    #[error("database.url or database.direct_url is not usable")]
    Pool(#[source] sqlx::Error),
    /// The database cannot be reached.
    #[error("the database of {0} cannot be reached")]
    Connect(&'static str, #[source] sqlx::Error),
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
    /// The master keys do not fit the database.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
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
    /// Traces cannot be made.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The replica could not be given a name.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// The runtime ended meanwhile.
    #[error("the start was cut off")]
    CutOff(#[from] JoinError),
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
    vitals: Arc<Vitals>,
    resealing: Resealing,
    revocations: Arc<Revocations>,
    serving: Arc<Serving>,
    patience: Patience,
    /// The public one and the admin's.
    doors: [Door; 2],
    /// The connection over which the revocations are followed.
    follower: PgPool,
    pool: PgPool,
    exporter: Option<Exporter>,
}

impl App {
    /// Migrates the database, reads or makes the signing key, and starts to listen.
    pub async fn build(settings: &Settings, deps: Deps) -> Result<Self, StartError> {
        let public = listen(settings.server.bind)?;
        let admin = listen(settings.server.admin_bind)?;
        let (public_addr, admin_addr) = (public.1, admin.1);
        let early = early::begin(settings, &deps.clock);
        let startup = startup_pool(settings).await?;
        let keyring = Box::pin(prepare(settings, &deps, &startup)).await?;
        let pool = pool(settings).await?;
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
        let follower = follower(settings)?;
        startup.close().await;
        let stored = Stored {
            keyring,
            keys: Arc::clone(&signing_keys),
            rules: Arc::clone(&rules),
            revocations: Arc::clone(&revocations),
        };
        let mut state = parts::state(settings, deps, early.await??, stored, pool.clone())?;
        let exporter = told::traces(settings, &mut state)?;
        let state = Data::new(state);
        let serving = Arc::clone(&state.serving);
        let otp = Arc::clone(&state.otp);
        let retention = parts::retention(settings, &state);
        let vitals = Arc::clone(&state.vitals);
        let resealing = parts::resealing(&state);

        let (public, public_door) = servers::public(settings, state.clone(), public)?;
        let (admin, admin_door) = servers::admin(settings, state, admin)?;
        Ok(Self {
            public_addr,
            admin_addr,
            doors: [public_door, admin_door],
            public,
            admin,
            otp,
            rules,
            keys: signing_keys,
            retention,
            vitals,
            resealing,
            revocations,
            serving,
            patience: Patience::of(&settings.server),
            follower,
            pool,
            exporter,
        })
    }
}

/// Brings the tables up to date, and reads the keys that open what is in them.
async fn prepare(
    settings: &Settings,
    deps: &Deps,
    startup: &PgPool,
) -> Result<Arc<Keyring>, StartError> {
    if settings.database.migrate_on_start {
        database::migrate(startup).await?;
    }
    let (random, now) = (deps.random.as_ref(), deps.clock.now());
    let keyring = master_key::load(startup, master_keys(settings)?, random, now).await?;
    // Where that fails rows go to the default partitions, which is worth a warning only.
    if let Err(error) = retention::prepare(startup, now).await {
        tracing::warn!(error = %Chain(&error), "partitions were not made");
    }
    Ok(Arc::new(keyring))
}

/// Connections that are made and not yet accepted: what Linux allows at most (`somaxconn`, from 5.4 on). The
/// standard library asks for 128; of a burst of 500 the kernel then forgets some that believe they are connected.
const BACKLOG: i32 = 4096;

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        SockRef::from(&listener).listen(BACKLOG)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    });
    bound.map_err(|error| StartError::Listen { address, error })
}

/// Brings the database up to this program's version, and nothing else.
pub async fn migrate(settings: &Settings) -> Result<(), StartError> {
    let pool = startup_pool(settings).await?;
    database::migrate(&pool).await?;
    pool.close().await;
    Ok(())
}

/// What changes the signing keys, over a connection of its own: for commands, whose questions may take
/// longer than a call's.
pub async fn keeper(settings: &Settings, deps: &Deps) -> Result<Keeper, StartError> {
    let pool = startup_pool(settings).await?;
    let keyring = Arc::new(master_key::read(&pool, master_keys(settings)?).await?);
    Ok(keys::keeper(settings, deps, keyring, pool))
}

/// The same over connections as the service itself has them, none of which is made yet: for who looks at a
/// deployment.
pub(crate) fn keeper_over(
    settings: &Settings,
    deps: &Deps,
    pool: PgPool,
) -> Result<Keeper, StartError> {
    let keyring = Arc::new(master_key::unread(master_keys(settings)?)?);
    Ok(keys::keeper(settings, deps, keyring, pool))
}

/// The master keys of the settings.
pub(crate) fn master_keys(settings: &Settings) -> Result<MasterKeys, DeriveError> {
    let secrets = &settings.secrets;
    MasterKeys::derive(&secrets.master_key, &secrets.other_master_keys)
}

/// How the settings say to reach the database, which may be through a pooler.
pub(crate) fn database_options(settings: &Settings) -> DatabaseOptions {
    let is_pooled = settings.database.direct_url.is_some();
    options(settings, &settings.database.url, is_pooled)
}

/// The same without a pooler, for what needs a session.
pub(crate) fn direct_options(settings: &Settings) -> DatabaseOptions {
    let database = &settings.database;
    let url = database.direct_url.as_ref().unwrap_or(&database.url);
    options(settings, url, false)
}

fn options(settings: &Settings, url: &SecretString, is_pooled: bool) -> DatabaseOptions {
    DatabaseOptions {
        url: url.clone(),
        max_connections: settings.database.max_connections,
        acquire_timeout: settings.database.acquire_timeout,
        statement_timeout: settings.database.statement_timeout,
        is_pooled,
    }
}

/// A connection to the database itself: migrations lock as a session, and take their time.
async fn startup_pool(settings: &Settings) -> Result<PgPool, StartError> {
    let key = match settings.database.direct_url {
        Some(_) => "database.direct_url",
        None => "database.url",
    };
    let pool = database::startup_pool(&direct_options(settings)).await;
    pool.map_err(|error| StartError::Connect(key, error))
}

/// The connection over which revocations are told: a pooler would tell nobody.
fn follower(settings: &Settings) -> Result<PgPool, StartError> {
    let options = DatabaseOptions {
        max_connections: 1,
        ..direct_options(settings)
    };
    database::pool(&options).map_err(StartError::Pool)
}

/// The connections of calls.
async fn pool(settings: &Settings) -> Result<PgPool, StartError> {
    let options = database_options(settings);
    let pool = database::pool(&options).map_err(StartError::Pool)?;
    if settings.database.direct_url.is_some() {
        look_at_pooler(&pool, &options).await;
    }
    Ok(pool)
}

/// Says so where a pooler leaves out what each connection is opened with: then nothing else would tell, until
/// a statement runs for ever. A pooler that is away is a matter of `/readyz`.
async fn look_at_pooler(pool: &PgPool, options: &DatabaseOptions) {
    match database::timeouts(pool).await {
        Ok(timeouts) if timeouts == options.timeouts() => {}
        Ok(timeouts) => tracing::warn!(
            statement_timeout_ms = timeouts.statement,
            idle_in_transaction_session_timeout_ms = timeouts.idle_in_transaction,
            "the pooler of database.url sets other timeouts than database.statement_timeout_ms asks for"
        ),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "the pooler of database.url was not reached");
        }
    }
}
