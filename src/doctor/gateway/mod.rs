//! A gateway in front of others: whether it lets in who should be, and nobody else.

mod cases;
mod revoked;

use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::time::timeout;
use url::Url;

use super::database::Reached;
use super::report::Finding;
use super::web::{Web, explain};
use crate::app::Deps;
use crate::audit::{Action, Actor, Audit, Event, Outcome};
use crate::client::Client;
use crate::config::Settings;
use crate::database::StoreError;
use crate::telemetry::Chain;
use crate::token::grant::{Granted, NotGiven, Wanted};
use crate::token::keys::{Keeper, KeyError};
use crate::token::probe::{LIFE, ProbeError, Probes};
use cases::{BAD, Carried, Case, GOOD, shown};

const TOKENS: &str = "gateway.tokens";
const REVOKED: &str = "gateway.revoked";

/// How the gateway learns what a token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It asks `/v1/authorize`.
    ForwardAuth,
    /// It checks the signature itself, with the keys of the JWKS.
    Jwks,
}

/// A gateway, and what it protects.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Protected addresses that answer to GET.
    pub urls: Vec<Url>,
    /// How it checks.
    pub way: Way,
    /// Who the tokens are for; all audiences of the client if it is left out.
    pub audience: Option<String>,
    /// Whose tokens they are; the first one with the audience if it is left out.
    pub client: Option<String>,
}

/// The settings do not have what is asked for.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No such client.
    #[error("--client: the settings have no client {0:?}")]
    Client(String),
    /// No client has this audience, or not the one that was named.
    #[error("--audience: no such client has the audience {0:?}")]
    Audience(String),
}

/// Whose tokens for whom a gateway is shown.
pub(super) struct Plan<'a> {
    gateway: &'a Gateway,
    issuer: &'a str,
    client: &'a Client,
    granted: Granted,
}

impl Gateway {
    /// Finds the client and the audience in the settings.
    pub(super) fn plan<'a>(&'a self, settings: &'a Settings) -> Result<Plan<'a>, GatewayError> {
        let named = |client: &&Client| match &self.client {
            Some(id) => client.id.as_str() == id,
            None => true,
        };
        let wanted = Wanted {
            audience: self.audience.clone().map(|audience| vec![audience]),
            scopes: None,
        };
        let mut refusal = GatewayError::Client(self.client.clone().unwrap_or_default());
        for client in settings.clients.iter().filter(named) {
            match Granted::all(client).narrowed(&wanted) {
                Ok(granted) => {
                    return Ok(Plan {
                        gateway: self,
                        issuer: settings.server.issuer.as_str(),
                        client,
                        granted,
                    });
                }
                Err(NotGiven::Audience | NotGiven::Scope) => {
                    refusal = GatewayError::Audience(self.audience.clone().unwrap_or_default());
                }
            }
        }
        Err(refusal)
    }
}

/// What is said without settings.
pub(super) fn unknown(why: &str) -> Finding {
    Finding::skip(TOKENS, why)
}

