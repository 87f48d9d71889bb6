//! The reader at `/docs`: the OpenAPI document for people, with Swagger UI, all of it inside the program.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_ENCODING, HeaderName, HeaderValue};
use actix_web::web::{Bytes, Path};
use url::Url;
use utoipa_swagger_ui::Config;

use super::call::Call;
use super::codes::Code;
use super::documents::Document;
use super::problem::Problem;

const PAGE: &str = include_str!("page.html");
const START: &str = include_str!("start.js");
/// Swagger UI, as far as the page needs it.
const LIBRARY: [(&str, &str); 2] = [
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
];
/// Nothing from elsewhere, nothing inline, and calls to this service only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its files.
pub struct Reader {
    page: Document,
    files: Vec<(&'static str, Document)>,
}

impl Reader {
    /// Makes it for a service with this issuer, below whose path the page finds its files.
    pub fn new(issuer: &str) -> Self {
        let path = Url::parse(issuer).map(|url| url.path().trim_end_matches('/').to_owned());
        let page = PAGE.replace("{base}", &path.unwrap_or_default());
        let page = Document::new("text/html; charset=utf-8", page.into());
        let policy = (
            HeaderName::from_static("content-security-policy"),
            HeaderValue::from_static(POLICY),
        );
        let start = Document::new("text/javascript; charset=utf-8", START.into());
        let mut files = vec![("start.js", start)];
        files.extend(LIBRARY.into_iter().filter_map(library));
        Self {
            page: page.with(policy),
            files,
        }
    }

    /// The names of the files.
    pub fn files() -> [&'static str; 3] {
        let [(style, _), (script, _)] = LIBRARY;
        ["start.js", style, script]
    }
}

/// A file of Swagger UI.
fn library((name, content_type): (&'static str, &'static str)) -> Option<(&'static str, Document)> {
    // Asked for by name, so its settings play no part.
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default())).ok()??;
    let bytes = match file.bytes {
        // It stays where it is: in the program.
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    let document = Document::new(content_type, bytes);
    let gzip = (CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let document = if file.gzpipped {
        document.with(gzip)
    } else {
        document
    };
    Some((name, document))
}

/// `GET /docs`
pub async fn page(call: Call) -> HttpResponse {
    call.state.documents.reader.page.answer(&call)
}

/// `GET /docs/{file}`
pub async fn file(call: Call, path: Path<String>) -> HttpResponse {
    let mut files = call.state.documents.reader.files.iter();
    match files.find(|(name, _)| *name == path.as_str()) {
        Some((_, document)) => document.answer(&call),
        None => call.render(Problem::new(Code::NotFound)).into_response(),
    }
}
