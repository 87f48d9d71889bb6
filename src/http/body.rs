//! Reading JSON bodies: every missing or malformed field is reported at once, by JSON pointer.

use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::codes::Code;
use super::problem::Problem;

/// The members of a JSON object. Numbers, codes and tokens are among them, so it cannot be printed.
pub struct Fields(Map<String, Value>);

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fields(***)")
    }
}

/// Why a member could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// It is not there.
    #[error("is required")]
    Missing,
    /// It is there, but not as a string.
    #[error("must be a string")]
    NotText,
    /// It is there, but not as a string or a list of strings.
    #[error("must be a string or a list of strings")]
    NotTexts,
}

impl Fields {
    /// Reads a JSON object. Unknown members are ignored, so that clients may be newer than we.
    pub fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Self, Problem> {
        if !content_type.is_some_and(is_json) {
            return Err(Problem::new(Code::UnsupportedMediaType));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(Problem::field("", "must be a JSON object")),
            Err(_) => Err(Problem::field("", "must be valid JSON")),
        }
    }

    /// A member that must be there.
    pub fn text(&self, name: &str) -> Result<&str, FieldError> {
        self.optional_text(name)?.ok_or(FieldError::Missing)
    }

    /// A member that may be missing or null.
    pub fn optional_text(&self, name: &str) -> Result<Option<&str>, FieldError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(FieldError::NotText),
        }
    }

    /// A member that is a list of strings or one alone, or may be missing or null.
    pub fn optional_texts(&self, name: &str) -> Result<Option<Vec<String>>, FieldError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => {
                let texts: Option<Vec<String>> = items.iter().map(text).collect();
                texts.map(Some).ok_or(FieldError::NotTexts)
            }
            Some(one) => text(one)
                .map(|one| Some(vec![one]))
                .ok_or(FieldError::NotTexts),
        }
    }

    /// The member as it came.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// Collects the faults of a body while its fields are read.
#[derive(Debug, Default)]
pub struct Faults(Vec<(&'static str, String)>);

impl Faults {
    /// Keeps the value, or notes the fault at `pointer` and goes on.
    pub fn note<T, E: fmt::Display>(
        &mut self,
        pointer: &'static str,
        read: Result<T, E>,
    ) -> Option<T> {
        read.map_err(|error| self.0.push((pointer, error.to_string())))
            .ok()
    }

    /// The problem that names every fault; `None` if there is none.
    pub fn problem(&self) -> Option<Problem> {
        let faults: Vec<(&'static str, &str)> = self
            .0
            .iter()
            .map(|(pointer, detail)| (*pointer, detail.as_str()))
            .collect();
        (!faults.is_empty()).then(|| Problem::fields(&faults))
    }
}

/// A UUID as it is written here: 36 characters, the hyphenated form, and none of the others that the
/// library reads.
pub fn uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36)
        .then(|| Uuid::try_parse(text).ok())
        .flatten()
}

/// `application/json`, with any parameters.
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Fields, u16> {
        Fields::parse(Some("application/json"), body.as_bytes())
            .map_err(|problem| problem.code.status())
    }

    #[test]
    fn only_json_objects_are_read() {
        for (body, reads) in [
            (r#"{"a":"b"}"#, true),
            ("{}", true),
            ("", false),
            ("[]", false),
            ("null", false),
            (r#"{"a":"b""#, false),
            (r#"{"a":"b"} x"#, false),
        ] {
            assert_eq!(parse(body).is_ok(), reads, "{body}");
        }
    }

    #[test]
    fn only_json_media_types_are_read() {
        for (content_type, reads) in [
            (Some("application/json"), true),
            (Some("Application/JSON; charset=utf-8"), true),
            (Some("text/plain"), false),
            (Some("application/json-seq"), false),
            (Some("application/x-www-form-urlencoded"), false),
            (None, false),
        ] {
            assert_eq!(
                Fields::parse(content_type, b"{}").is_ok(),
                reads,
                "{content_type:?}"
            );
        }
    }

    #[test]
    fn a_member_is_text_or_says_what_is_wrong() {
        let fields = parse(r#"{"text":"x","number":5,"null":null}"#).unwrap();

        assert_eq!(fields.text("text"), Ok("x"));
        assert_eq!(fields.text("number"), Err(FieldError::NotText));
        assert_eq!(fields.text("null"), Err(FieldError::Missing));
        assert_eq!(fields.text("absent"), Err(FieldError::Missing));
        assert_eq!(fields.optional_text("absent"), Ok(None));
        assert_eq!(fields.optional_text("number"), Err(FieldError::NotText));
        assert_eq!(format!("{fields:?}"), "Fields(***)");
    }
}