impl Plan<'_> {
    /// Shows all addresses all tokens.
    pub(super) async fn check(
        self,
        reached: impl Future<Output = Reached>,
        keeper: &Keeper,
        web: &Web,
        deps: &Deps,
        deadline: Duration,
    ) -> Vec<Finding> {
        if reached.await.is_err() {
            return vec![Finding::skip(TOKENS, "needs the database")];
        }
        let advice =
            "see the checks of the database; without a key or the audit log no token is made";
        let minted = timeout(deadline, self.mint(keeper, deps)).await;
        let probes = match minted {
            Ok(Ok(probes)) => probes,
            Ok(Err(error)) => {
                return vec![Finding::fail(TOKENS, Chain(&error).to_string(), advice)];
            }
            Err(_) => return vec![Finding::late(TOKENS, deadline)],
        };
        let mut findings = vec![self.told(&probes)];
        let shown = Shown {
            probes: &probes,
            web,
            deps,
            deadline,
        };
        for url in &self.gateway.urls {
            findings.extend(shown.to(url).await);
        }
        match self.gateway.way {
            Way::Jwks => findings.push(Finding::skip(
                REVOKED,
                "who only has the keys lets a token in until it ends, whatever happened to its session",
            )),
            Way::ForwardAuth => {
                findings.extend(shown.revoked(&self.gateway.urls, &keeper.pool).await);
            }
        }
        findings
    }

    /// Draws the user and the session, and leaves a trace before there is a token.
    async fn mint(&self, keeper: &Keeper, deps: &Deps) -> Result<Probes<'_>, MintError> {
        let published = keeper.published().await?;
        let client = (self.client, &self.granted);
        let probes = Probes::new(self.issuer, client, &published, deps.random.as_ref())?;
        let audit = Audit::new(keeper.pool.clone(), deps.random.clone(), deps.clock.clone());
        let event = Event::new(Action::DoctorMint, Outcome::Success, Actor::Admin(None))
            .user(probes.user())
            .session(probes.session())
            .with("by", "command")
            .with("client", self.client.id.as_str())
            .with("audience", self.granted.audience())
            .with("kid", probes.kid());
        audit.record(&event).await?;
        Ok(probes)
    }

    fn told(&self, probes: &Probes<'_>) -> Finding {
        let seen = format!(
            "of client {} for {}, {} s each; they name nobody: user {} and session {} are made up \
             (doctor.mint in the audit log)",
            self.client.id,
            self.granted.audience().join(", "),
            LIFE.num_seconds(),
            probes.user(),
            probes.session(),
        );
        Finding::ok(TOKENS, seen)
    }
}

#[derive(Debug, thiserror::Error)]
enum MintError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error("the audit log cannot be written")]
    Audit(#[from] StoreError),
}

/// What is shown to gateways.
struct Shown<'a> {
    probes: &'a Probes<'a>,
    web: &'a Web,
    deps: &'a Deps,
    deadline: Duration,
}

impl Shown<'_> {
    /// Shows an address all of it.
    async fn to(&self, url: &Url) -> Vec<Finding> {
        let (good, is_there) = match self.one(&GOOD, url).await {
            Ok(finding) => (finding, true),
            Err(finding) => (finding, false),
        };
        let mut findings = vec![good];
        for case in &BAD {
            findings.push(if is_there {
                let shown = self.one(case, url).await;
                shown.unwrap_or_else(|unanswered| unanswered)
            } else {
                Finding::skip(case.name, "needs the gateway")
            });
        }
        findings
    }

    /// Shows one thing. Without an answer that is an error.
    async fn one(&self, case: &Case, url: &Url) -> Result<Finding, Finding> {
        match timeout(self.deadline, self.status(case, url)).await {
            Ok(Ok(status)) => Ok(case.judge(url, status)),
            Ok(Err(unanswered)) => Err(unanswered),
            Err(_) => Err(Finding::late(case.name, self.deadline)),
        }
    }

    async fn status(&self, case: &Case, url: &Url) -> Result<u16, Finding> {
        let call = self.web.get(url.clone());
        let call = match case.carried {
            Carried::Nothing => call,
            Carried::Subject => call.header("x-auth-subject", self.probes.user().to_string()),
            Carried::Token(flaw) => {
                // A slow gateway must not be saved by the token's end.
                let (random, now) = (self.deps.random.as_ref(), self.deps.clock.now());
                let token = self.probes.token(flaw, random, now).map_err(|error| {
                    let seen = Chain(&error).to_string();
                    Finding::fail(case.name, seen, "look at otp-auth keys list")
                })?;
                call.bearer_auth(token.expose_secret())
            }
        };
        let page = self.web.call(call).await.map_err(|error| {
            let (seen, advice) = explain(&error);
            Finding::fail(case.name, format!("{}: {seen}", shown(url)), advice)
        })?;
        Ok(page.status)
    }
}
