//! Series that the registry cannot keep: its counters are whole numbers, and money and seconds are not.

use std::fmt;
use std::fmt::Write as _;

use super::table::TABLE;

/// A number with up to six decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    whole: u64,
    millionths: u64,
}

impl Decimal {
    pub(super) fn millionths(millionths: u64) -> Self {
        Self {
            whole: millionths / 1_000_000,
            millionths: millionths % 1_000_000,
        }
    }

    /// So many ticks, of which there are `per_second`.
    pub(super) fn seconds(ticks: u64, per_second: u64) -> Self {
        let per_second = per_second.max(1);
        Self {
            whole: ticks / per_second,
            millionths: ticks % per_second * 1_000_000 / per_second,
        }
    }

    pub(super) fn plus(self, whole: u64) -> Self {
        Self {
            whole: self.whole + whole,
            ..self
        }
    }
}

impl From<u64> for Decimal {
    fn from(whole: u64) -> Self {
        Self {
            whole,
            millionths: 0,
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millionths == 0 {
            return write!(f, "{}", self.whole);
        }
        let decimals = format!("{:06}", self.millionths);
        write!(f, "{}.{}", self.whole, decimals.trim_end_matches('0'))
    }
}

/// Writes a metric of the table in Prometheus' text format. The values of labels are codes and names of the
/// settings, which hold nothing that must be escaped.
pub(super) fn write<'a, const N: usize>(
    out: &mut String,
    name: &str,
    samples: impl IntoIterator<Item = ([(&'static str, &'a str); N], Decimal)>,
) {
    let Some(metric) = TABLE.iter().find(|metric| metric.name == name) else {
        return;
    };
    let (help, kind) = (metric.help, metric.kind.name());
    // Writing to a string cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for (labels, value) in samples {
        let labels = labels.map(|(name, value)| format!("{name}=\"{value}\""));
        let labels = labels.join(",");
        let _ = if labels.is_empty() {
            writeln!(out, "{name} {value}")
        } else {
            writeln!(out, "{name}{{{labels}}} {value}")
        };
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (decimal, text) in [
            (Decimal::millionths(250_000), "0.25"),
            (Decimal::millionths(1), "0.000001"),
            (Decimal::millionths(3_000_000), "3"),
            (Decimal::seconds(150, 100), "1.5"),
            (Decimal::seconds(7, 0), "7"),
            (Decimal::seconds(150, 100).plus(10), "11.5"),
        ] {
            assert_eq!(decimal.to_string(), text);
        }
    }
}
