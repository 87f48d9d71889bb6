//! The days as a picture: how large the database is, and how long the slowest calls take.

use std::fmt::Write as _;

use crate::figures::{Figures, Line, megabytes};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;
/// From the top of one panel to that of the next.
const PANEL: f64 = HEIGHT + 80.0;

type Curve = (&'static str, &'static str, fn(&Line) -> f64);

/// An SVG with two panels over the same days.
pub(crate) fn svg(figures: &Figures) -> String {
    let room: [Curve; 3] = [
        ("all", "#1f4e79", Line::total),
        ("audit_events", "#c55a11", Line::audit),
        ("otp_requests", "#548235", |line| {
            megabytes(line.weight.bytes[0])
        }),
    ];
    let time: [Curve; 2] = [
        ("send", "#1f4e79", |line| line.send_p99.as_secs_f64() * 1e3),
        ("verify", "#c55a11", |line| {
            line.verify_p99.as_secs_f64() * 1e3
        }),
    ];
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"13\">\n",
        LEFT + WIDTH + 20.0,
        2.0 * PANEL + TOP - 20.0
    );
    text.push_str("<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
    panel(
        &mut text,
        &figures.lines,
        TOP,
        "Tables with their indexes, in MB",
        &room,
    );
    panel(
        &mut text,
        &figures.lines,
        TOP + PANEL,
        "99th percentile, in ms",
        &time,
    );
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, lines: &[Line], top: f64, title: &str, curves: &[Curve]) {
    let highest = curves
        .iter()
        .flat_map(|(_, _, of)| lines.iter().map(of))
        .fold(0.0, f64::max);
    let highest = rounded_up(highest);
    let days = f64::from(lines.last().map_or(1, |line| line.number));
    let x = |day: f64| LEFT + WIDTH * (day - 1.0) / (days - 1.0).max(1.0);
    let y = |value: f64| top + HEIGHT * (1.0 - value / highest);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{title}</text>",
        top - 12.0
    );
    for quarter in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let value = highest * quarter;
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {0:.1}h{WIDTH}\" stroke=\"#ddd\"/><text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{value}</text>",
            y(value),
            LEFT - 8.0,
            y(value) + 4.0
        );
    }
    for (index, (name, colour, of)) in (0_i32..).zip(curves) {
        let points: Vec<String> = lines
            .iter()
            .map(|line| format!("{:.1},{:.1}", x(f64::from(line.number)), y(of(line))))
            .collect();
        let _ = writeln!(
            text,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>",
            points.join(" ")
        );
        let _ = writeln!(
            text,
            "<text x=\"{:.0}\" y=\"{:.0}\" fill=\"{colour}\" text-anchor=\"end\">{name}</text>",
            LEFT + WIDTH - 110.0 * f64::from(index),
            top - 12.0
        );
    }
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"{0:.0}\">day 1</text><text x=\"{1}\" y=\"{0:.0}\" text-anchor=\"end\">day {days}</text>",
        top + HEIGHT + 20.0,
        LEFT + WIDTH
    );
}

/// The next of 1, 2, 4, 8, 10, 20, ...
fn rounded_up(value: f64) -> f64 {
    let mut power = 1.0;
    while power * 10.0 < value {
        power *= 10.0;
    }
    let steps = [1.0, 2.0, 4.0, 8.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= value)
        .unwrap_or(value)
}
