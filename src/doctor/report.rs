//! What was found: a line a check, or the same as one JSON object.

use std::time::Duration;

use serde::Serialize;

/// Longest text of somebody else's that is shown, in characters.
const LONGEST: usize = 300;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but somebody should look.
    Warn,
    /// It does not work, or is not safe.
    Fail,
    /// It could not be looked at.
    Skip,
}

impl Level {
    /// As a line begins; a failure stands out.
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skip => "skip",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How it ended.
    pub level: Level,
    /// The check.
    pub name: &'static str,
    /// What was seen.
    pub seen: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(name: &'static str, seen: impl AsRef<str>) -> Self {
        Self::new(Level::Ok, name, seen.as_ref(), None)
    }

    pub(super) fn warn(name: &'static str, seen: impl AsRef<str>, advice: &str) -> Self {
        Self::new(Level::Warn, name, seen.as_ref(), Some(advice))
    }

    pub(super) fn fail(name: &'static str, seen: impl AsRef<str>, advice: &str) -> Self {
        Self::new(Level::Fail, name, seen.as_ref(), Some(advice))
    }

    pub(super) fn skip(name: &'static str, why: impl AsRef<str>) -> Self {
        Self::new(Level::Skip, name, why.as_ref(), None)
    }

    fn new(level: Level, name: &'static str, seen: &str, advice: Option<&str>) -> Self {
        let seen = one_line(seen);
        let advice = advice.map(one_line);
        Self {
            level,
            name,
            seen,
            advice,
        }
    }

    /// What a check says that did not end in time.
    pub(super) fn late(name: &'static str, deadline: Duration) -> Self {
        let seen = format!("did not end within {} ms", deadline.as_millis());
        Self::fail(
            name,
            seen,
            "something accepts the call and does not answer; look there, or raise --timeout",
        )
    }
}

/// Parts of it may come from a server that nobody vouches for: no control character of theirs reaches a
/// terminal.
fn one_line(text: &str) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let line: String = text.chars().take(LONGEST).map(plain).collect();
    let is_cut = text.chars().nth(LONGEST).is_some();
    if is_cut { line + "..." } else { line }
}

/// What all checks found, in the order in which they are told.
#[derive(Clone, Debug)]
pub struct Report {
    /// One a check.
    pub findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Whole<'a> {
    level: Level,
    ok: usize,
    warn: usize,
    fail: usize,
    skip: usize,
    checks: &'a [Finding],
}

impl Report {
    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.count(Level::Fail) == 0
    }

    fn count(&self, level: Level) -> usize {
        let same = |finding: &&Finding| finding.level == level;
        self.findings.iter().filter(same).count()
    }

    /// A line a check: how it ended, its name, what was seen, what to do.
    pub fn text(&self) -> String {
        let names = self.findings.iter().map(|finding| finding.name.len());
        let width = names.max().unwrap_or(0);
        let line = |finding: &Finding| {
            let (word, name, seen) = (finding.level.word(), finding.name, &finding.seen);
            let advice = finding.advice.as_ref();
            let advice = advice.map_or_else(String::new, |advice| format!("  -> {advice}"));
            format!("{word:<4}  {name:<width$}  {seen}{advice}\n")
        };
        self.findings.iter().map(line).collect()
    }

    /// The same as one JSON object: how it ended as a whole, how many of each, and the checks.
    pub fn json(&self) -> String {
        let (fail, warn) = (self.count(Level::Fail), self.count(Level::Warn));
        let level = match (fail, warn) {
            (0, 0) => Level::Ok,
            (0, _) => Level::Warn,
            (_, _) => Level::Fail,
        };
        let whole = Whole {
            level,
            ok: self.count(Level::Ok),
            warn,
            fail,
            skip: self.count(Level::Skip),
            checks: &self.findings,
        };
        // Texts and numbers only: it cannot fail.
        serde_json::to_string(&whole).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let findings = vec![
            Finding::ok("database.reach", "PostgreSQL 15.1"),
            Finding::skip("vendor.key", "nobody to ask"),
            Finding::warn("vendor.mode", "none", "look"),
        ];
        Report { findings }
    }

    #[test]
    fn a_check_is_a_line_whose_columns_align() {
        let expected = "ok    database.reach  PostgreSQL 15.1\n\
                        skip  vendor.key      nobody to ask\n\
                        warn  vendor.mode     none  -> look\n";
        assert_eq!(report().text(), expected);
    }

    #[test]
    fn json_says_the_same_and_is_as_bad_as_the_worst_check() {
        let mut report = report();
        assert!(report.is_good());
        assert_eq!(
            report.json(),
            "{\"level\":\"warn\",\"ok\":1,\"warn\":1,\"fail\":0,\"skip\":1,\"checks\":[\
             {\"level\":\"ok\",\"name\":\"database.reach\",\"seen\":\"PostgreSQL 15.1\"},\
             {\"level\":\"skip\",\"name\":\"vendor.key\",\"seen\":\"nobody to ask\"},\
             {\"level\":\"warn\",\"name\":\"vendor.mode\",\"seen\":\"none\",\"advice\":\"look\"}]}\n"
        );
        report.findings.push(Finding::fail("x", "y", "z"));
        assert!(!report.is_good());
        assert!(report.json().starts_with("{\"level\":\"fail\","));
        report.findings.retain(|finding| finding.level == Level::Ok);
        assert!(report.json().starts_with("{\"level\":\"ok\","));
    }

    #[test]
    fn what_others_said_stays_on_its_line_and_is_not_endless() {
        let said = Finding::ok("x", "a\u{1b}[2J\nb\u{7}");
        assert_eq!(said.seen, "a [2J b ");
        let long = Finding::ok("x", "y".repeat(LONGEST + 1));
        assert_eq!(long.seen, "y".repeat(LONGEST) + "...");
    }
}
