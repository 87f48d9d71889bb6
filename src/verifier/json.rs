//! JSON objects in which no member is there twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Reads an object. One with a member twice is an error: two readers could take it to say two
/// things (RFC 7515 section 4 and RFC 7519 section 4 allow to refuse it). Objects inside of it are not looked at;
/// nothing that decides is in one.
pub(super) fn object(json: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_slice(json).map(|Object(members)| members)
}

struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Object, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_each_member_once() {
        assert_eq!(object(br#"{"a":1,"b":{}}"#).unwrap().len(), 2);

        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":1}{}"#,
            "[]",
            "1",
            "",
        ] {
            assert!(object(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
