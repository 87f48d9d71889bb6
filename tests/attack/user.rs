//! Honest users: they ask for a code and type it, some of them clumsily, some never.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use crate::Failure;
use crate::api::Answer;
use crate::world::World;

/// What became of the logins of one kind of users.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    tried: u64,
    signed_in: u64,
    refused: BTreeMap<String, u64>,
    receipts: HashMap<String, String>,
}

impl Tally {
    /// Logins that were begun.
    pub(crate) fn tried(&self) -> u64 {
        self.lock().tried
    }

    /// Logins that came to their end.
    pub(crate) fn signed_in(&self) -> u64 {
        self.lock().signed_in
    }

    /// Calls that were refused though nobody made a mistake. It ends the login, so there is one a login.
    pub(crate) fn refused(&self) -> u64 {
        self.lock().refused.values().sum()
    }

    /// By what they were refused.
    pub(crate) fn reasons(&self) -> String {
        let counts = self.lock();
        let each = counts.refused.iter().map(|(why, n)| format!("{n} x {why}"));
        each.collect::<Vec<_>>().join(", ")
    }

    /// What the device of a phone was given when it logged in last.
    pub(crate) fn receipt(&self, phone: &str) -> Option<String> {
        self.lock().receipts.get(phone).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a user does.
#[derive(Clone, Copy)]
pub(crate) struct Habits {
    /// Seconds after which the user asks for the same code again; 0 = never.
    pub(crate) resends_after: i64,
    /// Seconds until the user has the code and types it; `None` = never.
    pub(crate) types_after: Option<i64>,
    /// Whether the first try is wrong.
    pub(crate) mistypes: bool,
}

impl Habits {
    /// Types the code as soon as it is there.
    pub(crate) fn prompt(rng: &mut fastrand::Rng) -> Self {
        Self {
            resends_after: 0,
            types_after: Some(rng.i64(5..25)),
            mistypes: false,
        }
    }

    /// Of a crowd 85 % type the code, 5 % mistype it once, and 8 % ask for it again.
    pub(crate) fn of_a_crowd(rng: &mut fastrand::Rng) -> Self {
        let percent = |rng: &mut fastrand::Rng, percent| rng.u32(0..100) < percent;
        Self {
            resends_after: if percent(rng, 8) { rng.i64(30..=60) } else { 0 },
            types_after: percent(rng, 85).then(|| rng.i64(5..25)),
            mistypes: percent(rng, 5),
        }
    }
}

/// One login of a user.
pub(crate) struct Login<'a> {
    world: &'a World,
    tally: &'a Tally,
    phone: String,
    address: Ipv4Addr,
    habits: Habits,
    receipt: bool,
    stage: Stage,
}

enum Stage {
    Ask,
    Resend(String),
    Type(String),
}

impl<'a> Login<'a> {
    pub(crate) fn new(
        (world, tally): (&'a World, &'a Tally),
        phone: &str,
        address: Ipv4Addr,
        habits: Habits,
    ) -> Self {
        Self {
            world,
            tally,
            phone: phone.to_owned(),
            address,
            habits,
            receipt: false,
            stage: Stage::Ask,
        }
    }

    /// The device shows what it was given at its last login.
    pub(crate) fn with_receipt(mut self) -> Self {
        self.receipt = true;
        self
    }

    /// Does the next step, and says in how many seconds the one after it is due.
    pub(crate) async fn step(mut self) -> Result<Option<(i64, Self)>, Failure> {
        let receipt = self.receipt.then(|| self.tally.receipt(&self.phone));
        let receipt = receipt.flatten();
        let receipt = receipt.as_deref();
        let api = &self.world.api;
        let answer = match &self.stage {
            Stage::Ask => {
                self.tally.lock().tried += 1;
                api.send(self.address, &self.phone, receipt).await?
            }
            Stage::Resend(request) => api.resend(self.address, request, receipt).await?,
            Stage::Type(request) => return self.type_code(request, receipt).await.map(|()| None),
        };
        if answer.status >= 300 {
            self.refused(&answer);
            return Ok(None);
        }
        let request = answer.text("request_id").ok_or("a send has no id")?;
        let asked_once = matches!(self.stage, Stage::Ask);
        if asked_once && self.habits.resends_after > 0 {
            self.stage = Stage::Resend(request);
            return Ok(Some((self.habits.resends_after, self)));
        }
        let Some(seconds) = self.habits.types_after else {
            return Ok(None);
        };
        self.stage = Stage::Type(request);
        Ok(Some((seconds, self)))
    }

    async fn type_code(&self, request: &str, receipt: Option<&str>) -> Result<(), Failure> {
        let code = self.world.inbox.code(&self.phone).ok_or("no SMS came")?;
        let api = &self.world.api;
        if self.habits.mistypes {
            let wrong = wrong(&code);
            let answer = api.verify(self.address, (request, &wrong), receipt).await?;
            if answer.status != 401 {
                self.refused(&answer);
                return Ok(());
            }
        }
        let answer = api.verify(self.address, (request, &code), receipt).await?;
        if answer.status != 200 {
            self.refused(&answer);
            return Ok(());
        }
        let receipt = answer.text("device_receipt").ok_or("no receipt came")?;
        let mut counts = self.tally.lock();
        counts.signed_in += 1;
        counts.receipts.insert(self.phone.clone(), receipt);
        Ok(())
    }

    fn refused(&self, answer: &Answer) {
        let stage = match self.stage {
            Stage::Ask => "send",
            Stage::Resend(_) => "resend",
            Stage::Type(_) => "verify",
        };
        let why = format!("{stage}: {}", answer.name());
        *self.tally.lock().refused.entry(why).or_default() += 1;
    }
}

/// A code of six digits that is not this one.
pub(crate) fn wrong(code: &str) -> String {
    let mut digits = code.to_owned();
    let last = digits.pop();
    digits.push(if last == Some('0') { '1' } else { '0' });
    digits
}
