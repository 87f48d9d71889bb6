//! What tells how to call the service: the OpenAPI document and its reader. Made once, served from memory.

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Bytes;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::call::Call;
use super::conditional::unless_known;
use super::openapi;
use super::reader::Reader;

/// They change with releases only.
const CACHE: &str = "public, max-age=300";

/// The documents of one service.
pub struct Documents {
    openapi: Document,
    /// For operators.
    admin: Document,
    /// What shows it to people.
    pub reader: Reader,
}

/// Something that never changes while the service runs.
pub struct Document {
    content_type: &'static str,
    body: Bytes,
    tag: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Documents {
    /// Makes them for a service with this issuer.
    pub fn new(issuer: &str) -> Self {
        let openapi = openapi::document(issuer).to_string();
        let admin = openapi::admin_document(issuer).to_string();
        Self {
            admin: Document::new("application/json", admin.into()),
            openapi: Document::new("application/json", openapi.into()),
            reader: Reader::new(issuer),
        }
    }
}

impl Document {
    /// A document of this type.
    pub fn new(content_type: &'static str, body: Bytes) -> Self {
        Self {
            content_type,
            tag: URL_SAFE_NO_PAD.encode(digest(&SHA256, &body)),
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
        unless_known(call.request(), &self.tag, CACHE, |response| {
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
    call.state.documents.openapi.answer(&call)
}

/// `GET /openapi.json` of the admin listener
pub async fn admin_openapi(call: Call) -> HttpResponse {
    call.state.documents.admin.answer(&call)
}
