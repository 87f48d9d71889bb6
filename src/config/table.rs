//! One entry of a list of tables, such as one `[[clients]]`. As with the [`Reader`], a getter that
//! finds a fault notes it and goes on; values are never repeated in a fault, as some are
//! secrets.

use std::fmt::Display;

use ::config::{Map, Value, ValueKind};
use serde_json::Value as Json;

use super::{
    keys,
    reader::{Noted, Read, Reader},
};

/// One entry, and the fields that were asked for so far.
pub(super) struct Table<'r> {
    reader: &'r mut Reader,
    path: String,
    values: Map<String, Value>,
    asked: Vec<&'static str>,
}

impl<'r> Table<'r> {
    /// `path` names the entry in faults, such as `clients[0]`.
    pub(super) fn new(reader: &'r mut Reader, path: String, value: Value) -> Read<Self> {
        let ValueKind::Table(values) = value.kind else {
            return Err(reader.fault(&path, "must be a table of fields"));
        };
        Ok(Self {
            reader,
            path,
            values,
            asked: Vec::new(),
        })
    }

    /// Notes what is wrong with a field.
    pub(super) fn fault(&mut self, field: &str, problem: impl Into<String>) -> Noted {
        self.reader
            .fault(&format!("{}.{field}", self.path), problem)
    }

    /// Notes what is tolerable on a developer's machine only.
    pub(super) fn fault_in_production(&mut self, field: &str, problem: impl Into<String>) {
        self.reader
            .fault_in_production(&format!("{}.{field}", self.path), problem);
    }

    /// A text that may be left out.
    pub(super) fn text(&mut self, field: &'static str) -> Read<Option<String>> {
        let Some(value) = self.take(field) else {
            return Ok(None);
        };
        let text = text_of(value);
        text.map(Some)
            .ok_or_else(|| self.fault(field, "must be text in quotes"))
    }

    /// A text that may not be left out.
    pub(super) fn required_text(&mut self, field: &'static str) -> Read<String> {
        let text = self.text(field)?;
        text.ok_or_else(|| self.fault(field, "is missing; add it"))
    }

    /// A list of texts, or one text alone; empty when left out.
    pub(super) fn texts(&mut self, field: &'static str) -> Read<Vec<String>> {
        self.list(field).map(Option::unwrap_or_default)
    }

    /// A list that says more when it is left out than when it is empty: all. So it must not be empty,
    /// which could mean none.
    pub(super) fn texts_or_none(&mut self, field: &'static str) -> Read<Option<Vec<String>>> {
        let texts = self.list(field)?;
        if texts.as_ref().is_some_and(Vec::is_empty) {
            return Err(self.fault(field, "is empty; name one, or leave it out for all"));
        }
        Ok(texts)
    }

    fn list(&mut self, field: &'static str) -> Read<Option<Vec<String>>> {
        let Some(value) = self.take(field) else {
            return Ok(None);
        };
        let texts = if let ValueKind::Array(items) = value {
            items.into_iter().map(|item| text_of(item.kind)).collect()
        } else {
            text_of(value).map(|text| vec![text])
        };
        texts
            .map(Some)
            .ok_or_else(|| self.fault(field, "must be text in quotes, or a list of texts"))
    }

    /// A whole number that may be left out.
    pub(super) fn integer(&mut self, field: &'static str) -> Read<Option<i64>> {
        let Some(value) = self.take(field) else {
            return Ok(None);
        };
        if let ValueKind::I64(number) = value {
            return Ok(Some(number));
        }
        Err(self.fault(field, "must be a whole number"))
    }

    /// A limit, where 0 and leaving it out switch it off.
    pub(super) fn limit<T>(&mut self, field: &'static str, highest: T) -> Read<T>
    where
        T: Copy + Default + PartialOrd + Display + TryFrom<i64>,
    {
        let Some(number) = self.integer(field)? else {
            return Ok(T::default());
        };
        let number = T::try_from(number).ok().filter(|number| *number <= highest);
        let low = T::default();
        number.ok_or_else(|| {
            self.fault(
                field,
                format!("is not a whole number from {low} to {highest}"),
            )
        })
    }

    /// `true` or `false`; false when left out.
    pub(super) fn flag(&mut self, field: &'static str) -> Read<bool> {
        let Some(value) = self.take(field) else {
            return Ok(false);
        };
        if let ValueKind::Boolean(flag) = value {
            return Ok(flag);
        }
        Err(self.fault(field, "must be true or false"))
    }

    /// A table of anything that JSON can say; empty when left out.
    pub(super) fn json(&mut self, field: &'static str) -> Read<serde_json::Map<String, Json>> {
        match self.take(field).map(json) {
            None => Ok(serde_json::Map::new()),
            Some(Some(Json::Object(members))) => Ok(members),
            Some(_) => Err(self.fault(field, "must be a table, of what JSON can say")),
        }
    }

    /// Notes every field that was not asked for. To be called last.
    pub(super) fn refuse_others(mut self) {
        let mut others: Vec<String> = self.values.keys().cloned().collect();
        others.sort();
        for other in others {
            let suggestion = keys::suggest(&other, self.asked.iter().copied());
            self.fault(&other, keys::unknown(suggestion));
        }
    }

    fn take(&mut self, field: &'static str) -> Option<ValueKind> {
        self.asked.push(field);
        self.values.remove(field).map(|value| value.kind)
    }
}

/// `None` for numbers that JSON has no words for.
fn json(value: ValueKind) -> Option<Json> {
    Some(match value {
        ValueKind::Nil => Json::Null,
        ValueKind::Boolean(flag) => Json::from(flag),
        ValueKind::I64(number) => Json::from(number),
        ValueKind::U64(number) => Json::from(number),
        ValueKind::I128(number) => Json::from(i64::try_from(number).ok()?),
        ValueKind::U128(number) => Json::from(u64::try_from(number).ok()?),
        ValueKind::Float(number) => Json::Number(serde_json::Number::from_f64(number)?),
        ValueKind::String(text) => Json::from(text),
        ValueKind::Array(items) => {
            let items = items.into_iter().map(|item| json(item.kind));
            Json::Array(items.collect::<Option<_>>()?)
        }
        ValueKind::Table(members) => {
            let members = members.into_iter();
            let members = members.map(|(name, value)| Some((name, json(value.kind)?)));
            Json::Object(members.collect::<Option<_>>()?)
        }
    })
}

fn text_of(value: ValueKind) -> Option<String> {
    if let ValueKind::String(text) = value {
        Some(text)
    } else {
        None
    }
}
