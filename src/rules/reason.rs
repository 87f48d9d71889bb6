//! Why an operator decided something, in his own words.

/// Longest reason, in characters: a sentence or two.
const LONGEST: usize = 200;
/// Fewest digits in a row that could be a phone number (the provider's `^\+[1-9]\d{6,14}$`).
const NUMBER_DIGITS: usize = 7;

/// Why an operator decided something. It is stored in clear, so that no phone number may be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

/// Why a text is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReasonError {
    /// Nothing, or too much of it.
    #[error("must be 1 to 200 characters")]
    Length,
    /// A line break or the like, which would break the line that shows it.
    #[error("must not have control characters")]
    Control,
    /// Something that could be a phone number.
    #[error("must not have 7 or more digits in a row")]
    Number,
}

impl Reason {
    /// Reads what an operator wrote; blanks around it are left out.
    ///
    /// # Errors
    /// [`ReasonError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ReasonError> {
        let text = text.trim();
        if !(1..=LONGEST).contains(&text.chars().count()) {
            return Err(ReasonError::Length);
        }
        if text.chars().any(char::is_control) {
            return Err(ReasonError::Control);
        }
        // Digits of any script: a number in Devanagari is a number too.
        let runs = text.split(|c: char| !c.is_numeric());
        if runs
            .into_iter()
            .any(|run| run.chars().count() >= NUMBER_DIGITS)
        {
            return Err(ReasonError::Number);
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
    fn a_reason_is_short_and_holds_no_number() {
        let (longest, longer) = ("x".repeat(200), "x".repeat(201));
        for (text, expected) in [
            (
                "SMS pumping, ticket 123456",
                Ok("SMS pumping, ticket 123456"),
            ),
            ("  blanks  ", Ok("blanks")),
            (&longest, Ok(longest.as_str())),
            (&longer, Err(ReasonError::Length)),
            (" ", Err(ReasonError::Length)),
            ("a\nb", Err(ReasonError::Control)),
            ("a\0b", Err(ReasonError::Control)),
            ("ticket 1234567", Err(ReasonError::Number)),
            (
                "\u{0967}\u{0967}\u{0967}\u{0967}\u{0967}\u{0967}\u{0967}",
                Err(ReasonError::Number),
            ),
        ] {
            let read = Reason::parse(text);
            assert_eq!(
                read.as_ref().map(Reason::as_str).map_err(|error| *error),
                expected,
                "{text:?}"
            );
        }
    }
}
