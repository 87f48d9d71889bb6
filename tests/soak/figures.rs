//! What came out, for people.

use std::time::Duration;

use crate::day::Day;
use crate::say;
use crate::world::Weight;

/// Days at the end that are held against as many before them.
const LAST: usize = 15;
/// The same for the audit log, which grows until a month of it leaves at once: its highest.
const MONTH: usize = 31;
/// How much more room they may need: vacuum and the ends of months are not of a day.
const MORE_ROOM: f64 = 1.10;
/// How much longer they may take in the slowest of a hundred calls: a machine is never quite alone.
const MORE_TIME: f64 = 1.25;
/// Before that day the audit log grows (30 days, and up to 31 until its month is over).
const FULL_AFTER: u16 = 62;

/// A day, and what was left of it.
pub(crate) struct Line {
    pub(crate) number: u16,
    pub(crate) calls: u32,
    pub(crate) took: Duration,
    pub(crate) send_p99: Duration,
    pub(crate) verify_p99: Duration,
    pub(crate) weight: Weight,
}

impl Line {
    /// Everything in the database, in bytes.
    pub(crate) fn total(&self) -> f64 {
        megabytes(self.weight.bytes.iter().sum())
    }

    /// The audit log.
    pub(crate) fn audit(&self) -> f64 {
        megabytes(self.weight.bytes[1])
    }

    /// Everything but the audit log.
    fn rest(&self) -> f64 {
        self.total() - self.audit()
    }
}

/// All days.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) lines: Vec<Line>,
}

impl Figures {
    pub(crate) fn add(&mut self, number: u16, mut day: Day, weight: Weight) {
        let line = Line {
            number,
            calls: day.calls,
            took: day.took,
            send_p99: percentile(&mut day.sends, 99),
            verify_p99: percentile(&mut day.verifies, 99),
            weight,
        };
        if number == 1 {
            say("  day   calls  calls/s  send p99  verify p99  otp_requests  audit_events  others");
        }
        let [requests, audit, others] = line.weight.bytes.map(megabytes);
        say(&format!(
            "{:5} {:7} {:8.0} {:6.1} ms {:8.1} ms {:10.1} MB {:10.1} MB {:5.1} MB",
            line.number,
            line.calls,
            f64::from(line.calls) / line.took.as_secs_f64(),
            line.send_p99.as_secs_f64() * 1e3,
            line.verify_p99.as_secs_f64() * 1e3,
            requests,
            audit,
            others,
        ));
        self.lines.push(line);
    }

    /// Tells whether all is well.
    pub(crate) fn verdict(&self) -> bool {
        let calls: u32 = self.lines.iter().map(|line| line.calls).sum();
        let overdue: i64 = self.lines.iter().map(|line| line.weight.overdue).sum();
        say(&format!(
            "{calls} calls; {overdue} rows were there longer than they may be"
        ));
        if self.lines.len() < usize::from(FULL_AFTER) + MONTH {
            say("too few days to tell whether it is flat");
            return overdue == 0;
        }
        let figures = [
            (
                "mean size but for the audit log",
                self.ratio(LAST, mean, Line::rest),
                LAST,
                MORE_ROOM,
            ),
            (
                "highest size of the audit log",
                self.ratio(MONTH, highest, Line::audit),
                MONTH,
                MORE_ROOM,
            ),
            (
                "mean p99 of a send",
                self.ratio(LAST, mean, |line| line.send_p99.as_secs_f64()),
                LAST,
                MORE_TIME,
            ),
            (
                "mean p99 of a verify",
                self.ratio(LAST, mean, |line| line.verify_p99.as_secs_f64()),
                LAST,
                MORE_TIME,
            ),
        ];
        let mut holds = overdue == 0;
        for (what, ratio, days, most) in figures {
            let fits = ratio <= most;
            let mark = if fits { "ok" } else { "NO" };
            say(&format!(
                "{mark}  {what} of the last {days} days to that of the {days} before: {ratio:.2}, at most {most}"
            ));
            holds &= fits;
        }
        holds
    }

    /// What the last days are to as many before them.
    fn ratio(&self, days: usize, sum_up: fn(&[Line], Figure) -> f64, of: Figure) -> f64 {
        let (before, last) = self.lines.split_at(self.lines.len().saturating_sub(days));
        let before = before
            .get(before.len().saturating_sub(days)..)
            .unwrap_or_default();
        sum_up(last, of) / sum_up(before, of)
    }
}

/// One figure of a day.
type Figure = fn(&Line) -> f64;

fn highest(lines: &[Line], of: Figure) -> f64 {
    lines.iter().map(of).fold(0.0, f64::max)
}

fn mean(lines: &[Line], of: Figure) -> f64 {
    let sum: f64 = lines.iter().map(of).sum();
    sum / f64::from(u32::try_from(lines.len().max(1)).unwrap_or(u32::MAX))
}

fn percentile(durations: &mut [Duration], percent: usize) -> Duration {
    durations.sort_unstable();
    let at = durations.len() * percent / 100;
    let at = at.min(durations.len().saturating_sub(1));
    durations.get(at).copied().unwrap_or_default()
}

/// Bytes in millions.
pub(crate) fn megabytes(bytes: i64) -> f64 {
    // Kilobytes, which fit: nothing here weighs terabytes.
    f64::from(i32::try_from(bytes / 1000).unwrap_or(i32::MAX)) / 1000.0
}
