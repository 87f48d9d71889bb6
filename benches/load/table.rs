//! The figures, each with what it must reach.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::{Failure, say};

/// What a figure is held against.
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Only shown.
    None,
}

struct Row {
    name: String,
    value: String,
    target: String,
    passes: Option<bool>,
    details: String,
}

/// What was taken so far.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// Adds a figure, with what it was made of.
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        (value, unit, target): (f64, &str, Target),
        details: impl Into<String>,
    ) {
        let number = |number: f64| match unit {
            "" => format!("{number:.2}"),
            unit => format!("{number:.1} {unit}"),
        };
        let (target, passes) = match target {
            Target::AtLeast(least) => (format!("≥ {}", number(least)), Some(value >= least)),
            Target::AtMost(most) => (format!("≤ {}", number(most)), Some(value <= most)),
            Target::None => (String::new(), None),
        };
        let row = Row {
            name: name.into(),
            value: number(value),
            target,
            passes,
            details: details.into(),
        };
        say(&row.line());
        self.0.push(row);
    }

    /// Whether each reached its target.
    pub(crate) fn passes(&self) -> bool {
        self.0.iter().all(|row| row.passes != Some(false))
    }

    /// As it is written into a document.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("| figure | is | must be | | of |\n|---|---|---|---|---|\n");
        for row in &self.0 {
            let _ = writeln!(text, "{}", row.line());
        }
        text
    }
}

impl Row {
    fn line(&self) -> String {
        let passes = match self.passes {
            Some(true) => "pass",
            Some(false) => "**FAIL**",
            None => "",
        };
        format!(
            "| {} | {} | {} | {passes} | {} |",
            self.name, self.value, self.target, self.details
        )
    }
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What each tells on average.
pub(crate) fn mean<T>(all: &[T], tells: impl Fn(&T) -> f64) -> f64 {
    let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
    all.iter().map(tells).sum::<f64>() / f64::from(count)
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Puts text between the markers of a document.
pub(crate) fn rewrite(file: &Path, text: &str) -> Result<(), Failure> {
    const BEGIN: &str = "<!-- load:begin -->\n";
    const END: &str = "<!-- load:end -->";
    let document = std::fs::read_to_string(file)?;
    let (before, rest) = document.split_once(BEGIN).ok_or("no load:begin")?;
    let (_, after) = rest.split_once(END).ok_or("no load:end")?;
    Ok(std::fs::write(
        file,
        format!("{before}{BEGIN}{text}{END}{after}"),
    )?)
}
