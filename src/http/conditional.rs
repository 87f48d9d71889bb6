//! Public documents that caches keep and ask about again (RFC 9110 section 13.1.2).

use actix_web::http::header::{
    CACHE_CONTROL, ETag, EntityTag, Header as _, IF_NONE_MATCH, IfNoneMatch,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

/// The document, or a 304 for whom has the one with this tag.
pub fn unless_known(
    request: &HttpRequest,
    tag: &str,
    cache: &'static str,
    document: impl FnOnce(&mut HttpResponseBuilder) -> HttpResponse,
) -> HttpResponse {
    let tag = EntityTag::new_strong(tag.to_owned());
    let is_known = request.headers().contains_key(IF_NONE_MATCH) && knows(request, &tag);
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response.insert_header((CACHE_CONTROL, cache));
    response.insert_header(ETag(tag));
    if is_known {
        return response.finish();
    }
    document(&mut response)
}

fn knows(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}
