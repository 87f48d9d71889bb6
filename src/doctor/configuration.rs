//! The settings: every fault, and what production would make of them.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::report::Finding;
use crate::config::{Fault, Profile, Settings};

const NAME: &str = "configuration";
const PRODUCTION: &str = "configuration.production";
/// Chooses the profile.
const PROFILE: &str = "OTP_AUTH_ENV";

/// Reads the settings as `serve` does.
pub(super) fn check(
    environment: &[(String, String)],
    file: Option<&Path>,
    now: DateTime<Utc>,
) -> (Option<Settings>, Vec<Finding>) {
    match Settings::load(environment.iter().cloned(), file, now) {
        Ok(settings) => {
            let profile = settings.profile;
            let loaded = Finding::ok(NAME, format!("as {profile}"));
            let production = match profile {
                Profile::Production => {
                    Finding::ok(PRODUCTION, "what is unsafe would not have started")
                }
                Profile::Development => as_in_production(environment, file, now),
            };
            (Some(settings), vec![loaded, production])
        }
        Err(error) => {
            let told = |fault: &Fault| {
                let advice = "mend it; config/default.toml explains every key";
                Finding::fail(NAME, fault.to_string(), advice)
            };
            (None, error.faults.iter().map(told).collect())
        }
    }
}

/// What would be refused where real users are.
fn as_in_production(
    environment: &[(String, String)],
    file: Option<&Path>,
    now: DateTime<Utc>,
) -> Finding {
    let others = environment.iter().filter(|(name, _)| name != PROFILE);
    let production = (PROFILE.to_owned(), "production".to_owned());
    let environment = others.cloned().chain([production]);
    match Settings::load(environment, file, now) {
        Ok(_) => Finding::warn(
            PRODUCTION,
            "this runs as development; production would refuse nothing",
            "set OTP_AUTH_ENV=production where real users are",
        ),
        Err(error) => {
            let keys: Vec<&str> = error
                .faults
                .iter()
                .map(|fault| fault.key.as_str())
                .collect();
            let seen = format!(
                "this runs as development; production would refuse: {}",
                keys.join(", ")
            );
            let advice =
                "where real users are, set OTP_AUTH_ENV=production, and what it then names";
            Finding::warn(PRODUCTION, seen, advice)
        }
    }
}
