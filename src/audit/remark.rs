//! Why an operator did something, in words of his own.

/// Longest remark, in characters; our own figure, a sentence or two.
const LONGEST: usize = 200;
/// Digits in a row that may be a phone number: the shortest one has this many (`phone.rs`).
const PHONE_LIKE: usize = 7;

/// An operator's reason: one line that no phone number stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark(String);

/// Why a text is no remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemarkError {
    /// Nothing, or too much of it.
    #[error("must be 1 to {LONGEST} characters")]
    Length,
    /// A line break or the like, which would break the line that shows it.
    #[error("must not have control characters")]
    Control,
    /// It may hold a phone number, which the log must not.
    #[error("must not have {PHONE_LIKE} or more digits in a row")]
    PhoneLike,
}

impl Remark {
    /// Reads what an operator wrote; blanks around it do not count.
    pub fn parse(text: &str) -> Result<Self, RemarkError> {
        let text = text.trim();
        if !(1..=LONGEST).contains(&text.chars().count()) {
            return Err(RemarkError::Length);
        }
        if text.chars().any(char::is_control) {
            return Err(RemarkError::Control);
        }
        // Of any script: a number may be typed in Devanagari digits too.
        let longest_run = text
            .split(|letter: char| !letter.is_numeric())
            .map(|digits| digits.chars().count())
            .max();
        if longest_run.is_some_and(|run| run >= PHONE_LIKE) {
            return Err(RemarkError::PhoneLike);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_one_line_without_a_phone_number() {
        let longest = "x".repeat(200);
        let too_long = "x".repeat(201);
        for (text, expected) in [
            ("called in, ticket 123456", Ok("called in, ticket 123456")),
            ("  blanks around ", Ok("blanks around")),
            (longest.as_str(), Ok(longest.as_str())),
            (too_long.as_str(), Err(RemarkError::Length)),
            (" ", Err(RemarkError::Length)),
            ("two\nlines", Err(RemarkError::Control)),
            ("a\0b", Err(RemarkError::Control)),
            ("ticket 1234567", Err(RemarkError::PhoneLike)),
            ("+919876543210 called", Err(RemarkError::PhoneLike)),
            ("९८७६५४३२१० called", Err(RemarkError::PhoneLike)),
            (
                "\u{0967}\u{0967}\u{0967}\u{0967}\u{0967}\u{0967}\u{0967}",
                Err(RemarkError::PhoneLike),
            ),
            (
                "SMS pumping, ticket 123456",
                Ok("SMS pumping, ticket 123456"),
            ),
        ] {
            let read = Remark::parse(text);
            assert_eq!(
                read.as_ref().map(Remark::as_str),
                expected.as_ref().copied(),
                "{text:?}"
            );
        }
    }
}
