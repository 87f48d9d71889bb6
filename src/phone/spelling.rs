//! What a person may type for a phone number, reduced to an optional `+` and ASCII digits.
//!
//! The numbering-plan library is lenient: it skips leading words, reads letters as keypad digits,
//! cuts off extensions and takes the first of two numbers. Each of these would let one text mean
//! two things, so they are refused here and the library sees digits only.

/// Longest input that is looked at, in bytes. The longest honest spelling is 15 full-width digits
/// of 3 bytes each with some separators; anything longer is not typed by a person.
const MAX_INPUT_BYTES: usize = 64;

/// The zeros of the decimal digit runs that phones in India and the Gulf can type, and the
/// full-width ones of East Asian keyboards. Each is followed by its digits 1 to 9 (Unicode
/// general category Nd).
const ZEROS: [char; 13] = [
    '0',        // ASCII
    '\u{0660}', // Arabic-Indic
    '\u{06F0}', // extended Arabic-Indic (Urdu, Persian)
    '\u{0966}', // Devanagari
    '\u{09E6}', // Bengali
    '\u{0A66}', // Gurmukhi
    '\u{0AE6}', // Gujarati
    '\u{0B66}', // Odia
    '\u{0BE6}', // Tamil
    '\u{0C66}', // Telugu
    '\u{0CE6}', // Kannada
    '\u{0D66}', // Malayalam
    '\u{FF10}', // full-width
];

/// How an international number begins where there is no `+` to type (ITU-T E.164 recommends it and
/// nearly all countries follow). No national number begins so.
const INTERNATIONAL_PREFIX: &str = "00";

/// Reduces an input to ASCII digits, with a `+` in front when it was there (first and once) or was
/// dialled as `00`. `None` when it is too long, has no digit or holds anything that has no place
/// in one phone number.
pub(super) fn normalize(input: &str) -> Option<String> {
    if input.len() > MAX_INPUT_BYTES {
        return None;
    }
    let mut plain = String::with_capacity(input.len());
    for c in input.chars() {
        if let Some(digit) = ascii_digit(c) {
            plain.push(digit);
        } else if is_plus(c) && plain.is_empty() {
            plain.push('+');
        } else if !is_separator(c) {
            return None;
        }
    }
    if plain.starts_with(INTERNATIONAL_PREFIX) {
        plain.replace_range(..INTERNATIONAL_PREFIX.len(), "+");
    }
    let has_digits = plain.bytes().any(|byte| byte.is_ascii_digit());
    has_digits.then_some(plain)
}

fn ascii_digit(c: char) -> Option<char> {
    ZEROS
        .into_iter()
        .find_map(|zero| {
            u32::from(c)
                .checked_sub(u32::from(zero))
                .filter(|value| *value < 10)
        })
        .and_then(|value| char::from_digit(value, 10))
}

fn is_plus(c: char) -> bool {
    matches!(c, '+' | '\u{FF0B}')
}

/// Blanks, brackets, dots and dashes, and the invisible marks that address books put around a
/// copied number.
fn is_separator(c: char) -> bool {
    // ASCII, then wide blanks, dashes, and full-width brackets and dot.
    const VISIBLE: &str = " -().\u{A0}\u{202F}\u{3000}\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2212}\u{FF0D}\u{FF08}\u{FF09}\u{FF0E}";
    // Soft hyphen, zero-width marks, direction marks, word joiner, isolates, byte order mark.
    const INVISIBLE: &str = "\u{AD}\u{200B}\u{200C}\u{200D}\u{200E}\u{200F}\u{202A}\u{202B}\u{202C}\u{202D}\u{202E}\u{2060}\u{2066}\u{2067}\u{2068}\u{2069}\u{FEFF}";

    VISIBLE.contains(c) || INVISIBLE.contains(c)
}
