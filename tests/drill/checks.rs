//! What must not have happened, found in the sandbox's record, the database and what the callers saw.

use std::collections::HashMap;

use otp_auth::phone::PhoneNumber;
use otp_auth::sandbox::Message;
use otp_auth::secrets::Keyring;
use secrecy::SecretBox;

use crate::Failure;
use crate::login::Record;
use crate::sql::Questions;

/// A count that must be zero.
pub(crate) struct Zero {
    pub(crate) what: &'static str,
    pub(crate) count: u64,
    /// The phones or reasons it is made of, some of them.
    pub(crate) examples: Vec<String>,
}

/// How many examples are shown.
const EXAMPLES: usize = 5;

impl Zero {
    pub(crate) fn of(what: &'static str, found: impl IntoIterator<Item = (u64, String)>) -> Self {
        let found: Vec<_> = found.into_iter().filter(|(count, _)| *count > 0).collect();
        Self {
            what,
            count: found.iter().map(|(count, _)| count).sum(),
            examples: found
                .into_iter()
                .map(|(_, which)| which)
                .take(EXAMPLES)
                .collect(),
        }
    }
}

/// What the callers and the sandbox know of each login.
pub(crate) fn of_logins(records: &[Record], sms: &HashMap<String, Vec<Message>>) -> Vec<Zero> {
    let sms_of = |record: &Record| sms.get(&record.phone).map_or(0, Vec::len);
    let each = |count: &dyn Fn(&Record) -> usize| -> Vec<(u64, String)> {
        let count = |record| u64::try_from(count(record)).unwrap_or(u64::MAX);
        records
            .iter()
            .map(|r| (count(r), r.phone.clone()))
            .collect()
    };
    let refused = |record: &Record| -> (u64, String) {
        let why = record.right_refused.first().map_or("", String::as_str);
        (
            u64::from(has_dead_code(record, sms_of(record))),
            format!("{} {why}", record.phone),
        )
    };
    vec![
        Zero::of(
            "duplicate SMS (more than were asked for)",
            each(&|record| sms_of(record).saturating_sub(asked_for(record))),
        ),
        Zero::of(
            "SMS sent twice under one Idempotency-Key",
            each(&|record| beyond_one_per_key(record, sms_of(record))),
        ),
        Zero::of(
            "codes that arrived and can never verify",
            records.iter().map(refused),
        ),
        Zero::of(
            "logins with two sessions in their answers",
            each(&|record| record.sessions.len().saturating_sub(1)),
        ),
        Zero::of(
            "verifies whose repeat brought another body",
            each(&|record| usize::try_from(record.changed).unwrap_or(usize::MAX)),
        ),
        Zero::of(
            "wrong codes taken",
            each(&|record| usize::try_from(record.wrong_taken).unwrap_or(usize::MAX)),
        ),
        Zero::of(
            "logins that did not end",
            records.iter().map(|record| {
                let reason = record.gave_up.as_deref();
                (
                    u64::from(reason.is_some()),
                    format!("{} {}", record.phone, reason.unwrap_or_default()),
                )
            }),
        ),
    ]
}

/// Here the service checks the codes, and nobody types as many wrong ones as it allows.
pub(crate) fn of_spent(records: &[Record]) -> Zero {
    let each = |record: &Record| (u64::from(record.spent), record.phone.clone());
    Zero::of(
        "right codes refused for spent tries",
        records.iter().map(each),
    )
}

/// What the database knows.
pub(crate) async fn of_database(
    questions: &mut Questions,
    master_key: [u8; 32],
    records: &[Record],
    sms: &HashMap<String, Vec<Message>>,
    spent: u64,
) -> Result<Vec<Zero>, Failure> {
    let keyring = Keyring::derive(&SecretBox::new(Box::new(master_key)))?;
    let (counted, sessions) = (
        questions.sends_counted().await?,
        questions.sessions().await?,
    );
    let (mut lost, mut minted) = (Vec::new(), Vec::new());
    for phone in records.iter().map(|record| &record.phone) {
        let index = keyring.phone_index(&PhoneNumber::from_stored_e164(phone)?);
        let of_phone =
            |counts: &HashMap<Vec<u8>, u64>| counts.get(index.as_bytes()).copied().unwrap_or(0);
        let sms = u64::try_from(sms.get(phone).map_or(0, Vec::len))?;
        lost.push((u64::from(of_phone(&counted) < sms), phone.clone()));
        minted.push((of_phone(&sessions).saturating_sub(1), phone.clone()));
    }
    let stuck = |count| [(count, String::new())];
    Ok(vec![
        Zero::of("tokens minted twice (sessions beyond one a phone)", minted),
        Zero::of(
            "requests stuck: queued, and their lease is over",
            stuck(questions.stuck_requests().await?),
        ),
        Zero::of(
            "keys stuck: no answer, and their lease is over",
            stuck(questions.stuck_keys().await?.saturating_sub(spent)),
        ),
        Zero::of("phones whose counter lost an SMS", lost),
    ])
}

/// How many SMS the user or their backend asked for on purpose.
fn asked_for(record: &Record) -> usize {
    record
        .actions
        .iter()
        .filter(|action| action.sends())
        .count()
}

/// SMS that came beyond the first of each action, counted from one action to the next.
fn beyond_one_per_key(record: &Record, sms_in_all: usize) -> usize {
    let starts = record.actions.iter().filter(|action| action.sends());
    let starts: Vec<usize> = starts.map(|action| action.sms_before).collect();
    let ends = starts.iter().skip(1).chain([&sms_in_all]);
    let came = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| end.saturating_sub(*start));
    came.map(|came| came.saturating_sub(1)).sum()
}

/// Whether the phone showed a code that was the newest, was not superseded and had its life and tries
/// left, and yet did not sign its owner in.
fn has_dead_code(record: &Record, sms_in_all: usize) -> bool {
    if !record.right_refused.is_empty() {
        return true;
    }
    let newest = record
        .actions
        .iter()
        .rev()
        .find(|action| action.is_new_code());
    !record.signed_in && newest.is_some_and(|action| sms_in_all > action.sms_before)
}
