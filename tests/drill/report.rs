//! What came out of a drill, for people.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use otp_auth::sandbox::Message;

use crate::checks::Zero;
use crate::login::{Action, Record};
use crate::plan::Done;
use crate::say;
use crate::world::World;

/// One figure.
pub(crate) fn line(what: &str, figure: impl Display) {
    say(&format!("{what:<32}{figure}"));
}

/// Tells what must be zero, and whether it all is.
pub(crate) fn judge(zeros: &[Zero]) -> bool {
    say("");
    for zero in zeros {
        let examples = zero.examples.join("; ");
        say(&format!("{:<52} {:>5}   {examples}", zero.what, zero.count));
    }
    let all_is_well = zeros.iter().all(|zero| zero.count == 0);
    verdict(all_is_well);
    all_is_well
}

/// The last line.
pub(crate) fn verdict(all_is_well: bool) {
    say(if all_is_well {
        "all is well"
    } else {
        "FAILED: what should be zero is not"
    });
}

/// What was done to the service and what it did.
pub(crate) fn figures(
    world: &World,
    records: &[Record],
    done: &Done,
    sms: &HashMap<String, Vec<Message>>,
) {
    let logins = |is: fn(&Record) -> bool| records.iter().filter(|record| is(record)).count();
    let actions = |is: fn(&Action) -> bool| {
        let all = records.iter().flat_map(|record| &record.actions);
        all.filter(|action| is(action)).count()
    };
    let new_codes = actions(Action::is_new_code);
    let for_nothing = records.iter().map(|record| record.confirmed_for_nothing);
    line("logins", records.len());
    line("signed in", logins(|record| record.signed_in));
    line("gave up", logins(|record| record.gave_up.is_some()));
    line("SMS", sms.values().map(Vec::len).sum::<usize>());
    line("explicit sends", new_codes);
    line("explicit resends", actions(Action::sends) - new_codes);
    line("confirmed, but no SMS came", for_nothing.sum::<u32>());
    let spent = records.iter().map(|record| record.spent).sum::<u32>();
    line("provider's tries spent", spent);
    line("replicas killed", done.kills);
    line("PostgreSQL restarts", done.restarts);
    line(
        "sends the sandbox was asked for",
        world.sandbox.requests().send,
    );
    line("verifies it was asked for", world.sandbox.requests().verify);
    line("faults", done.fired.values().sum::<u32>());
    line("  of them", list(&done.fired));
    line("proxy resets", world.proxy.cuts().values().sum::<u64>());
    line("  of them", list(&world.proxy.cuts()));
    line("answers", list(&world.api.answers()));
}

fn list<K: Display, V: Display>(counts: &BTreeMap<K, V>) -> String {
    let each: Vec<String> = counts.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    each.join(", ")
}
