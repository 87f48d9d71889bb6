//! The settings become parts, and the parts a service.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgPool;
use tokio::runtime::Handle;

use super::early::Early;
use super::policies::{policy, sends_of_address};
use super::told;
use super::vendors::{hook, provider};
use super::{Deps, StartError};
use crate::alerts::Alerts;
use crate::audit::Audit;
use crate::config::Settings;
use crate::gateway::{Gateway, Remembered};
use crate::http::State;
use crate::http::admin::Denials;
use crate::http::documents::Documents;
use crate::http::request_ids::RequestIds;
use crate::http::serving::Serving;
use crate::idempotency::Idempotency;
use crate::limit::budget::Scope;
use crate::limit::per_ip::{IpLimit, IpWindow};
use crate::limit::spend::Ceilings;
use crate::master_key::Resealing;
use crate::metrics::Metrics;
use crate::otp::code::{CodeError, OtpCode};
use crate::otp::recent::Recent;
use crate::otp::refusals::Refusals;
use crate::otp::store::Store;
use crate::otp::test_numbers::{TestNumber, TestNumbers};
use crate::otp::{Otp, Together};
use crate::people::People;
use crate::provider::guard::Provider;
use crate::retention::{self, Retention};
use crate::revocation::Revocations;
use crate::rules::Rules;
use crate::seats::Seats;
use crate::secrets::Keyring;
use crate::session::Sessions;
use crate::sign_in::SignIn;
use crate::token::issuer::Issuer;
use crate::token::keys::SigningKeys;
use crate::token::own::OwnTokens;
use crate::vitals::Vitals;

/// Statements and waits for a connection that one call takes at most, with room to spare: a verify
/// that asks the provider takes seven.
const STEPS: u32 = 8;

/// What was read from the database.
pub(super) struct Stored {
    pub(super) keyring: Arc<Keyring>,
    pub(super) keys: Arc<SigningKeys>,
    pub(super) rules: Arc<Rules>,
    pub(super) revocations: Arc<Revocations>,
}

pub(super) fn state(
    settings: &Settings,
    deps: Deps,
    Early { metrics, vendor }: Early,
    Stored {
        keyring,
        keys,
        rules,
        revocations,
    }: Stored,
    pool: PgPool,
) -> Result<State, StartError> {
    let clients = Arc::new(settings.clients.clone());
    let issuer = settings.server.issuer.as_str().to_owned();
    let provider = provider(settings, vendor, &deps.clock, Arc::clone(&metrics));
    let provider = Arc::new(provider);
    let lease = lease(settings, &provider);
    let audit = Arc::new(audit(&deps, &pool));
    let seats = seats(settings, &metrics);
    let policy = policy(settings, lease);
    let otp = Arc::new(Otp {
        store: Store::new(pool.clone()),
        together: Together::new(&pool, &policy, &seats, &metrics),
        keyring: Arc::clone(&keyring),
        policy,
        provider: Arc::clone(&provider),
        random: Arc::clone(&deps.random),
        clock: Arc::clone(&deps.clock),
        test_numbers: test_numbers(settings, &keyring)?,
        clients: Arc::clone(&clients),
        metrics: Arc::clone(&metrics),
        rules: Arc::clone(&rules),
        audit: Arc::clone(&audit),
        alerts: Arc::new(Alerts {
            pool: pool.clone(),
            audit: Arc::clone(&audit),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&deps.clock),
            hook: hook(settings)?.map(Arc::new),
        }),
        refusals: Refusals::default(),
        recent: Recent::default(),
    });
    let sessions = Arc::new(sessions(
        settings,
        &otp,
        &metrics,
        Arc::clone(&keys),
        Arc::clone(&revocations),
        pool.clone(),
    ));
    let own_tokens = Arc::new(OwnTokens::new(&issuer, &clients, Arc::clone(&keys))?);
    let network = &settings.limits.network;
    let limit = |addresses: &[IpWindow], networks: &[_]| {
        let clock = Arc::clone(&deps.clock);
        IpLimit::new(addresses, &windows(networks), clock)
    };
    Ok(State {
        audit: Arc::clone(&audit),
        people: people(&otp, pool.clone()),
        denials: Denials::default(),
        serving: Arc::new(Serving::default()),
        send_limit: limit(
            &sends_of_address(settings),
            &[
                (network.sends_per_minute, 60),
                (network.sends_per_hour, 3600),
            ],
        ),
        verify_limit: limit(
            &windows(&[(settings.limits.ip.verifies_per_minute, 60)]),
            &[(network.verifies_per_minute, 60)],
        ),
        sign_in: SignIn::new(&pool, (&otp, &sessions), &seats),
        runtime: Handle::current(),
        seats,
        read_timeout: settings.server.read_timeout,
        idempotency: Idempotency {
            pool: pool.clone(),
            keyring: Arc::clone(&keyring),
            random: Arc::clone(&deps.random),
            lease,
        },
        vitals: Arc::new(vitals(settings, &otp, pool.clone())),
        max_staleness: settings.gateway.max_staleness,
        gateway: gateway(settings, &own_tokens, &revocations),
        revocations,
        own_tokens,
        documents: Documents::new(&issuer),
        log_sample: told::log_sample(settings, &keyring),
        traces: None,
        sessions,
        issuer,
        clients,
        phone_rules: settings.phone.clone(),
        otp,
        rules,
        keys,
        trusted_proxies: settings.server.trusted_proxies.clone(),
        keyring,
        clock: deps.clock,
        request_ids: RequestIds::new(Arc::clone(&deps.random)),
        random: deps.random,
        pool,
        operators: settings.operators.clone(),
        provider,
        metrics,
    })
}

