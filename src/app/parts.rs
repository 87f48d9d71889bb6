//! The settings become parts, and the parts a service.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use governor::Quota;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use sqlx::PgPool;

use super::{Deps, StartError};
use crate::alerts::Alerts;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::{ProviderKind, Settings};
use crate::http::State;
use crate::http::admin::Denials;
use crate::idempotency::Idempotency;
use crate::limit::budget::{SpendPolicy, UnverifiedPolicy};
use crate::limit::per_address::AddressPolicy;
use crate::limit::per_ip::{IpLimit, IpWindow};
use crate::limit::per_phone::{SendPolicy, Window};
use crate::metrics::Metrics;
use crate::otp::code::{CodeError, OtpCode};
use crate::otp::refusals::Refusals;
use crate::otp::store::Store;
use crate::otp::test_numbers::{TestNumber, TestNumbers};
use crate::otp::weigh::GuardPolicy;
use crate::otp::{DevicePolicy, FailurePolicy, Otp, Policy};
use crate::people::People;
use crate::provider::breaker::Breaker;
use crate::provider::guard::{GuardOptions, Provider};
use crate::provider::resolver::{CachingResolver, ResolverPolicy, SystemLookup};
use crate::provider::startmessaging::{StartMessaging, StartMessagingOptions};
use crate::provider::webhook::{Webhook, WebhookOptions};
use crate::provider::{BuildError, Timeouts, Vendor};
use crate::rules::Rules;
use crate::secrets::Keyring;
use crate::sign_in::SignIn;
use crate::token::issuer::Issuer;
use crate::token::keys::SigningKeys;

/// Statements and waits for a connection that one call takes at most, with room to spare: a verify
/// that asks the provider takes seven.
const STEPS: u32 = 8;

pub(super) fn state(
    settings: &Settings,
    deps: Deps,
    keyring: Arc<Keyring>,
    keys: SigningKeys,
    rules: Arc<Rules>,
    pool: PgPool,
) -> Result<State, StartError> {
    let keys = Arc::new(keys);
    let clients = Arc::new(settings.clients.clone());
    let issuer = settings.server.issuer.as_str().to_owned();
    let metrics = Arc::new(Metrics::new()?);
    let provider = Arc::new(provider(settings, &deps.clock, Arc::clone(&metrics))?);
    let lease = lease(settings, &provider);
    let (random, clock) = (Arc::clone(&deps.random), Arc::clone(&deps.clock));
    let audit = Arc::new(Audit::new(pool.clone(), random, clock));
    let otp = Arc::new(Otp {
        store: Store::new(pool.clone()),
        keyring: Arc::clone(&keyring),
        policy: policy(settings, lease),
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
            hook: None,
        }),
        refusals: Refusals::default(),
    });
    let ip = &settings.limits.ip;
    let limit = |limits: &[(Option<NonZeroU32>, u64)]| {
        IpLimit::new(&windows(limits), Arc::clone(&deps.clock))
    };
    Ok(State {
        audit: Arc::clone(&audit),
        people: People {
            pool: pool.clone(),
            keyring: Arc::clone(&keyring),
            random: Arc::clone(&deps.random),
        },
        denials: Denials::default(),
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
            audit: Arc::clone(&audit),
        },
        idempotency: Idempotency {
            pool: pool.clone(),
            keyring: Arc::clone(&keyring),
            random: Arc::clone(&deps.random),
            lease,
        },
        issuer,
        clients,
        phone_rules: settings.phone.clone(),
        otp,
        rules,
        keys,
        trusted_proxies: settings.server.trusted_proxies.clone(),
        keyring,
        clock: deps.clock,
        random: deps.random,
        pool,
        admin_token: settings.secrets.admin_token.clone(),
        provider,
        metrics,
    })
}

fn policy(settings: &Settings, lease: TimeDelta) -> Policy {
    let phone = &settings.limits.phone;
    let otp = &settings.otp;
    Policy {
        ttl: TimeDelta::seconds(seconds(otp.ttl)),
        max_attempts: i32::try_from(otp.max_attempts).unwrap_or(i32::MAX),
        max_sends: i32::try_from(otp.max_sends).unwrap_or(i32::MAX),
        sends: SendPolicy {
            windows: send_windows([
                (phone.sends_per_5_minutes, 300),
                (phone.sends_per_hour, 3600),
                (phone.sends_per_day, 86_400),
            ]),
            cooldowns: otp.resend_cooldowns.iter().copied().map(seconds).collect(),
        },
        failures: FailurePolicy {
            per_day: phone.failures_per_day.map_or(i32::MAX, count),
            in_row: count(phone.failures_in_row),
            lock: phone.lock,
            lock_max: phone.lock_max,
        },
        device: device(settings),
        guard: guard(settings),
        lease,
    }
}

