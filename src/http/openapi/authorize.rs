//! `/v1/authorize`

use serde_json::{Value, json};

use super::operation::{Answer, Operation};
use super::security;

const TAG: &str = "Gateway";
/// What can be asked of a token: the name in the query, the header, what it is, its schema, an example.
type Asked = (&'static str, &'static str, &'static str, Value, Value);

pub(super) fn operations() -> Vec<Operation> {
    vec![authorize(), authorize_below()]
}

fn authorize() -> Operation {
    let call = Operation::new(
        ("get", "/v1/authorize"),
        (TAG, "authorize"),
        "Tells a gateway whether a request may pass",
        "Any other method is answered the same, and nothing but 200, 401 and 403 is ever answered. The token can come \
         in the cookie that the operator named, too. What the query and the headers ask of it must all hold; what \
         cannot be read lets nobody pass. A CORS preflight without a token passes, without an identity.",
    );
    let call = asked()
        .into_iter()
        .fold(call, |call, (name, _, what, schema, example)| {
            call.parameter(parameter("query", name, what, &schema, &example))
        });
    answered(call)
}

fn authorize_below() -> Operation {
    let call = Operation::new(
        ("get", "/v1/authorize/{tail}"),
        (TAG, "authorizeBelow"),
        "The same, for gateways that append the path of the request",
        "As Envoy does. Path and query are those of the request and say nothing here.",
    );
    let text = json!({"type": "string"});
    answered(call.in_path(
        "tail",
        "The path of the request; it may hold slashes.",
        &text,
        "orders",
    ))
}

fn asked() -> [Asked; 3] {
    let text = || json!({"type": "string", "minLength": 1});
    [
        (
            "audience",
            "X-Auth-Require-Audience",
            "Whom the token must be for.",
            text(),
            json!("orders"),
        ),
        (
            "scope",
            "X-Auth-Require-Scope",
            "What the token must be able to do, with blanks between.",
            text(),
            json!("orders.read phone"),
        ),
        (
            "max_age",
            "X-Auth-Require-Max-Age",
            "How long ago the user may have typed the code, in seconds.",
            json!({"type": "integer", "minimum": 0}),
            json!(300),
        ),
    ]
}

fn parameter(place: &str, name: &str, what: &str, schema: &Value, example: &Value) -> Value {
    json!({
        "name": name,
        "in": place,
        "description": what,
        "schema": schema,
        "example": example,
    })
}

/// Adds the headers that ask, and the answers, which have no bodies.
fn answered(call: Operation) -> Operation {
    let call = asked()
        .into_iter()
        .fold(call, |call, (_, name, what, schema, example)| {
            call.parameter(parameter("header", name, what, &schema, &example))
        });
    let passes =
        Answer::new("It may pass. A preflight has none of these headers but `X-Request-Id`.")
            .header("X-Auth-Subject")
            .header("X-Auth-Session")
            .header("X-Auth-Client")
            .header("X-Auth-Scope")
            .header("X-Auth-Expires")
            .header("X-Auth-Phone");
    let no_token = Answer::new("There is no token, or it is not good.").header("WWW-Authenticate");
    let lacks = Answer::new(
        "The token is good, but not what is asked for; or nobody can tell what is asked for.",
    )
    .header("WWW-Authenticate");
    call.security(security::user())
        .answer(200, passes)
        .answer(401, no_token)
        .answer(403, lacks)
}
