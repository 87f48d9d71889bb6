//! Schemas: those of the types that are answered with, and the parts that a type cannot tell.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{Object, RefOr, Schema};

use crate::http::form::OauthBody;
use crate::otp::request::{Delivery, Purpose, Status};
use crate::rules::Verdict;
use crate::rules::target::Kind;
use crate::token::keys::State;

/// Schemas by name, for `components`.
#[derive(Default)]
pub(super) struct Schemas(Map<String, Value>);

impl Schemas {
    /// Adds the schema of a type, and those that it refers to.
    #[must_use]
    pub(super) fn with<T: ToSchema>(mut self) -> Self {
        let mut all: Vec<(String, RefOr<Schema>)> = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut all);
        for (name, schema) in all {
            self.0.insert(name, json!(schema));
        }
        self
    }

    /// Adds schemas by hand.
    #[must_use]
    pub(super) fn and(mut self, others: impl IntoIterator<Item = (String, Value)>) -> Self {
        self.0.extend(others);
        self
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// A reference to the schema of a type.
pub(super) fn of<T: ToSchema>() -> Value {
    named(&T::name())
}

/// A reference to a schema.
pub(super) fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn one_of_texts(texts: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(texts))
        .build()
}

fn truth(always: bool) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .enum_values(Some([always]))
        .build()
}

/// The only way a code is sent.
pub fn channel() -> Object {
    one_of_texts(["sms"])
}

/// The only type of token there is.
pub fn bearer() -> Object {
    one_of_texts(["Bearer"])
}

/// The only grant there is.
pub fn grant_type() -> Object {
    one_of_texts(["refresh_token"])
}

/// Where a request stands.
pub fn status() -> Object {
    one_of_texts(Status::ALL.map(Status::name))
}

/// What is known of the latest SMS.
pub fn delivery() -> Object {
    one_of_texts(Delivery::ALL.map(Delivery::name))
}

/// The errors of OAuth.
pub fn oauth_error() -> Object {
    one_of_texts(OauthBody::ERRORS)
}

/// What a rule can be about.
pub fn rule_kind() -> Object {
    one_of_texts(Kind::ALL.map(Kind::name))
}

/// What a rule can say.
pub fn verdict() -> Object {
    one_of_texts(Verdict::ALL.map(Verdict::name))
}

/// Where a signing key can stand.
pub fn key_state() -> Object {
    one_of_texts(State::ALL.map(State::name))
}

/// `true`
pub fn always_true() -> Object {
    truth(true)
}

/// `false`
pub fn always_false() -> Object {
    truth(false)
}

/// A text, or several in a list.
pub fn one_or_several() -> Schema {
    Schema::OneOf(text_or_list().build())
}

/// [`one_or_several`], or null.
pub fn one_or_several_or_none() -> Schema {
    let null = Object::with_type(Type::Null);
    Schema::OneOf(text_or_list().item(null).build())
}

fn text_or_list() -> OneOfBuilder {
    let text = || Object::with_type(Type::String);
    let list = ArrayBuilder::new().items(text()).min_items(Some(1));
    OneOfBuilder::new().item(text()).item(list)
}

/// What a code can be for.
pub fn purpose() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some([json!(Purpose::Login.name()), Value::Null]))
        .build()
}
