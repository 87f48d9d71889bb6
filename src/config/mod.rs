//! The settings: read once at start, checked as a whole, then passed on as plain types.
//!
//! Owns the layers (`config/default.toml`, the file of the profile, the operator's file, the
//! environment), every check of a setting, and the text of every fault. Nothing else reads the
//! environment or a configuration file, and nothing here is known to the parts it configures: they
//! take the values.
//!
//! Invariants:
//! - `config/default.toml` holds every key with its default and its reason; there is no other place
//!   for a default, and a key that is not in it is refused;
//! - one start tells every fault, and no fault holds the value of a secret;
//! - no `Debug` of a setting prints a secret;
//! - settings that are unsafe in production are refused there, not warned about.
//!
//! How to add a key: write it with its comment into `config/default.toml`, read it in the file of
//! its section; a test fails when one of the two is forgotten.

mod address;
mod admin_tokens;
mod alerts;
mod clients;
mod database;
mod fault;
mod gateway;
mod keys;
mod layer;
mod limits;
mod otp;
mod phone;
mod provider;
mod reader;
mod retention;
mod secrets;
mod server;
mod sources;
mod spend;
mod startmessaging;
mod table;
mod telemetry;
mod test_numbers;
#[cfg(test)]
mod tests;
mod tokens;
mod webhook;

use std::{collections::BTreeMap, fmt, path::Path};

use chrono::{DateTime, Utc};

use crate::client::Clients;
use crate::operator::Operators;
use crate::phone::PhoneRules;

use reader::{Effective, Read, Reader};
use sources::Sources;

pub use address::{AddressError, Issuer};
pub use alerts::Alerts;
pub use database::Database;
pub use fault::{ConfigError, Fault};
pub use gateway::Gateway;
pub use limits::{DeviceLimits, IpLimits, Limits, NetworkLimits, PhoneLimits};
pub use otp::Otp;
pub use provider::{Kind as ProviderKind, Provider};
pub use retention::Retention;
pub use secrets::{MasterKey, Secrets};
pub use server::Server;
pub use spend::{Currency, Pumping, Spend};
pub use startmessaging::StartMessaging;
pub use telemetry::Telemetry;
pub use test_numbers::TestNumber;
pub use tokens::{SigningAlgorithm, Tokens};
pub use webhook::Webhook;

/// What the process runs for, chosen by `OTP_AUTH_ENV`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A developer's machine; the default.
    Development,
    /// Real users; unsafe settings are refused.
    Production,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
        })
    }
}

/// Every setting, checked.
#[derive(Debug)]
pub struct Settings {
    /// What the process runs for.
    pub profile: Profile,
    /// Listeners, issuer, proxies.
    pub server: Server,
    /// PostgreSQL.
    pub database: Database,
    /// The master key.
    pub secrets: Secrets,
    /// Who may call the admin API, the holder of the admin token included.
    pub operators: Operators,
    /// Who texts, and how it is guarded.
    pub provider: Provider,
    /// The account with StartMessaging; its key is empty where somebody else texts.
    pub startmessaging: StartMessaging,
    /// The codes.
    pub otp: Otp,
    /// Whose numbers are accepted; the test numbers are.
    pub phone: PhoneRules,
    /// How much may be asked for.
    pub limits: Limits,
    /// Who is told about spending, if anybody is.
    pub alerts: Option<Alerts>,
    /// Tokens, sessions and signing keys.
    pub tokens: Tokens,
    /// `/v1/authorize`.
    pub gateway: Gateway,
    /// How long what is over is kept.
    pub retention: Retention,
    /// Logs and traces.
    pub telemetry: Telemetry,
    /// Who may ask.
    pub clients: Clients,
    /// Numbers with a fixed code.
    pub test_numbers: Vec<TestNumber>,
    /// What `summary` shows.
    effective: BTreeMap<String, Effective>,
}

impl Settings {
    /// Reads all settings: the built-in ones, the operator's file if there is one, and the
    /// environment, which is passed in so that tests need not change that of their process. `now` tells
    /// how long test numbers last.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault there is.
    pub fn load(
        environment: impl Iterator<Item = (String, String)>,
        config_file: Option<&Path>,
        now: DateTime<Utc>,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(Sources::read(environment, config_file));
        let settings = Self::read(&mut reader, now);
        let (faults, effective) = reader.finish();
        match settings {
            Ok(settings) if faults.is_empty() => Ok(Self {
                effective,
                ..settings
            }),
            _ => Err(ConfigError { faults }),
        }
    }

    /// Reads every section before it gives up on any, so that all faults are found.
    fn read(reader: &mut Reader, now: DateTime<Utc>) -> Read<Self> {
        let server = server::read(reader);
        let database = database::read(reader);
        let secrets = secrets::read(reader);
        let operators = admin_tokens::read(reader, now);
        let provider = provider::read(reader);
        let texts = provider
            .as_ref()
            .is_ok_and(|provider| matches!(provider.kind, ProviderKind::StartMessaging));
        let startmessaging = startmessaging::read(reader, texts);
        let otp = otp::read(reader);
        let phone = phone::read(reader);
        let limits = limits::read(reader);
        let alerts = alerts::read(reader);
        let tokens = tokens::read(reader);
        let gateway = gateway::read(reader);
        let retention = retention::read(reader);
        let telemetry = telemetry::read(reader);
        let rules = phone.as_ref().map_err(|noted| *noted);
        let clients = clients::read(reader, tokens.as_ref().map_err(|noted| *noted), rules);
        if let (Ok(limits), Ok(rules), Ok(clients)) = (&limits, rules, &clients) {
            spend::check_prices(reader, &limits.spend, rules, clients);
        }
        let known = clients.as_ref().map_err(|noted| *noted);
        let test_numbers = test_numbers::read(reader, rules, known, now)?;
        let phone = phone?.with_test_numbers(test_numbers.iter().map(|test| &test.phone_number));
        Ok(Self {
            profile: reader.profile(),
            server: server?,
            database: database?,
            secrets: secrets?,
            operators: operators?,
            provider: provider?,
            startmessaging: startmessaging?,
            otp: otp?,
            phone,
            limits: limits?,
            alerts: alerts?,
            tokens: tokens?,
            gateway: gateway?,
            retention: retention?,
            telemetry: telemetry?,
            clients: clients?,
            test_numbers,
            effective: BTreeMap::new(),
        })
    }

    /// The settings in effect as they were read, one `key = value` a line with where each came
    /// from and each ended by a line feed; of secrets only whether they are set.
    pub fn summary(&self) -> String {
        let first = format!("OTP_AUTH_ENV = {}\n", self.profile);
        self.effective.iter().fold(first, |text, (key, setting)| {
            format!("{text}{key} = {}  # {}\n", setting.shown, setting.origin)
        })
    }
}