/// A device that is let past the cooldown of its phone keeps to the first one of its own.
fn device(settings: &Settings) -> DevicePolicy {
    let device = &settings.limits.device;
    let cooldown = settings.otp.resend_cooldowns.first().copied().map(seconds);
    let cooldown = cooldown.filter(|seconds| *seconds > 0);
    let once = cooldown.map(|seconds| Window { seconds, most: 1 });
    let windows = send_windows([
        (device.sends_per_hour, 3600),
        (device.sends_per_day, 86_400),
    ]);
    DevicePolicy {
        sends: SendPolicy {
            windows: once.into_iter().chain(windows).collect(),
            cooldowns: Vec::new(),
        },
        failures_per_day: device.failures_per_day.map_or(i32::MAX, count),
        receipt_life: TimeDelta::seconds(seconds(device.receipt_ttl)),
    }
}

fn guard(settings: &Settings) -> GuardPolicy {
    let ip = &settings.limits.ip;
    let spend = &settings.limits.spend;
    let pumping = &settings.limits.pumping;
    let home = settings.phone.default_region();
    GuardPolicy {
        address: AddressPolicy {
            windows: windows(&[
                (ip.sends_per_minute, 60),
                (ip.sends_per_10_minutes, 600),
                (ip.sends_per_hour, 3600),
            ]),
            phones_per_day: ip.phones_per_day.map(NonZeroU32::get),
            countries_per_day: ip.countries_per_day.map(NonZeroU32::get),
        },
        spend: SpendPolicy {
            service: spend.ceilings,
            prices: spend.prices.clone(),
            reserved_percent: spend.reserved_for_known_percent,
        },
        unverified: UnverifiedPolicy {
            mode: pumping.mode,
            least_per_day: pumping.least_per_day,
            least_per_hour: pumping.least_per_hour,
            home: pumping
                .expected_logins_per_day
                .map(|expected| (home, expected.get())),
            trust_accounts: pumping.trust_accounts,
        },
    }
}

fn count(most: NonZeroU32) -> i32 {
    i32::try_from(most.get()).unwrap_or(i32::MAX)
}

fn seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

/// A phone's windows that are not switched off.
fn send_windows<const N: usize>(windows: [(Option<NonZeroU32>, i64); N]) -> Vec<Window> {
    let on = windows.into_iter().filter_map(|(most, seconds)| {
        let most = count(most?);
        Some(Window { seconds, most })
    });
    on.collect()
}

/// The windows that are not switched off.
fn windows(windows: &[(Option<NonZeroU32>, u64)]) -> Vec<IpWindow> {
    let on = windows.iter().filter_map(|(most, seconds)| {
        Some(IpWindow {
            most: (*most)?,
            window: Duration::from_secs(*seconds),
        })
    });
    on.collect()
}

/// The vendor that the settings choose, with its guard. A new vendor is a new arm here.
fn provider(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> Result<Provider, BuildError> {
    let lookup = Arc::new(SystemLookup);
    let resolver = CachingResolver::new(ResolverPolicy::default(), lookup, Arc::clone(clock));
    let rate = |per_second, burst| Quota::per_second(per_second).allow_burst(burst);
    let (vendor, rate, total): (Box<dyn Vendor>, _, _) = match &settings.provider.kind {
        ProviderKind::StartMessaging => {
            let own = &settings.startmessaging;
            let options = StartMessagingOptions {
                base_url: own.base_url.clone(),
                api_key: own.api_key.clone(),
                code_owner: own.code_owner,
                template_id: own.template_id,
                app_name: own.app_name.clone(),
                timeouts: Timeouts {
                    connect: own.connect_timeout,
                    total: own.timeout,
                },
            };
            (
                Box::new(StartMessaging::new(options, resolver)?),
                Some(rate(own.requests_per_second, own.burst)),
                own.timeout,
            )
        }
        ProviderKind::Webhook(own) => {
            let options = WebhookOptions {
                url: own.url.clone(),
                secret: Zeroizing::new(own.secret.expose_secret().clone()),
                app_name: own.app_name.clone(),
                timeouts: Timeouts {
                    connect: own.connect_timeout,
                    total: own.timeout,
                },
            };
            (
                Box::new(Webhook::new(options, resolver, Arc::clone(clock))?),
                own.requests_per_second
                    .map(|per_second| rate(per_second, own.burst)),
                own.timeout,
            )
        }
    };
    let guard = &settings.provider;
    let options = GuardOptions {
        total,
        max_in_flight: guard.max_in_flight,
        max_wait: guard.max_wait,
        rate,
    };
    let breaker = Breaker::new(guard.breaker, Arc::clone(clock));
    Ok(Provider::new(
        vendor,
        options,
        breaker,
        Arc::clone(clock),
        metrics,
    ))
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
