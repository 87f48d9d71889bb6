//! How soon a gateway refuses the tokens of a session that ended.

use std::time::Duration;

use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::super::report::Finding;
use super::cases::{is_let_in, shown};
use super::{REVOKED, Shown};
use crate::revocation::revoke;
use crate::telemetry::Chain;
use crate::token::probe::{Flaw, LIFE};

/// By when every replica refuses them.
const PROMISED: Duration = Duration::from_secs(1);
/// How long is waited for that.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// Refusals in a row, since a gateway may ask several replicas in turn.
const ENOUGH: u32 = 5;
/// The most that a verifier's clock may be behind.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);

impl Shown<'_> {
    /// Revokes the made-up session, and shows all addresses its token until they refuse it.
    pub(super) async fn revoked(&self, urls: &[Url], pool: &PgPool) -> Vec<Finding> {
        let now = self.deps.clock.now();
        let random = self.deps.random.as_ref();
        let token = match self.probes.token(Flaw::None, random, now) {
            Ok(token) => token,
            Err(error) => {
                let advice = "look at otp-auth keys list";
                return vec![Finding::fail(REVOKED, Chain(&error).to_string(), advice)];
            }
        };
        let mut open = Vec::new();
        let mut findings = Vec::new();
        for url in urls {
            // One that remembers answers has one to remember.
            let before = timeout(self.deadline, self.try_with(url, &token)).await;
            if before == Ok(Some(true)) {
                open.push(url);
            } else {
                let seen = format!("{}: not let in before either", shown(url));
                findings.push(Finding::skip(REVOKED, seen));
            }
        }
        let session = (self.probes.session(), self.probes.user());
        let since = Instant::now();
        let revoked = revoke(pool, session, now, now + LIFE + LEEWAY);
        match timeout(self.deadline, revoked).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let seen = format!("the session could not be revoked: {}", Chain(&error));
                let advice = "see the checks of the database";
                findings.push(Finding::fail(REVOKED, seen, advice));
                return findings;
            }
            Err(_) => {
                findings.push(Finding::late(REVOKED, self.deadline));
                return findings;
            }
        }
        let watched = open.into_iter().map(|url| self.watch(url, &token, since));
        findings.extend(futures_util::future::join_all(watched).await);
        findings
    }

    /// Shows an address the token until it refuses it for good.
    async fn watch(&self, url: &Url, token: &SecretString, since: Instant) -> Finding {
        let refused = async {
            let (mut first, mut in_row) = (since, 0);
            while in_row < ENOUGH {
                let asked = Instant::now();
                if self.try_with(url, token).await == Some(false) {
                    first = if in_row == 0 { asked } else { first };
                    in_row += 1;
                } else {
                    in_row = 0;
                }
                sleep(PAUSE).await;
            }
            first - since
        };
        let url = shown(url);
        match timeout(PATIENCE, refused).await {
            Ok(after) if after <= PROMISED => Finding::ok(
                REVOKED,
                format!("{url}: refused {} ms after", after.as_millis()),
            ),
            Ok(after) => Finding::warn(
                REVOKED,
                format!("{url}: refused {} ms after", after.as_millis()),
                "it should be within 1000 ms: look at otp_auth_revocations in the service's metrics",
            ),
            Err(_) => Finding::fail(
                REVOKED,
                format!("{url}: still let in {} ms after", PATIENCE.as_millis()),
                "whoever logs out stays in: have the gateway ask /v1/authorize for every call and remember \
                 no answer, and see /readyz of each replica",
            ),
        }
    }

    /// Whether a call with this token is let in, as far as the answer tells.
    async fn try_with(&self, url: &Url, token: &SecretString) -> Option<bool> {
        let call = self.web.get(url.clone()).bearer_auth(token.expose_secret());
        is_let_in(self.web.call(call).await.ok()?.status)
    }
}