fn audit(deps: &Deps, pool: &PgPool) -> Audit {
    let (random, clock) = (Arc::clone(&deps.random), Arc::clone(&deps.clock));
    Audit::new(pool.clone(), random, clock)
}

/// What is looked at only to be counted, with all whose spending has ceilings.
fn vitals(settings: &Settings, otp: &Otp, pool: PgPool) -> Vitals {
    let clients = settings.clients.iter();
    let clients = clients.map(|client| {
        let scope = Scope::Client(client.id.as_str().to_owned());
        (scope, client.ceilings)
    });
    let service = (Scope::Service, settings.limits.spend.ceilings);
    let all = [service].into_iter().chain(clients);
    let limited = all.filter(|(_, ceilings)| *ceilings != Ceilings::default());
    Vitals::new(
        pool,
        (Arc::clone(&otp.clock), Arc::clone(&otp.random)),
        Arc::clone(&otp.metrics),
        limited.collect(),
    )
}

/// Who may use the connections that there are.
fn seats(settings: &Settings, metrics: &Arc<Metrics>) -> Arc<Seats> {
    let database = &settings.database;
    Seats::new(
        database.max_connections,
        database.acquire_timeout,
        Arc::clone(metrics),
    )
}

fn people(otp: &Otp, pool: PgPool) -> People {
    People {
        pool,
        keyring: Arc::clone(&otp.keyring),
        random: Arc::clone(&otp.random),
        stop_at: otp.policy.failures.in_row,
    }
}

fn gateway(settings: &Settings, tokens: &Arc<OwnTokens>, ended: &Arc<Revocations>) -> Gateway {
    Gateway::new(
        Remembered::new(Arc::clone(tokens), settings.gateway.cached_tokens),
        Arc::clone(ended),
        settings.gateway.cookie.clone(),
    )
}

fn sessions(
    settings: &Settings,
    otp: &Otp,
    metrics: &Arc<Metrics>,
    keys: Arc<SigningKeys>,
    revocations: Arc<Revocations>,
    pool: PgPool,
) -> Sessions {
    let issuer = settings.server.issuer.as_str().to_owned();
    let tokens = &settings.tokens;
    Sessions {
        pool,
        keyring: Arc::clone(&otp.keyring),
        random: Arc::clone(&otp.random),
        issuer: Issuer::new(issuer, keys),
        metrics: Arc::clone(metrics),
        revocations,
        grace: TimeDelta::from_std(tokens.reuse_grace).unwrap_or(TimeDelta::MAX),
        per_user: tokens.sessions_per_user.into(),
    }
}

/// What removes rows from the database.
pub(super) fn retention(settings: &Settings, state: &State) -> Retention {
    let policy = retention::Policy {
        audit: settings.retention.audit,
        reuse_grace: state.sessions.grace,
        failures_in_row: state.otp.policy.failures.in_row,
    };
    Retention::new(
        state.pool.clone(),
        Arc::clone(&state.clock),
        Arc::clone(&state.random),
        Arc::clone(&state.metrics),
        policy,
    )
}

/// What seals rows anew.
pub(super) fn resealing(state: &State) -> Resealing {
    Resealing::new(
        state.pool.clone(),
        Arc::clone(&state.keyring),
        Arc::clone(&state.clock),
        Arc::clone(&state.random),
        Arc::clone(&state.metrics),
    )
}

/// The windows that are not switched off.
pub(super) fn windows(windows: &[(Option<NonZeroU32>, u64)]) -> Vec<IpWindow> {
    let on = windows.iter().filter_map(|(most, seconds)| {
        Some(IpWindow {
            most: (*most)?,
            window: Duration::from_secs(*seconds),
        })
    });
    on.collect()
}

/// How long whoever works on a call has it for himself: longer than the longest call can take, so
/// that after it he is dead.
fn lease(settings: &Settings, provider: &Provider) -> TimeDelta {
    let database = &settings.database;
    let step = database.acquire_timeout + database.statement_timeout;
    TimeDelta::from_std(provider.total() + step * STEPS).unwrap_or(TimeDelta::MAX)
}

fn test_numbers(settings: &Settings, keyring: &Keyring) -> Result<TestNumbers, CodeError> {
    let numbers = settings.test_numbers.iter();
    numbers
        .map(|number| {
            let code = OtpCode::parse(secrecy::ExposeSecret::expose_secret(&number.code))?;
            let fixed = TestNumber {
                code,
                valid_until: number.valid_until,
                clients: number.clients.clone(),
                is_accepted_anyway: number.is_accepted_anyway,
            };
            Ok((keyring.phone_index(&number.phone_number), fixed))
        })
        .collect::<Result<_, _>>()
        .map(TestNumbers)
}
