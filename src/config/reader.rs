//! Typed access to the merged settings. A getter that finds a fault notes it and goes on, so that
//! one start tells all of them.

use std::{
    collections::BTreeMap, fmt::Display, num::NonZeroU32, ops::RangeInclusive, str::FromStr,
    time::Duration,
};

use ::config::{Config, Value, ValueKind};
use secrecy::SecretString;

use super::{
    Profile,
    fault::Fault,
    sources::{DEFAULT_ORIGIN, Sources},
};

/// A setting as it was read, for `config check`; of a secret only whether it is set.
#[derive(Clone, Debug)]
pub(super) struct Effective {
    pub(super) shown: String,
    pub(super) origin: String,
}

/// A fault was noted. It says nothing itself: the fault is with the [`Reader`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted;

/// What a getter returns.
pub(super) type Read<T> = Result<T, Noted>;

/// The merged settings and what was found wrong with them so far.
pub(super) struct Reader {
    root: Value,
    profile: Profile,
    faults: Vec<Fault>,
    effective: BTreeMap<String, Effective>,
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        let Sources {
            profile,
            layers,
            mut faults,
        } = sources;
        let merged = layers
            .into_iter()
            .fold(Config::builder(), |builder, layer| {
                builder.add_source(layer)
            });
        let root = match merged.build() {
            Ok(config) => config.cache,
            Err(error) => {
                faults.push(Fault {
                    key: "settings".to_owned(),
                    origin: None,
                    problem: error.to_string(),
                });
                Value::default()
            }
        };
        Self {
            root,
            profile,
            faults,
            effective: BTreeMap::new(),
        }
    }

    /// The faults and, by key, the settings that were read.
    pub(super) fn finish(self) -> (Vec<Fault>, BTreeMap<String, Effective>) {
        (self.faults, self.effective)
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    /// Notes what is wrong with a key.
    pub(super) fn fault(&mut self, key: &str, problem: impl Into<String>) -> Noted {
        let root_key = key.split('[').next().unwrap_or(key);
        let origin = self
            .find(root_key)
            .and_then(Value::origin)
            .filter(|origin| *origin != DEFAULT_ORIGIN)
            .map(str::to_owned);
        self.faults.push(Fault {
            key: key.to_owned(),
            origin,
            problem: problem.into(),
        });
        Noted
    }

    /// Notes what is tolerable on a developer's machine only.
    pub(super) fn fault_in_production(&mut self, key: &str, problem: impl Into<String>) {
        if self.profile == Profile::Production {
            self.fault(key, problem);
        }
    }

    /// Text, which may be empty.
    pub(super) fn text(&mut self, key: &str) -> Read<String> {
        let value = self.require(key)?;
        let Some(text) = as_text(&value) else {
            return Err(self.fault(key, "must be text in quotes"));
        };
        self.show(key, quoted(&value));
        Ok(text.to_owned())
    }

    /// Text, where empty means that it is not set.
    pub(super) fn optional_text(&mut self, key: &str) -> Read<Option<String>> {
        self.text(key)
            .map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    /// Text that a type understands. `mend` says what to give, as in "give an address".
    pub(super) fn parsed<T: FromStr>(&mut self, key: &str, mend: &str) -> Read<T> {
        let text = self.text(key)?;
        let parsed = text.parse().ok();
        parsed.ok_or_else(|| self.fault(key, format!("{text:?} cannot be used; {mend}")))
    }

    /// A secret, where empty means that it is not set. Its value is in no fault.
    pub(super) fn secret(&mut self, key: &str) -> Read<Option<SecretString>> {
        let value = self.require(key)?;
        let Some(text) = as_text(&value) else {
            return Err(self.fault(key, "must be text in quotes"));
        };
        let secret = Some(text).filter(|text| !text.is_empty());
        self.show(
            key,
            if secret.is_some() {
                "(set)"
            } else {
                "(not set)"
            },
        );
        Ok(secret.map(SecretString::from))
    }

    /// A list of secrets; a text is split at commas and blanks, so that a file may have one a line. None of
    /// them is in a fault.
    pub(super) fn secrets(&mut self, key: &str) -> Read<Vec<SecretString>> {
        let value = self.require(key)?;
        let items: Option<Vec<&str>> = if let ValueKind::Array(items) = &value.kind {
            items.iter().map(as_text).collect()
        } else {
            as_text(&value).map(|text| {
                let blank = |letter: char| letter == ',' || letter.is_whitespace();
                text.split(blank).filter(|item| !item.is_empty()).collect()
            })
        };
        let Some(items) = items else {
            return Err(self.fault(key, "must be a list of texts in quotes"));
        };
        let shown = match items.len() {
            0 => "(not set)".to_owned(),
            count => format!("({count} set)"),
        };
        self.show(key, shown);
        Ok(items.into_iter().map(SecretString::from).collect())
    }

    /// A whole number within bounds.
    pub(super) fn integer<T>(&mut self, key: &str, range: RangeInclusive<T>) -> Read<T>
    where
        T: Copy + PartialOrd + Display + TryFrom<i64>,
    {
        let value = self.require(key)?;
        let number = if let ValueKind::I64(number) = value.kind {
            Some(number)
        } else {
            as_text(&value).and_then(|text| text.parse().ok())
        };
        let number = number.and_then(|number| T::try_from(number).ok());
        let Some(number) = number.filter(|number| range.contains(number)) else {
            let (given, low, high) = (quoted(&value), range.start(), range.end());
            let problem = format!("{given} is not a whole number from {low} to {high}");
            return Err(self.fault(key, problem));
        };
        self.show(key, number.to_string());
        Ok(number)
    }

    /// A number as it was written, for whoever reads more than whole ones.
    pub(super) fn number(&mut self, key: &str) -> Read<String> {
        let value = self.require(key)?;
        let number = if let ValueKind::Float(number) = value.kind {
            Some(number.to_string())
        } else {
            as_item(&value)
        };
        let Some(number) = number else {
            return Err(self.fault(key, format!("{} is not a number", quoted(&value))));
        };
        self.show(key, number.clone());
        Ok(number)
    }

    /// A duration in whole seconds.
    pub(super) fn seconds(&mut self, key: &str, range: RangeInclusive<u64>) -> Read<Duration> {
        self.integer(key, range).map(Duration::from_secs)
    }

    /// A duration in whole milliseconds.
    pub(super) fn millis(&mut self, key: &str, range: RangeInclusive<u64>) -> Read<Duration> {
        self.integer(key, range).map(Duration::from_millis)
    }

    /// A whole number from 1 on.
    pub(super) fn positive(&mut self, key: &str, highest: u32) -> Read<NonZeroU32> {
        let number = self.integer(key, 1..=highest)?;
        NonZeroU32::new(number).ok_or_else(|| self.fault(key, "must not be 0"))
    }

    /// A limit, where 0 switches it off.
    pub(super) fn limit(&mut self, key: &str, highest: u32) -> Read<Option<NonZeroU32>> {
        self.integer(key, 0..=highest).map(NonZeroU32::new)
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &str) -> Read<bool> {
        let value = self.require(key)?;
        let flag = if let ValueKind::Boolean(flag) = value.kind {
            Some(flag)
        } else {
            as_text(&value).and_then(|text| text.parse().ok())
        };
        let Some(flag) = flag else {
            let problem = format!("{} is neither true nor false", quoted(&value));
            return Err(self.fault(key, problem));
        };
        self.show(key, flag.to_string());
        Ok(flag)
    }

    /// A list of texts or numbers; a text is split at its commas.
    pub(super) fn list(&mut self, key: &str) -> Read<Vec<String>> {
        let value = self.require(key)?;
        let items = if let ValueKind::Array(items) = &value.kind {
            items.iter().map(as_item).collect()
        } else {
            as_text(&value).map(split_at_commas)
        };
        let Some(items) = items else {
            return Err(self.fault(key, "must be a list, such as [\"a\", \"b\"]"));
        };
        self.show(key, format!("[{}]", items.join(", ")));
        Ok(items)
    }

    /// A list of which each item must be understood; every bad one is a fault.
    pub(super) fn parsed_list<T>(
        &mut self,
        key: &str,
        mend: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Read<Vec<T>> {
        let parsed: Vec<Read<T>> = self
            .list(key)?
            .iter()
            .map(|item| {
                parse(item)
                    .ok_or_else(|| self.fault(key, format!("{item:?} cannot be used; {mend}")))
            })
            .collect();
        // Collected in two steps: the first fault must not hide the others.
        parsed.into_iter().collect()
    }

    /// A list of tables as it stands.
    pub(super) fn tables(&mut self, key: &str) -> Read<Vec<Value>> {
        if let ValueKind::Array(items) = self.require(key)?.kind {
            return Ok(items);
        }
        Err(self.fault(key, format!("must be a list of tables; write [[{key}]]")))
    }

    /// What `config check` shows for a key.
    pub(super) fn show(&mut self, key: &str, shown: impl Into<String>) {
        let origin = self
            .find(key)
            .and_then(Value::origin)
            .unwrap_or(DEFAULT_ORIGIN)
            .to_owned();
        self.effective.insert(
            key.to_owned(),
            Effective {
                shown: shown.into(),
                origin,
            },
        );
    }

    fn require(&mut self, key: &str) -> Read<Value> {
        self.find(key).cloned().ok_or_else(|| {
            self.fault(
                key,
                "is not in config/default.toml, where every key must be",
            )
        })
    }

    fn find(&self, key: &str) -> Option<&Value> {
        key.split('.').try_fold(&self.root, |value, name| {
            if let ValueKind::Table(table) = &value.kind {
                table.get(name)
            } else {
                None
            }
        })
    }
}

fn as_text(value: &Value) -> Option<&str> {
    if let ValueKind::String(text) = &value.kind {
        Some(text)
    } else {
        None
    }
}

fn as_item(value: &Value) -> Option<String> {
    if let ValueKind::I64(number) = value.kind {
        return Some(number.to_string());
    }
    as_text(value).map(str::to_owned)
}

fn split_at_commas(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The value as one would write it, on one line.
fn quoted(value: &Value) -> String {
    match as_text(value) {
        Some(text) => format!("{text:?}"),
        None => value.kind.to_string().escape_debug().to_string(),
    }
}
