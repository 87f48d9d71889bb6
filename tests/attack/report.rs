//! What came out, for people.

use std::fmt::Display;

use crate::say;
use crate::user::Tally;
use crate::world::World;

/// Price of an SMS at `StartMessaging` in hundredths of a rupee.
const PRICE_PAISE: u64 = 25;

/// Something that must hold.
struct Must {
    what: String,
    found: String,
    wanted: String,
    holds: bool,
}

/// The figures of one scenario.
pub(crate) struct Report {
    pub(crate) name: String,
    calls: u64,
    sms: u64,
    /// SMS that the attacker caused.
    caused: u64,
    honest: (u64, u64),
    figures: Vec<String>,
    musts: Vec<Must>,
    pub(crate) seconds: u64,
}

impl Report {
    /// Counts what all scenarios count. `caused` is how many SMS the attacker caused.
    pub(crate) fn new(name: &str, world: &World, caused: u64, honest: &[&Tally]) -> Self {
        world.inbox.read();
        let sms = world.inbox.count("");
        let sum = |of: fn(&Tally) -> u64| honest.iter().map(|tally| of(tally)).sum();
        let mut report = Self {
            name: name.to_owned(),
            calls: world.api.calls(),
            sms,
            caused,
            honest: (sum(Tally::tried), sum(Tally::refused)),
            figures: Vec::new(),
            musts: Vec::new(),
            seconds: 0,
        };
        report.equal("SMS for each accepted send", sms, world.api.accepted());
        report
    }

    /// A figure of its own.
    pub(crate) fn figure(&mut self, what: &str, value: impl Display) {
        self.figures.push(format!("{what} {value}"));
    }

    /// By what honest users were refused, if they were.
    pub(crate) fn reasons(&mut self, of: &Tally) {
        if of.refused() > 0 {
            self.figure("by", of.reasons());
        }
    }

    /// What must be nothing.
    pub(crate) fn zero(&mut self, what: &str, count: u64) {
        self.equal(what, count, 0);
    }

    /// What must be exactly so.
    pub(crate) fn equal(&mut self, what: &str, found: u64, wanted: u64) {
        self.must(what, found, wanted.to_string(), found == wanted);
    }

    /// What must not be more.
    pub(crate) fn at_most(&mut self, what: &str, found: u64, most: u64) {
        self.must(what, found, format!("at most {most}"), found <= most);
    }

    fn must(&mut self, what: &str, found: u64, wanted: String, holds: bool) {
        self.musts.push(Must {
            what: what.to_owned(),
            found: found.to_string(),
            wanted,
            holds,
        });
    }

    /// Tells what must hold, and whether all of it does.
    pub(crate) fn judge(&self) -> bool {
        for must in &self.musts {
            let verdict = if must.holds { "ok" } else { "FAILED" };
            let (what, found, wanted) = (&must.what, &must.found, &must.wanted);
            say(&format!(
                "  {what:<58} {found:>7}  must be {wanted:<14} {verdict}"
            ));
        }
        for figure in &self.figures {
            say(&format!("  {figure}"));
        }
        self.musts.iter().all(|must| must.holds)
    }

    /// One row of the table.
    fn row(&self) -> String {
        let paise = self.caused * PRICE_PAISE;
        let rupees = format!("{}.{:02}", paise / 100, paise % 100);
        let (tried, refused) = self.honest;
        let (name, calls, sms, seconds) = (&self.name, self.calls, self.sms, self.seconds);
        let figures = self.figures.join("; ");
        format!(
            "| {name} | {calls} | {sms} | {rupees} | {tried} | {refused} | {figures} | {seconds} |"
        )
    }
}

/// The table of all scenarios, in Markdown.
pub(crate) fn table(reports: &[Report]) {
    say("");
    say(
        "| scenario | calls | SMS | INR lost | honest logins | of them refused | figures | seconds |",
    );
    say("|---|---|---|---|---|---|---|---|");
    for report in reports {
        say(&report.row());
    }
    say("");
}
