//! The settings as an operator meets them: an environment and perhaps a file in, settings or the
//! message with all faults out.

mod abuse;
mod agreement;
mod client_tokens;
mod clients;
mod faults;
mod layers;
mod numbers;
mod production;
mod secrets;
mod test_numbers;
mod unknown;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use chrono::{DateTime, Utc};

use super::{ConfigError, Settings};

/// When the tests start the program.
fn now() -> DateTime<Utc> {
    "2026-11-25T06:00:00Z".parse().unwrap()
}

const MASTER_KEY: &str = "OTP_AUTH__SECRETS__MASTER_KEY";
/// 32 bytes that are not text, as `openssl rand -base64 32` prints them.
const SOME_KEY: &str = "q83vEjRWeJC6mHZUMhD+3LqYdlQyEP7cupjWVDIQ/tw=";

/// What a developer's machine needs at least.
const DEVELOPMENT: [(&str, &str); 3] = [
    (MASTER_KEY, SOME_KEY),
    ("STARTMESSAGING_API_KEY", "sm_live_0123456789abcdef"),
    (
        "DATABASE_URL",
        "postgres://otp:pw-of-the-database@127.0.0.1/otp",
    ),
];

/// What production needs beside that, but for the clients, which are in [`CLIENT`].
const PRODUCTION: [(&str, &str); 5] = [
    ("OTP_AUTH_ENV", "production"),
    ("OTP_AUTH__SERVER__ISSUER", "https://auth.example.com"),
    (
        "OTP_AUTH__SECRETS__ADMIN_TOKEN",
        "an-admin-token-of-32-characters!",
    ),
    ("OTP_AUTH__LIMITS__SPEND__MESSAGES_PER_HOUR", "1000"),
    ("OTP_AUTH__LIMITS__SPEND__MESSAGES_PER_DAY", "10000"),
];

const CLIENT: &str = "[[clients]]\nid = 'web'\naudience = 'api'\n";

type Variables<'a> = &'a [(&'a str, &'a str)];

/// Loads with exactly these variables.
fn load(variables: Variables<'_>, file: Option<&Path>) -> Result<Settings, ConfigError> {
    // A later pair replaces an earlier one.
    let map: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings::load(map.into_iter(), file, now())
}

/// Loads on a developer's machine, with these variables more.
fn development(more: Variables<'_>) -> Result<Settings, ConfigError> {
    load(&[&DEVELOPMENT[..], more].concat(), None)
}

/// Loads on a developer's machine, with this file and these variables more.
fn development_with_file(text: &str, more: Variables<'_>) -> Result<Settings, ConfigError> {
    let file = TempFile::new(text);
    load(&[&DEVELOPMENT[..], more].concat(), Some(file.path()))
}

/// Loads in production with one client, with these variables more.
fn production(more: Variables<'_>) -> Result<Settings, ConfigError> {
    production_with_file(CLIENT, more)
}

/// Loads in production with this file, with these variables more.
fn production_with_file(text: &str, more: Variables<'_>) -> Result<Settings, ConfigError> {
    let file = TempFile::new(text);
    load(
        &[&DEVELOPMENT[..], &PRODUCTION, more].concat(),
        Some(file.path()),
    )
}

/// The faults as lines, without the name of a temporary file.
fn faults(result: Result<Settings, ConfigError>) -> Vec<String> {
    match result {
        Ok(_) => Vec::new(),
        Err(error) => error
            .faults
            .iter()
            .map(|fault| {
                let mut fault = fault.clone();
                fault.origin = fault.origin.map(|origin| file_name_hidden(&origin));
                fault.key = file_name_hidden(&fault.key);
                fault.to_string()
            })
            .collect(),
    }
}

fn file_name_hidden(text: &str) -> String {
    if text.contains(TempFile::PREFIX) {
        "FILE".to_owned()
    } else {
        text.to_owned()
    }
}

/// The one fault of a variable, without the part that names its origin.
fn fault_of(key: &str, value: &str) -> String {
    let name = variable(key);
    let found = faults(development(&[(&name, value)]));
    assert_eq!(found.len(), 1, "{key} = {value:?}: {found:#?}");
    let start = format!("{key} (from the environment variable {name}): ");
    found[0]
        .strip_prefix(&start)
        .unwrap_or_else(|| panic!("{found:?}"))
        .to_owned()
}

/// The variable of a key, spelled out by the test and not by the code under test.
fn variable(key: &str) -> String {
    let parts: Vec<String> = key.split('.').map(str::to_uppercase).collect();
    format!("OTP_AUTH__{}", parts.join("__"))
}

/// Lower-case hex digits.
fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A file that is gone when the test ends.
struct TempFile(PathBuf);

impl TempFile {
    const PREFIX: &str = "otp-auth-settings-";

    fn new(text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{}-{count}", Self::PREFIX, std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}
