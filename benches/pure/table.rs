//! The table of what was measured, in the place that a document has for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use otp_auth::clock::{Clock as _, SystemClock};
use serde::Deserialize;

use super::tokens;

const BEGIN: &str = "<!-- pure:begin -->\n";
const END: &str = "<!-- pure:end -->";

/// What was measured.
pub(crate) struct Row {
    pub(crate) group: &'static str,
    pub(crate) operation: &'static str,
}

/// What it was measured on.
pub(crate) struct Machine {
    day: String,
    load: String,
}

impl Machine {
    /// Its day, and how busy it has been in the last minute.
    pub(crate) fn look() -> Self {
        let load = read("/proc/loadavg");
        Self {
            day: SystemClock::default().now().format("%F").to_string(),
            load: load.split(' ').next().unwrap().to_owned(),
        }
    }

    fn line(&self) -> String {
        let cpu = read("/proc/cpuinfo");
        let cpu: BTreeMap<&str, &str> = cpu
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        // Processors other than those of PCs tell no name there.
        let model = cpu
            .get("model name")
            .copied()
            .unwrap_or("unknown processor");
        let model = match (cpu.get("cpu family"), cpu.get("model")) {
            (Some(family), Some(number)) => format!("{model} (family {family}, model {number})"),
            _ => model.to_owned(),
        };
        let cores = std::thread::available_parallelism().unwrap();
        let kernel = read("/proc/sys/kernel/osrelease");
        let rustc = Command::new("rustc").arg("--version").output().unwrap();
        let rustc = String::from_utf8(rustc.stdout).unwrap();
        format!(
            "{}: {model}, {cores} cores, Linux {}, {}; load before the run {}.",
            self.day,
            kernel.trim(),
            rustc.trim(),
            self.load
        )
    }
}

/// What Criterion keeps of a measurement, in nanoseconds.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

/// Of 95 %, unless Criterion is told otherwise.
#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Puts the table between the marks in `file`, in place of the one that is there.
pub(crate) fn write(file: &Path, machine: &Machine, rows: &[Row]) {
    let page = fs::read_to_string(file).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let table = table(rows);
    let page = format!("{before}{BEGIN}{}\n\n{table}{END}{after}", machine.line());
    fs::write(file, page).unwrap();
}

fn table(rows: &[Row]) -> String {
    let mut text =
        "| | operation | median | 95 % interval | of the floor |\n|---|---|--:|--:|--:|\n"
            .to_owned();
    let floor = median_of(tokens::FLOOR, tokens::FLOOR_CHECK).point_estimate;
    let mut last = "";
    for row in rows {
        let median = median_of(row.group, row.operation);
        let Interval {
            lower_bound,
            upper_bound,
        } = median.confidence_interval;
        let group = if row.group == last { "" } else { row.group };
        last = row.group;
        writeln!(
            text,
            "| {group} | {} | {} | {} to {} | {} |",
            row.operation,
            time(median.point_estimate),
            time(lower_bound),
            time(upper_bound),
            digits(median.point_estimate / floor, 2),
        )
        .unwrap();
    }
    text
}

fn median_of(group: &str, operation: &str) -> Estimate {
    // The program is in target/release/deps.
    let program = std::env::current_exe().unwrap();
    let mut file: PathBuf = program.ancestors().nth(3).unwrap().into();
    file.extend(["criterion", group, operation, "new", "estimates.json"]);
    let text = fs::read_to_string(file).unwrap();
    serde_json::from_str::<Estimates>(&text).unwrap().median
}

fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ..1e3 => (nanoseconds, "ns"),
        ..1e6 => (nanoseconds / 1e3, "µs"),
        _ => (nanoseconds / 1e6, "ms"),
    };
    format!("{} {unit}", digits(value, 3))
}

/// With so many digits that count, or all of those before the point.
fn digits(value: f64, count: i32) -> String {
    let mut places = count - 1;
    let mut rest = value;
    while rest >= 10.0 {
        rest /= 10.0;
        places -= 1;
    }
    while rest < 1.0 && places < 6 {
        rest *= 10.0;
        places += 1;
    }
    let places = usize::try_from(places).unwrap_or(0);
    format!("{value:.places$}")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap()
}
