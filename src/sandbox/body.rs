//! Reads a request's body the way Express does: at most 100 kB, JSON objects and arrays only, and
//! no body or another content type counts as an empty object.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Payload;
use futures_util::StreamExt;
use serde_json::{Map, Value};

use super::refusal::{ParserText, Refusal};

/// Express' default body limit, `100kb`.
const LIMIT_BYTES: usize = 102_400;
/// A body above the limit is read to its end, so that the caller sees the answer and not a reset,
/// but no further than this.
const DRAIN_BYTES: usize = 8 * 1024 * 1024;
/// Characters that V8 quotes on either side of an unexpected one.
const QUOTED_CHARS: usize = 10;

/// The members of a JSON object.
pub(super) type Members = Map<String, Value>;

/// Reads the body of a request to the real server's routes.
///
/// # Errors
/// [`Refusal::Internal`] when it is too large (the real filter makes that a 500),
/// [`Refusal::NotJson`] when it does not parse.
pub(super) async fn read(request: &HttpRequest, payload: Payload) -> Result<Members, Refusal> {
    let bytes = read_bytes(payload).await.ok_or(Refusal::Internal)?;
    let is_json = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|mime| mime.trim().eq_ignore_ascii_case("application/json"));
    if is_json {
        parse(&bytes)
    } else {
        Ok(Members::new())
    }
}

/// The raw body, or nothing when it is above the limit or broke off.
pub(super) async fn read_bytes(mut payload: Payload) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut seen = 0_usize;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.ok()?;
        seen = seen.saturating_add(chunk.len());
        if seen <= LIMIT_BYTES {
            bytes.extend_from_slice(&chunk);
        } else if seen > DRAIN_BYTES {
            return None;
        }
    }
    (seen <= LIMIT_BYTES).then_some(bytes)
}

fn parse(bytes: &[u8]) -> Result<Members, Refusal> {
    let text = String::from_utf8_lossy(bytes);
    if text.is_empty() {
        return Ok(Members::new());
    }
    // Express looks at the first character before it parses: a lone string or number is no body.
    if let Some((at, first)) = text.char_indices().find(|(_, c)| !" \t\n\r".contains(*c))
        && first != '{'
        && first != '['
    {
        return Err(Refusal::NotJson(ParserText(unexpected(&text, at))));
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Ok(Members::new()),
        Err(error) => Err(Refusal::NotJson(ParserText(parser_text(&text, &error)))),
    }
}

/// What V8 (Node 20) says about the same fault. Rare faults get its most general sentence.
fn parser_text(text: &str, error: &serde_json::Error) -> String {
    let before: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let cursor = before.saturating_add(error.column());
    if error.is_eof() {
        return eof_text(text);
    }
    let at = text.get(..cursor).map_or(cursor, |head| {
        head.char_indices().next_back().map_or(0, |(at, _)| at)
    });
    let found = text.get(at..).and_then(|rest| rest.chars().next());
    let previous = text
        .get(..at)
        .and_then(|head| head.trim_end().chars().next_back());
    match (previous, found) {
        (Some('{'), _) => format!("Expected property name or '}}' in JSON at position {at}"),
        (Some(','), Some('}')) => {
            format!("Expected double-quoted property name in JSON at position {at}")
        }
        _ => unexpected(text, at),
    }
}

fn eof_text(text: &str) -> String {
    let at = text.len();
    match text.trim_end().chars().next_back() {
        Some('{') => format!("Expected property name or '}}' in JSON at position {at}"),
        _ => "Unexpected end of JSON input".to_owned(),
    }
}

fn unexpected(text: &str, at: usize) -> String {
    let (head, tail) = text.split_at_checked(at).unwrap_or((text, ""));
    let found = tail.chars().next().unwrap_or('?');
    let start = head
        .char_indices()
        .rev()
        .nth(QUOTED_CHARS - 1)
        .map_or(0, |(at, _)| at);
    let end = tail
        .char_indices()
        .nth(QUOTED_CHARS)
        .map_or(tail.len(), |(at, _)| at);
    let left = head.get(start..).unwrap_or_default();
    let right = tail.get(..end).unwrap_or_default();
    let (dots_left, dots_right) = (
        if start > 0 { "..." } else { "" },
        if end < tail.len() { "..." } else { "" },
    );
    format!(
        "Unexpected token '{found}', {dots_left}\"{left}{right}\"{dots_right} is not valid JSON"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_json_gets_the_words_of_the_javascript_parser() {
        let cases = [
            ("{", "Expected property name or '}' in JSON at position 1"),
            (
                "{a:1}",
                "Expected property name or '}' in JSON at position 1",
            ),
            (
                r#"{"a":1,}"#,
                "Expected double-quoted property name in JSON at position 7",
            ),
            ("nope", "Unexpected token 'n', \"nope\" is not valid JSON"),
            (
                "\"str\"",
                "Unexpected token '\"', \"\"str\"\" is not valid JSON",
            ),
            ("5", "Unexpected token '5', \"5\" is not valid JSON"),
            (
                r#"{"a":tru}"#,
                r#"Unexpected token '}', "{"a":tru}" is not valid JSON"#,
            ),
            (
                r#" {"a":@}"#,
                r#"Unexpected token '@', " {"a":@}" is not valid JSON"#,
            ),
            (
                r#"{"phoneNumber":"+919876543210","x":y}"#,
                r#"Unexpected token 'y', ..."3210","x":y}" is not valid JSON"#,
            ),
            (r#"{"a":"#, "Unexpected end of JSON input"),
        ];

        for (body, expected) in cases {
            let refusal = parse(body.as_bytes()).unwrap_err();

            assert_eq!(
                (refusal.code(), refusal.message().as_str()),
                ("INVALID_INPUT", expected)
            );
        }
    }

    #[test]
    fn an_absent_body_and_an_array_are_an_empty_object() {
        for body in ["", "[]", "[1]", "{}"] {
            assert_eq!(parse(body.as_bytes()), Ok(Members::new()), "{body}");
        }
    }

    #[test]
    fn no_bytes_make_the_parser_text_fail() {
        for body in [
            "{\n\n\"é\": ü}",
            "[\u{1F600}]",
            "{\"a\":\n\n",
            "{\"a\" 1}",
            "[[[[",
            "{\"\u{e9}",
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
