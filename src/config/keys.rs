//! The names of settings: which exist, which are secret, and what somebody may have meant.

use super::layer::Layer;

/// Prefix of every environment variable that is a setting.
pub(super) const PREFIX: &str = "OTP_AUTH__";
/// Added to the variable of a secret to read it from a file.
pub(super) const FILE_SUFFIX: &str = "_FILE";
/// How alike two names must be for a "did you mean", from 0 to 1: one or two letters wrong in a
/// word, but not another word.
const ALIKE: f64 = 0.75;

/// A key whose value must never be shown.
pub(super) struct SecretKey {
    pub(super) key: &'static str,
    /// The name this secret has elsewhere, also understood.
    pub(super) usual_name: Option<&'static str>,
}

/// Every secret.
pub(super) const SECRETS: [SecretKey; 8] = [
    SecretKey {
        key: "secrets.master_key",
        usual_name: None,
    },
    SecretKey {
        key: "secrets.other_master_keys",
        usual_name: None,
    },
    SecretKey {
        key: "secrets.admin_token",
        usual_name: None,
    },
    SecretKey {
        key: "startmessaging.api_key",
        usual_name: Some("STARTMESSAGING_API_KEY"),
    },
    SecretKey {
        key: "webhook.secret",
        usual_name: None,
    },
    SecretKey {
        key: "alerts.webhook_secret",
        usual_name: None,
    },
    SecretKey {
        key: "database.url",
        usual_name: Some("DATABASE_URL"),
    },
    SecretKey {
        key: "database.direct_url",
        usual_name: None,
    },
];

/// The lists of tables, which an environment variable cannot express.
pub(super) const TABLE_LISTS: [&str; 3] = ["admin_tokens", "clients", "test_numbers"];

/// `otp.ttl_seconds` -> `OTP_AUTH__OTP__TTL_SECONDS`
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// All keys there are: those of `config/default.toml`.
pub(super) struct KnownKeys(Vec<String>);

impl KnownKeys {
    pub(super) fn of(defaults: &Layer) -> Self {
        Self(defaults.values.keys().cloned().collect())
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.0.iter().any(|known| known == key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether `name` is a section such as `limits.phone`.
    pub(super) fn has_section(&self, name: &str) -> bool {
        let prefix = format!("{name}.");
        self.iter().any(|known| known.starts_with(&prefix))
    }

    /// Says why a key of a file is refused.
    pub(super) fn explain_unknown(&self, key: &str) -> String {
        let list = TABLE_LISTS
            .iter()
            .find(|list| key.starts_with(&format!("{list}.")));
        let secret = key.strip_suffix("_file").filter(|stem| is_secret(stem));
        if let Some(list) = list {
            format!("is a list; write its heading with two brackets: [[{list}]]")
        } else if let Some(stem) = secret {
            let file = variable(stem) + FILE_SUFFIX;
            format!("is no key; name the file by the environment variable {file}")
        } else if self.has_section(key) {
            format!("is a section; write [{key}] and its keys below")
        } else {
            unknown(suggest(key, self.iter()))
        }
    }
}

fn is_secret(key: &str) -> bool {
    SECRETS.iter().any(|secret| secret.key == key)
}

/// The text for an unknown name.
pub(super) fn unknown(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(suggestion) => format!("is unknown; did you mean {suggestion}?"),
        None => "is unknown; remove it".to_owned(),
    }
}

/// The known name that `wanted` most likely stands for: the same name in another section, or one
/// spelled nearly so.
pub(super) fn suggest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = |key| str::rsplit(key, '.').next();
    known
        .map(|key| {
            let same_name = key.contains('.') && name(key) == name(wanted);
            let alike = strsim::normalized_damerau_levenshtein(wanted, key);
            (if same_name { 1.0 } else { alike }, key)
        })
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, key)| key)
}
