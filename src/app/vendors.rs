//! Whom the settings have us call: the SMS provider, and who is told of spending.

use std::sync::Arc;
use std::time::Duration;

use governor::Quota;
use reqwest::redirect;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;

use crate::alerts::Hook;
use crate::clock::Clock;
use crate::config::{self, ProviderKind, Settings};
use crate::metrics::Metrics;
use crate::provider::breaker::Breaker;
use crate::provider::guard::{GuardOptions, Provider};
use crate::provider::resolver::{CachingResolver, ResolverPolicy, SystemLookup};
use crate::provider::startmessaging::{StartMessaging, StartMessagingOptions};
use crate::provider::webhook::{Webhook, WebhookOptions};
use crate::provider::{BuildError, Timeouts, Vendor};
use crate::standard_webhooks::Signer;

/// How long a POST of a spending warning may take; the defaults of the other calls (`[webhook]`).
const HOOK_CONNECT: Duration = Duration::from_secs(2);
const HOOK_TOTAL: Duration = Duration::from_secs(5);

/// What makes the vendor that the settings choose; it takes its time, to read the certificates that this machine
/// trusts. A new vendor is a new arm here.
pub(super) fn vendor(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Box<dyn FnOnce() -> Result<Box<dyn Vendor>, BuildError> + Send> {
    let resolver = resolver(clock);
    match &settings.provider.kind {
        ProviderKind::StartMessaging => {
            let options = startmessaging(&settings.startmessaging);
            Box::new(move || Ok(Box::new(StartMessaging::new(options, resolver)?)))
        }
        ProviderKind::Webhook(own) => {
            let options = WebhookOptions {
                url: own.url.clone(),
                secret: Zeroizing::new(own.secret.expose_secret().clone()),
                app_name: own.app_name.clone(),
                timeouts: webhook_timeouts(own),
            };
            let clock = Arc::clone(clock);
            Box::new(move || Ok(Box::new(Webhook::new(options, resolver, clock)?)))
        }
    }
}

/// The vendor with its guard.
pub(super) fn provider(
    settings: &Settings,
    vendor: Box<dyn Vendor>,
    clock: &Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> Provider {
    let rate = |per_second, burst| Quota::per_second(per_second).allow_burst(burst);
    let (rate, total) = match &settings.provider.kind {
        ProviderKind::StartMessaging => {
            let own = &settings.startmessaging;
            (Some(rate(own.requests_per_second, own.burst)), own.timeout)
        }
        ProviderKind::Webhook(own) => (
            own.requests_per_second
                .map(|per_second| rate(per_second, own.burst)),
            own.timeout,
        ),
    };
    let guard = &settings.provider;
    let options = GuardOptions {
        total,
        max_in_flight: guard.max_in_flight,
        max_wait: guard.max_wait,
        rate,
    };
    let breaker = Breaker::new(guard.breaker, Arc::clone(clock));
    Provider::new(vendor, options, breaker, Arc::clone(clock), metrics)
}

/// How a vendor's address is found.
pub(crate) fn resolver(clock: &Arc<dyn Clock>) -> CachingResolver {
    let lookup = Arc::new(SystemLookup);
    CachingResolver::new(ResolverPolicy::default(), lookup, Arc::clone(clock))
}

pub(crate) fn startmessaging(own: &config::StartMessaging) -> StartMessagingOptions {
    StartMessagingOptions {
        base_url: own.base_url.clone(),
        api_key: own.api_key.clone(),
        code_owner: own.code_owner,
        template_id: own.template_id,
        app_name: own.app_name.clone(),
        timeouts: Timeouts {
            connect: own.connect_timeout,
            total: own.timeout,
        },
    }
}

pub(crate) fn webhook_timeouts(own: &config::Webhook) -> Timeouts {
    Timeouts {
        connect: own.connect_timeout,
        total: own.timeout,
    }
}

/// Where spending warnings go.
pub(super) fn hook(settings: &Settings) -> Result<Option<Hook>, BuildError> {
    let Some(alerts) = &settings.alerts else {
        return Ok(None);
    };
    let http = reqwest::Client::builder()
        .connect_timeout(HOOK_CONNECT)
        .timeout(HOOK_TOTAL)
        // What is signed for one address is for no other.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build();
    Ok(Some(Hook {
        http: http.map_err(BuildError::Client)?,
        url: alerts.url.clone(),
        signer: Signer::new(alerts.secret.expose_secret()),
    }))
}
