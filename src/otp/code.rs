//! The six digits: derived, never stored.
//!
//! A code is HMAC-SHA256 under a key outside the database, over a stored random nonce and what the
//! code is for. A copy of the database therefore holds no code, and a resend gives the same one.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::secrets::Keyring;

/// Digits in a code. Six decimal digits are what NIST SP 800-63B-4 section 3.1.3.2 asks at least,
/// and all that the provider delivers unharmed (it cuts longer ones).
pub const CODE_LENGTH: usize = 6;

/// Number of different codes.
const CODES: u64 = 1_000_000;

/// A one-time code. It cannot be printed.
#[derive(Clone)]
pub struct OtpCode(SecretString);

/// What a caller typed: digits, not yet known to be right. It cannot be printed.
#[derive(Clone)]
pub struct Guess(SecretString);

/// The text is not a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a string of {CODE_LENGTH} decimal digits")]
pub struct CodeError;

/// What a code is bound to: it is wrong for any other request, client or purpose.
#[derive(Clone, Copy)]
pub struct Binding<'a> {
    /// The stored random nonce.
    pub nonce: &'a [u8],
    /// The request it answers.
    pub request: Uuid,
    /// The client it was asked by.
    pub client: &'a str,
    /// What it is for.
    pub purpose: &'a str,
}

impl OtpCode {
    /// Derives the code of a request.
    ///
    /// The first 64 bits of the tag modulo 10^6: no code is more likely than another by more than
    /// 10^6 / 2^64, that is 6 in 10^14.
    pub fn derive(keyring: &Keyring, binding: Binding<'_>) -> Self {
        let tag = keyring.code_tag(&[
            binding.nonce,
            binding.request.as_bytes(),
            binding.client.as_bytes(),
            binding.purpose.as_bytes(),
        ]);
        let number = tag
            .iter()
            .take(8)
            .fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        Self(SecretString::from(format!("{:06}", number % CODES)))
    }

    /// Takes a fixed code, for test numbers.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        Guess::parse(text).map(|guess| Self(guess.0))
    }

    /// The digits, for the one place that hands them to the provider.
    pub fn digits(&self) -> &str {
        self.0.expose_secret()
    }

    /// Compares in constant time.
    pub fn matches(&self, guess: &Guess) -> bool {
        let (code, guess) = (self.0.expose_secret(), guess.0.expose_secret());
        verify_slices_are_equal(code.as_bytes(), guess.as_bytes()).is_ok()
    }
}

impl Guess {
    /// Accepts exactly [`CODE_LENGTH`] ASCII digits.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        Self::parse_of_length(text, CODE_LENGTH, CODE_LENGTH)
    }

    /// Accepts `^\d{4,6}$`, as the tutorial's front ends send; a shorter one is simply wrong.
    pub fn parse_tutorial(text: &str) -> Result<Self, CodeError> {
        Self::parse_of_length(text, 4, CODE_LENGTH)
    }

    /// The digits, for the one place that hands them to a provider that made the code.
    pub fn digits(&self) -> &str {
        self.0.expose_secret()
    }

    fn parse_of_length(text: &str, least: usize, most: usize) -> Result<Self, CodeError> {
        let fits = (least..=most).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(SecretString::from(text)))
        } else {
            Err(CodeError)
        }
    }
}

impl fmt::Debug for OtpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtpCode(***)")
    }
}

impl fmt::Debug for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guess(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretBox;

    fn keyring() -> Keyring {
        Keyring::derive(&SecretBox::new(Box::new([3; 32]))).unwrap()
    }

    fn binding(nonce: &[u8]) -> Binding<'_> {
        Binding {
            nonce,
            request: Uuid::from_u128(1),
            client: "web",
            purpose: "login",
        }
    }

    /// security.md 3: six digits, leading zeros kept, uniform.
    #[test]
    fn a_hundred_thousand_codes_are_uniform_in_every_digit_and_keep_leading_zeros() {
        let keyring = keyring();
        let mut counts = [[0_u32; 10]; CODE_LENGTH];
        let samples = 100_000_u32;
        for sample in 0..samples {
            let code = OtpCode::derive(&keyring, binding(&sample.to_be_bytes()));
            assert_eq!(code.digits().len(), CODE_LENGTH);
            for (place, digit) in code.digits().bytes().enumerate() {
                counts[place][usize::from(digit - b'0')] += 1;
            }
        }

        let expected = f64::from(samples) / 10.0;
        for (place, row) in counts.iter().enumerate() {
            let chi_square: f64 = row
                .iter()
                .map(|n| (f64::from(*n) - expected).powi(2) / expected)
                .sum();
            // 9 degrees of freedom: 33.7 is exceeded once in 10,000 uniform samples.
            assert!(chi_square < 33.7, "digit {place}: chi-square {chi_square}");
        }
    }

    /// security.md 8: a code is wrong for any other request, purpose or client.
    #[test]
    fn a_code_depends_on_everything_it_is_bound_to() {
        let base = binding(b"nonce");
        let others = [
            Binding {
                nonce: b"other",
                ..base
            },
            Binding {
                request: Uuid::from_u128(2),
                ..base
            },
            Binding {
                client: "other",
                ..base
            },
            Binding {
                purpose: "step-up",
                ..base
            },
        ];

        let code = OtpCode::derive(&keyring(), base);

        assert_eq!(code.digits(), OtpCode::derive(&keyring(), base).digits());
        for other in others {
            assert_ne!(code.digits(), OtpCode::derive(&keyring(), other).digits());
        }
    }

    #[test]
    fn only_the_same_digits_match() {
        let code = OtpCode::parse("012345").unwrap();

        assert!(code.matches(&Guess::parse("012345").unwrap()));
        assert!(!code.matches(&Guess::parse("012346").unwrap()));
        assert!(!code.matches(&Guess::parse_tutorial("12345").unwrap()));
        assert!(!code.matches(&Guess::parse_tutorial("0123").unwrap()));
    }

    #[test]
    fn only_ascii_digits_of_the_right_length_are_codes() {
        for (text, v1, tutorial) in [
            ("123456", true, true),
            ("000000", true, true),
            ("12345", false, true),
            ("1234", false, true),
            ("123", false, false),
            ("1234567", false, false),
            ("12345a", false, false),
            (" 12345", false, false),
            ("١٢٣٤٥٦", false, false),
            ("", false, false),
        ] {
            assert_eq!(Guess::parse(text).is_ok(), v1, "{text:?}");
            assert_eq!(Guess::parse_tutorial(text).is_ok(), tutorial, "{text:?}");
        }
    }

    #[test]
    fn debug_output_shows_no_digits() {
        let code = OtpCode::parse("314159").unwrap();
        let guess = Guess::parse("314159").unwrap();

        assert_eq!(format!("{code:?} {guess:?}"), "OtpCode(***) Guess(***)");
    }
}
