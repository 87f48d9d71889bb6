//! The cookies of a request, as they were sent.
//!
//! Not by the framework: it decodes `%6f` in a name, so that a cookie which a browser keeps apart from ours, and lets
//! others set, would count as ours; and one byte of any cookie that is not UTF-8 hides all of them.

use actix_web::http::header::{COOKIE, HeaderMap};

/// The values of the cookies of exactly this name, without quotes.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(COOKIE)
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| str::from_utf8(pair).ok())
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(known, _)| *known == name)
        .map(|(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_very_name_whatever_others_there_are() {
        let read = |lines: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
            }
            let values = values(&headers, "ours").map(str::to_owned);
            values.collect::<Vec<_>>()
        };

        assert_eq!(read(&[b"ours=1"]), ["1"]);
        assert_eq!(read(&[b"a=b; ours=\"1\";c"]), ["1"]);
        assert_eq!(read(&[b"ours=1; ours=2", b"ours=3"]), ["1", "2", "3"]);
        assert_eq!(read(&["name=José; ours=1".as_bytes()]), ["1"]);
        assert_eq!(read(&[b"latin=\xe9; ours=1"]), ["1"]);
        for other in [&b"%6furs=1"[..], b"Ours=1", b"ours", b"=ours", b"xours=1"] {
            assert!(read(&[other]).is_empty());
        }
    }
}
