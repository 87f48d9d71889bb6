//! Looks at a deployment from outside and in, for whoever is on call and for pipelines: what `serve` needs,
//! what others see of it, and what a gateway in front of others makes of tokens.
//!
//! Each check ends by itself within its deadline, and says on one line what it saw and what to do. Nothing
//! here sends an SMS, costs money or shows a secret. Only the tokens for a gateway leave something behind:
//! an audit event, and the revocation of a session that never was.

mod configuration;
pub mod database;
mod drift;
pub mod gateway;
mod master_key;
mod published;
mod ready;
mod report;
mod store;
mod vendor;
mod web;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::OptionFuture;
use tokio::time::timeout;
use url::Url;

use crate::app::{self, Deps, StartError};
use crate::config::Settings;
use crate::provider::BuildError;
use crate::random::{self, RandomUnavailable};
use crate::token::keys::{KeyPolicy, KeyRecord};

use database::Database;
use gateway::{Gateway, GatewayError};
use published::Published;
pub use report::{Finding, Level, Report};
use web::Web;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where keys and metadata are looked at, instead of at `server.issuer`.
    pub issuer_url: Option<Url>,
    /// A gateway in front of others.
    pub gateway: Option<Gateway>,
    /// How many replicas there are to be.
    pub replicas: u32,
    /// How long each check may take.
    pub deadline: Duration,
}

/// Where settings come from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The environment.
    pub environment: &'a [(String, String)],
    /// The file of `--config`.
    pub file: Option<&'a Path>,
}

/// Nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The gateway is asked for what the settings do not have.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The database or the keys cannot even be asked.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An address of the database is not usable.
    #[error("database.url or database.direct_url is not usable")]
    Pool(#[source] sqlx::Error),
    /// The vendor's client could not be built.
    #[error(transparent)]
    Vendor(#[from] BuildError),
    /// The HTTP client could not be built.
    #[error("the HTTP client cannot start")]
    Http(#[source] reqwest::Error),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
}

/// Looks at everything; what does not depend on each other at the same time.
pub async fn run(
    options: &Options,
    sources: Sources<'_>,
    deps: &Deps,
) -> Result<Report, DoctorError> {
    let now = deps.clock.now();
    let (settings, mut findings) = configuration::check(sources.environment, sources.file, now);
    let clock = Arc::clone(&deps.clock);
    let web = Web::new(options.deadline, clock).map_err(DoctorError::Http)?;
    match settings {
        Some(settings) => findings.extend(with(&settings, options, &web, deps).await?),
        None => findings.extend(without(options, &web, deps).await?),
    }
    Ok(Report { findings })
}

async fn with(
    settings: &Settings,
    options: &Options,
    web: &Web,
    deps: &Deps,
) -> Result<Vec<Finding>, DoctorError> {
    let deadline = options.deadline;
    let plan = options.gateway.as_ref();
    let plan = plan.map(|gateway| gateway.plan(settings)).transpose()?;
    let database_options = app::database_options(settings);
    let pool = store::pool(&database_options).map_err(DoctorError::Pool)?;
    let direct = settings.database.direct_url.as_ref();
    let direct = direct.map(|_| store::pool(&app::direct_options(settings)));
    let direct = direct.transpose().map_err(DoctorError::Pool)?;
    let keeper = app::keeper_over(settings, deps, pool.clone())?;
    let database = Database {
        options: &database_options,
        pool: &pool,
        direct: direct.as_ref(),
        migrate_on_start: settings.database.migrate_on_start,
        replicas: options.replicas,
        clock: deps.clock.as_ref(),
        random: deps.random.as_ref(),
    };
    let reached = database::reach(&database_options, deadline)
        .boxed()
        .shared();
    let masters = app::master_keys(settings).map_err(StartError::from)?;
    let gateway = plan.map(|plan| plan.check(reached.clone(), &keeper, web, deps, deadline));
    let gateway = OptionFuture::from(gateway);
    let (database, master_key, vendor, others, ready, gateway) = tokio::join!(
        Box::pin(database::check(&database, reached.clone(), deadline)),
        Box::pin(master_key::check(&pool, masters, reached.clone(), deadline)),
        Box::pin(vendor::check(settings, deps, deadline)),
        Box::pin(async {
            let keys = match reached.clone().await {
                Ok(_) => timeout(deadline, keeper.keys()).await.ok(),
                Err(_) => None,
            };
            let keys = keys.and_then(Result::ok);
            let keys = keys.as_deref();
            as_others_see_it(settings, options, &keeper.policy, keys, (web, deps)).await
        }),
        Box::pin(ready::check(settings.server.admin_bind, web, deadline)),
        Box::pin(gateway),
    );
    // A connection that hangs is not waited for.
    let _ = timeout(deadline, pool.close()).await;
    if let Some(direct) = direct {
        let _ = timeout(deadline, direct.close()).await;
    }
    let mut findings = database;
    findings.push(master_key);
    findings.extend(vendor?);
    findings.extend(others?);
    findings.push(ready);
    findings.extend(gateway.into_iter().flatten());
    Ok(findings)
}

async fn as_others_see_it(
    settings: &Settings,
    options: &Options,
    policy: &KeyPolicy,
    keys: Option<&[KeyRecord]>,
    (web, deps): (&Web, &Deps),
) -> Result<Vec<Finding>, DoctorError> {
    let issuer = settings.server.issuer.as_str();
    let base = match &options.issuer_url {
        Some(url) => url.clone(),
        // It was read as a URL before.
        None => match issuer.parse() {
            Ok(url) => url,
            Err(_) => return Ok(published::unknown("server.issuer is no address")),
        },
    };
    let published = Published {
        web,
        base: &base,
        issuer: Some(issuer),
        keys,
        publish_ahead: Some(policy.publish_ahead),
        made_up: &made_up(deps)?,
    };
    let mut findings = published::check(&published, options.deadline).await;
    findings.push(match keys {
        Some(keys) => published::next(keys, policy, deps.clock.now()),
        None => published::unknown_next(),
    });
    Ok(findings)
}

/// What can be looked at without settings: the address that the operator named, as far as it goes.
async fn without(options: &Options, web: &Web, deps: &Deps) -> Result<Vec<Finding>, DoctorError> {
    const WHY: &str = "needs the configuration";
    let mut findings = database::unknown(WHY);
    findings.push(master_key::unknown(WHY));
    findings.extend(vendor::unknown(WHY));
    match &options.issuer_url {
        Some(base) => {
            let published = Published {
                web,
                base,
                issuer: None,
                keys: None,
                publish_ahead: None,
                made_up: &made_up(deps)?,
            };
            findings.extend(published::check(&published, options.deadline).await);
            findings.push(published::unknown_next());
        }
        None => findings.extend(published::unknown(WHY)),
    }
    findings.push(ready::unknown(WHY));
    if options.gateway.is_some() {
        findings.push(gateway::unknown(WHY));
    }
    Ok(findings)
}

/// A name that no path has.
fn made_up(deps: &Deps) -> Result<String, RandomUnavailable> {
    Ok(format!("doctor-{}", random::uuid_v4(deps.random.as_ref())?))
}

/// Gives a check its deadline.
async fn within(
    deadline: Duration,
    name: &'static str,
    check: impl Future<Output = Finding>,
) -> Finding {
    let ended = timeout(deadline, check).await;
    ended.unwrap_or_else(|_| Finding::late(name, deadline))
}
