//! `[secrets]`: the master keys and the admin token.

use std::fmt;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{ExposeSecret, SecretBox, SecretString};

use super::reader::{Read, Reader};

/// Bytes of the master key: HKDF-SHA-256 needs no more (RFC 5869), and AES-256 no less.
const MASTER_KEY_BYTES: usize = 32;
/// Fewest characters of the admin token: 128 bits in hex (OWASP ASVS 5.0, 7.2.3).
const ADMIN_TOKEN_MIN: usize = 32;

/// `[secrets]`
pub struct Secrets {
    /// Seals what is stored; all other keys derive from it or lie sealed under it.
    pub master_key: MasterKey,
    /// Open what they sealed, and seal nothing.
    pub other_master_keys: Vec<MasterKey>,
}

/// 32 secret bytes. The box is wiped when it is dropped; what the environment holds is not.
pub type MasterKey = SecretBox<[u8; MASTER_KEY_BYTES]>;

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

pub(super) fn read(reader: &mut Reader) -> Read<Secrets> {
    let master_key = master_key(reader);
    let other_master_keys = other_master_keys(reader, master_key.as_ref().ok());
    Ok(Secrets {
        master_key: master_key?,
        other_master_keys: other_master_keys?,
    })
}

const MAKE: &str = "make one with: openssl rand -base64 32";

fn master_key(reader: &mut Reader) -> Read<MasterKey> {
    const KEY: &str = "secrets.master_key";
    let Some(text) = reader.secret(KEY)? else {
        return Err(reader.fault(KEY, format!("is not set; {MAKE}")));
    };
    parse(reader, KEY, "", &text)
}

fn other_master_keys(reader: &mut Reader, current: Option<&MasterKey>) -> Read<Vec<MasterKey>> {
    const KEY: &str = "secrets.other_master_keys";
    let texts = reader.secrets(KEY)?;
    let keys: Vec<Read<MasterKey>> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| {
            let place = format!("number {} ", at + 1);
            let key = parse(reader, KEY, &place, text)?;
            let is_current = |current: &MasterKey| current.expose_secret() == key.expose_secret();
            if current.is_some_and(is_current) {
                let problem = format!("{place}is secrets.master_key too; remove it here");
                return Err(reader.fault(KEY, problem));
            }
            Ok(key)
        })
        .collect();
    // Collected in two steps: the first fault must not hide the others.
    keys.into_iter().collect()
}

/// Reads a master key; a fault names the setting and the place in it.
fn parse(reader: &mut Reader, key: &str, place: &str, text: &SecretString) -> Read<MasterKey> {
    let Some(bytes) = decode(text.expose_secret()) else {
        return Err(reader.fault(
            key,
            format!("{place}is not 32 bytes in base64 or 64 hex digits; {MAKE}"),
        ));
    };
    let bytes = SecretBox::new(Box::new(bytes));
    if has_equal_steps(bytes.expose_secret(), Some(0)) {
        return Err(reader.fault(key, format!("{place}is one byte repeated; {MAKE}")));
    }
    if has_equal_steps(bytes.expose_secret(), None) || is_readable(bytes.expose_secret()) {
        reader.fault_in_production(
            key,
            format!("{place}is a sample or a phrase, not random; {MAKE}"),
        );
    }
    Ok(bytes)
}

/// Hex is tried first: 64 hex digits are base64 too, but of 48 bytes.
fn decode(text: &str) -> Option<[u8; MASTER_KEY_BYTES]> {
    decode_hex(text).or_else(|| {
        let lenient =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        [alphabet::STANDARD, alphabet::URL_SAFE]
            .iter()
            .find_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(text).ok())
            .and_then(|bytes| bytes.try_into().ok())
    })
}

/// Reads exactly twice as many hex digits, in either case, as the array has bytes.
pub(super) fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 2 * N)?;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(pair.iter().fold(0, |sum, digit| sum * 16 + digit)).ok()?;
    }
    Some(bytes)
}

/// Whether each byte differs from the one before by the same amount (by `step`, if given): one
/// byte repeated, or 00 01 02 as in many examples.
fn has_equal_steps(key: &[u8], step: Option<u8>) -> bool {
    let mut steps = key
        .iter()
        .zip(key.iter().skip(1))
        .map(|(one, next)| next.wrapping_sub(*one));
    let first = steps.next();
    step.is_none_or(|step| first == Some(step)) && steps.all(|step| Some(step) == first)
}

/// Whether all bytes are printable ASCII: a phrase that somebody typed, such as the sample keys of
/// documentation. Fewer than one random key in 10^13 is.
fn is_readable(key: &[u8]) -> bool {
    key.iter()
        .all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

/// The bearer token of an owner; whether it may be missing, `[[admin_tokens]]` decide.
pub(super) fn admin_token(reader: &mut Reader) -> Read<Option<SecretString>> {
    const KEY: &str = "secrets.admin_token";
    const MAKE: &str = "make one with: openssl rand -hex 32";
    let token = reader.secret(KEY)?;
    match &token {
        Some(token) if token.expose_secret().len() < ADMIN_TOKEN_MIN => {
            reader.fault(
                KEY,
                format!("has less than {ADMIN_TOKEN_MIN} characters; {MAKE}"),
            );
        }
        Some(token) if !is_header_text(token.expose_secret()) => {
            reader.fault(
                KEY,
                format!("holds a blank or a letter that no header can carry; {MAKE}"),
            );
        }
        Some(_) | None => {}
    }
    Ok(token)
}

/// Whether a text can stand in an HTTP header as one word (RFC 9110 section 5.5, VCHAR).
pub(super) fn is_header_text(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}
