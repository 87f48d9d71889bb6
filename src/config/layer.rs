//! One source of settings: its name, and its values by full key.

use std::{collections::BTreeMap, fmt};

use ::config::{File, FileFormat, Map, Source, Value, ValueKind};

/// One source of settings.
#[derive(Clone, Default)]
pub(super) struct Layer {
    /// By full key, such as `limits.phone.sends_per_hour`. Every value knows its origin.
    pub(super) values: BTreeMap<String, Value>,
}

impl Layer {
    /// Reads TOML, remembering `origin` with every value.
    ///
    /// # Errors
    /// Says what is wrong and where. The text itself, which may hold secrets, is not quoted.
    pub(super) fn from_toml(text: &str, origin: &str) -> Result<Self, String> {
        if let Err(error) = toml::from_str::<toml::Table>(text) {
            let place = error
                .span()
                .map_or_else(String::new, |span| place(text, span.start));
            return Err(format!("is not valid TOML{place}: {}", error.message()));
        }
        let Ok(table) = File::from_str(text, FileFormat::Toml).collect() else {
            return Err("holds a number that is too large".to_owned());
        };
        let mut layer = Self::default();
        layer.add_table("", &table, origin);
        Ok(layer)
    }

    /// Adds one value.
    pub(super) fn set(&mut self, key: &str, value: impl Into<ValueKind>, origin: &str) {
        self.values
            .insert(key.to_owned(), Value::new(Some(&origin.to_owned()), value));
    }

    fn add_table(&mut self, prefix: &str, table: &Map<String, Value>, origin: &str) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}.{name}")
            };
            if let ValueKind::Table(inner) = &value.kind
                && !inner.is_empty()
            {
                self.add_table(&key, inner, origin);
            } else {
                self.set(&key, value.kind.clone(), origin);
            }
        }
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.values.clone().into_iter().collect())
    }
}

impl fmt::Debug for Layer {
    /// Without the values: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// ` in line 3, column 5`
fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    format!(" in line {line}, column {column}")
}
