//! What tells how to call the service: the OpenAPI document and its reader. Made once, by whoever asks first,
//! and then served from memory: most processes are never asked.

use std::sync::OnceLock;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Bytes;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::call::Call;
use super::conditional::unless_known;
use super::openapi;
use super::reader::Reader;

/// They change with releases only.
const CACHE: &str = "public, max-age=300";

/// The documents of one service.
pub struct Documents {
    issuer: String,
    openapi: OnceLock<Document>,
    /// For operators.
    admin: OnceLock<Document>,
    /// What shows it to people.
    pub reader: Reader,
}

/// Something that never changes while the service runs.
pub struct Document {
    content_type: &'static str,
    body: Bytes,
    tag: OnceLock<String>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Documents {
    /// Those of a service with this issuer.
    pub fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            openapi: OnceLock::new(),
            admin: OnceLock::new(),
            reader: Reader::new(issuer),
        }
    }

    fn openapi(&self) -> &Document {
        self.openapi
            .get_or_init(|| json(&openapi::document(&self.issuer)))
    }

    fn admin(&self) -> &Document {
        self.admin
            .get_or_init(|| json(&openapi::admin_document(&self.issuer)))
    }
}

fn json(document: &Value) -> Document {
    // Without the room for more that it was written into.
    let text = document.to_string().into_boxed_str();
    Document::new("application/json", text.into_boxed_bytes().into())
}

impl Document {
    /// A document of this type.
    pub fn new(content_type: &'static str, body: Bytes) -> Self {
        Self {
            content_type,
            tag: OnceLock::new(),
            body,
            header: None,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, header: (HeaderName, HeaderValue)) -> Self {
        self.header = Some(header);
        self
    }

    /// The answer to whom asks for it.
    pub fn answer(&self, call: &Call) -> HttpResponse {
        let tag = self
            .tag
            .get_or_init(|| URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.body)));
        unless_known(call.request(), tag, CACHE, |response| {
            if let Some(header) = &self.header {
                response.insert_header(header.clone());
            }
            response
                .content_type(self.content_type)
                .body(self.body.clone())
        })
    }
}

/// `GET /openapi.json`
pub async fn openapi(call: Call) -> HttpResponse {
    call.state.documents.openapi().answer(&call)
}

/// `GET /openapi.json` of the admin listener
pub async fn admin_openapi(call: Call) -> HttpResponse {
    call.state.documents.admin().answer(&call)
}
