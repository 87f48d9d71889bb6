//! One call and its answers, as the document tells them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{headers, problems, schemas};
use crate::http::codes::Code;

/// A call: a method of a path.
pub(super) struct Operation {
    pub(super) path: &'static str,
    pub(super) method: &'static str,
    told: Map<String, Value>,
    parameters: Vec<Value>,
    answers: BTreeMap<u16, Answer>,
    is_limited: bool,
}

/// An answer of one status.
#[derive(Default)]
pub(super) struct Answer {
    description: String,
    headers: Map<String, Value>,
    content: Map<String, Value>,
    links: Map<String, Value>,
}

impl Operation {
    pub(super) fn new(
        (method, path): (&'static str, &'static str),
        (tag, id): (&str, &str),
        summary: &str,
        description: &str,
    ) -> Self {
        let told = json!({
            "tags": [tag],
            "operationId": id,
            "summary": summary,
            "description": description,
            "security": [],
        });
        Self {
            path,
            method,
            told: told.as_object().cloned().unwrap_or_default(),
            parameters: Vec::new(),
            answers: BTreeMap::new(),
            is_limited: false,
        }
    }

    /// Says how callers prove who they are: one of these ways, of which `{}` is none at all.
    pub(super) fn security(mut self, ways: Value) -> Self {
        self.told.insert("security".to_owned(), ways);
        self
    }

    /// Adds a parameter, or a reference to one.
    pub(super) fn parameter(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Adds a parameter of the path.
    pub(super) fn in_path(
        self,
        name: &str,
        description: &str,
        schema: &Value,
        example: &str,
    ) -> Self {
        self.parameter(json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": description,
            "schema": schema,
            "example": example,
        }))
    }

    /// Says what the body is; `examples` by their names.
    pub(super) fn body<T: ToSchema>(
        mut self,
        media_type: &str,
        examples: &[(&str, Value)],
    ) -> Self {
        let content = json!({media_type: content(&schemas::of::<T>(), examples)});
        let body = json!({"required": true, "content": content});
        self.told.insert("requestBody".to_owned(), body);
        self
    }

    pub(super) fn answer(mut self, status: u16, answer: Answer) -> Self {
        self.answers.insert(status, answer);
        self
    }

    /// Adds the problems that it can end with, each under its status. What every call can end with need not
    /// be named.
    pub(super) fn problems(mut self, codes: &[Code]) -> Self {
        let codes: Vec<Code> = codes.iter().copied().chain([Code::InternalError]).collect();
        self.answers.extend(problems::answers(&codes));
        self
    }

    /// Says that it is under limits, of which each answer tells what is left.
    pub(super) fn limited(mut self) -> Self {
        self.is_limited = true;
        self
    }

    pub(super) fn into_value(self) -> Value {
        let mut told = self.told;
        if !self.parameters.is_empty() {
            told.insert("parameters".to_owned(), Value::from(self.parameters));
        }
        let is_limited = self.is_limited;
        let answers = self.answers.into_iter().map(|(status, mut answer)| {
            // These are refused before the limit is asked.
            if is_limited && !matches!(status, 413 | 415) {
                answer = answer.header("RateLimit").header("RateLimit-Policy");
            }
            (status.to_string(), answer.into_value())
        });
        let answers: Map<String, Value> = answers.collect();
        told.insert("responses".to_owned(), Value::Object(answers));
        Value::Object(told)
    }
}

impl Answer {
    pub(super) fn new(description: &str) -> Self {
        Self {
            description: description.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a body of one media type.
    pub(super) fn body(
        mut self,
        media_type: &str,
        schema: &Value,
        examples: &[(&str, Value)],
    ) -> Self {
        self.content
            .insert(media_type.to_owned(), content(schema, examples));
        self
    }

    /// Adds a JSON body of this type.
    pub(super) fn json<T: ToSchema>(self, examples: &[(&str, Value)]) -> Self {
        self.body("application/json", &schemas::of::<T>(), examples)
    }

    /// Adds one of the headers of `components`.
    pub(super) fn header(mut self, name: &str) -> Self {
        let component = json!({"$ref": format!("#/components/headers/{name}")});
        self.headers.insert(name.to_owned(), component);
        self
    }

    /// Adds one of the headers of `components` that is not always there.
    pub(super) fn optional_header(mut self, name: &str) -> Self {
        let mut header = headers::all().remove(name).unwrap_or_default();
        if let Some(header) = header.as_object_mut() {
            header.remove("required");
        }
        self.headers.insert(name.to_owned(), header);
        self
    }

    /// Says that `Location` is an address below this one.
    pub(super) fn located(mut self, below: &str) -> Self {
        let header = json!({
            "required": true,
            "description": "Where it can be looked at.",
            "schema": {"type": "string", "format": "uri-reference", "pattern": format!("^{below}")},
        });
        self.headers.insert("Location".to_owned(), header);
        self
    }

    /// Says that the call `id` can come next, with a body or with parameters.
    pub(super) fn link(mut self, id: &str, description: &str, with: &Value) -> Self {
        let mut link = json!({"operationId": id, "description": description});
        if let (Some(link), Some(with)) = (link.as_object_mut(), with.as_object()) {
            link.extend(with.clone());
        }
        self.links.insert(id.to_owned(), link);
        self
    }

    fn into_value(self) -> Value {
        let told = self.header("X-Request-Id");
        let parts = [
            ("headers", told.headers),
            ("content", told.content),
            ("links", told.links),
        ];
        let mut members = Map::new();
        members.insert("description".to_owned(), json!(told.description));
        for (name, map) in parts {
            if !map.is_empty() {
                members.insert(name.to_owned(), Value::Object(map));
            }
        }
        Value::Object(members)
    }
}

fn content(schema: &Value, examples: &[(&str, Value)]) -> Value {
    let examples = examples.iter().map(|(name, value)| {
        let is_reference = value.get("$ref").is_some();
        let example = if is_reference {
            value.clone()
        } else {
            json!({"value": value})
        };
        ((*name).to_owned(), example)
    });
    let examples: Map<String, Value> = examples.collect();
    json!({"schema": schema, "examples": examples})
}
