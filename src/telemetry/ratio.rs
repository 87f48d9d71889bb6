//! Which part of many things is kept.

use std::fmt;
use std::str::FromStr;

/// From 0, none, to 1, all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

/// It is never NaN.
impl Eq for Ratio {}

/// The text is no such number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a number from 0 to 1")]
pub struct RatioError;

impl Ratio {
    /// All of them.
    pub const ALL: Self = Self(1.0);

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether the one whose hash this is is kept. Of all hashes it is that part.
    pub fn keeps(self, hash: &[u8; 32]) -> bool {
        let first = hash.first_chunk().copied().unwrap_or_default();
        f64::from(u32::from_be_bytes(first)) / (f64::from(u32::MAX) + 1.0) < self.0
    }
}

impl FromStr for Ratio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, RatioError> {
        let ratio = text
            .parse()
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or(RatioError)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_a_number_from_0_to_1() {
        for (text, expected) in [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("1e-3", 0.001)] {
            assert_eq!(text.parse(), Ok(Ratio(expected)), "{text}");
        }
        for text in ["", "-0.1", "1.1", "10%", "NaN", "inf", "half"] {
            assert_eq!(text.parse::<Ratio>(), Err(RatioError), "{text}");
        }
    }

    #[test]
    fn the_ends_keep_none_and_all() {
        for hash in [[0; 32], [0x7f; 32], [0xff; 32]] {
            assert!(!Ratio(0.0).keeps(&hash));
            assert!(Ratio::ALL.keeps(&hash));
        }
        assert!(Ratio(0.5).keeps(&[0x7f; 32]));
        assert!(!Ratio(0.5).keeps(&[0x80; 32]));
    }
}
