//! The compact serialisation of a JWS (RFC 7515 section 3.1), and the header of an access token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::check::Refused;
use super::json;
use super::keys::Algorithm;

/// The longest token that is read, in bytes. Ours have about 800; web servers stop at header lines of
/// 8 KiB (nginx and Apache by default), so a longer one is none that came through them.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The longest `kid` that is looked up, in bytes. Ours have 43.
const MAX_KID_BYTES: usize = 128;

/// A token taken apart. Nothing of it may be believed before its signature is checked.
pub(super) struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: String,
    /// What the signature is over: the first two parts as they came.
    pub(super) signed: &'a [u8],
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, Refused> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refused::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Refused::Malformed)?;
        let signature = decode(signature).ok_or(Refused::Malformed)?;
        let payload = decode(payload).ok_or(Refused::Malformed)?;
        let (algorithm, kid) = read_header(&decode(header).ok_or(Refused::Malformed)?)?;
        Ok(Self {
            algorithm,
            kid,
            signed: signed.as_bytes(),
            payload,
            signature,
        })
    }
}

/// base64url as RFC 7515 section 2 wants it: no padding, no line breaks; and the bits that the last
/// character has too many must be zero, so that no two texts are one value.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// What the header says that is believed: the algorithm, which must turn out to be the key's own, and
/// the key. Where else a key might be found (`jku`, `x5u`, `jwk`, `x5c`) is not.
fn read_header(json: &[u8]) -> Result<(Algorithm, String), Refused> {
    // The parser's error would quote the token.
    let Ok(header) = json::object(json) else {
        return Err(Refused::Malformed);
    };
    // There is no extension that is understood here (RFC 7515 section 4.1.11).
    if header.contains_key("crit") {
        return Err(Refused::Critical);
    }
    if !header
        .get("typ")
        .and_then(Value::as_str)
        .is_some_and(is_access_token)
    {
        return Err(Refused::Type);
    }
    let algorithm = header
        .get("alg")
        .and_then(Value::as_str)
        .and_then(Algorithm::from_name)
        .ok_or(Refused::Algorithm)?;
    match header.get("kid").and_then(Value::as_str) {
        Some(kid) if !kid.is_empty() && kid.len() <= MAX_KID_BYTES => {
            Ok((algorithm, kid.to_owned()))
        }
        Some(_) | None => Err(Refused::Malformed),
    }
}

/// RFC 9068 section 2.1. Media types are compared without case, and `application/` may be left out
/// (RFC 7515 section 4.1.9).
fn is_access_token(typ: &str) -> bool {
    ["at+jwt", "application/at+jwt"]
        .iter()
        .any(|name| typ.eq_ignore_ascii_case(name))
}
