//! What is wrong with the settings, told all at once.

use std::fmt;

/// One setting that cannot be used. Never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key, such as `otp.ttl_seconds`, or the name of a file or environment variable.
    pub key: String,
    /// Where the refused value came from; `None` for a value nobody has set.
    pub origin: Option<String>,
    /// What is wrong and how to mend it.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} (from {origin}): {}", self.key, self.problem),
            None => write!(f, "{}: {}", self.key, self.problem),
        }
    }
}

/// The settings cannot be used. Displays every fault on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.faults.len() == 1 { "" } else { "s" };
        write!(f, "the settings have {} fault{s}:", self.faults.len())?;
        for fault in &self.faults {
            write!(f, "\n  {fault}")?;
        }
        write!(
            f,
            "\nA key such as otp.ttl_seconds is set in the file given by --config, or by the \
             environment variable OTP_AUTH__OTP__TTL_SECONDS. config/default.toml explains them all."
        )
    }
}
