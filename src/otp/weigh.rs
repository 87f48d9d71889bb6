//! Whether an SMS that its phone's limits allow is too much for its address, for the bill, or for the
//! guard against SMS pumping: pure, without I/O.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::store::Taken;
use crate::limit::Refusal;
use crate::limit::budget::{
    self, Counter, Excess, Level, Mode, Scope, SpendPolicy, UnverifiedPolicy,
};
use crate::limit::per_address::AddressPolicy;
use crate::limit::spend::Ceilings;

/// Seconds until it is worth asking again where an operator must act first; our own figure.
const LATER: Duration = Duration::from_mins(1);

/// What holds beside the limits of a phone.
#[derive(Clone, Debug)]
pub struct GuardPolicy {
    /// Sends for one address.
    pub address: AddressPolicy,
    /// The bill.
    pub spend: SpendPolicy,
    /// SMS whose code nobody uses.
    pub unverified: UnverifiedPolicy,
}

/// Who asks for an SMS, as far as the guard cares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    /// A device, or an account, that logged in before, or a number that an operator lets through: refused
    /// last.
    pub(super) known: bool,
    /// An operator lets the number or the address through whatever nobody uses.
    pub(super) exempt: bool,
    /// An operator allows SMS to known users only.
    pub(super) emergency: bool,
    /// The client's own ceilings.
    pub(super) ceilings: &'a Ceilings,
    /// What the SMS costs, in millionths of the currency.
    pub(super) price: i64,
}

/// An SMS was not sent, for a reason that is not its phone's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnedAway {
    /// A stable name.
    pub reason: &'static str,
    /// What was spent.
    pub what: Spent,
    /// Time until the same call may pass.
    pub wait: Duration,
    /// The counter that broke its limit.
    pub excess: Option<Excess>,
}

/// What was spent, as far as callers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// A limit of the caller's address.
    Address,
    /// A budget of the whole service.
    Budget,
    /// Money, or an operator stopped all SMS.
    Money,
}

impl TurnedAway {
    /// An operator stopped all SMS.
    pub(super) fn by_operator() -> Self {
        Self {
            reason: "kill_switch",
            what: Spent::Money,
            wait: LATER,
            excess: None,
        }
    }

    fn by(what: Spent, excess: Excess) -> Self {
        Self {
            reason: excess.reason,
            what,
            wait: excess.wait,
            excess: Some(excess),
        }
    }
}

/// What came of weighing an SMS.
#[derive(Clone, Debug, Default)]
pub(super) struct Weighed {
    /// Set if it must not go.
    pub(super) turned_away: Option<TurnedAway>,
    /// Set if it goes although a budget is spent, since the guard only records.
    pub(super) recorded: Option<Excess>,
    /// Warnings that are due.
    pub(super) levels: Vec<Level>,
}

impl Weighed {
    /// Whether it could have come out better for an account than for a stranger. Only then it is worth reading whether
    /// there is one: of many users, each is somewhere else on the disk.
    pub(super) fn may_be_mended_by_account(&self) -> bool {
        self.turned_away.is_some() || self.recorded.is_some()
    }
}

impl GuardPolicy {
    /// Weighs an SMS that is counted in `taken` already.
    pub(super) fn weigh(&self, taken: &Taken, who: Who<'_>, now: DateTime<Utc>) -> Weighed {
        let mut weighed = Weighed::default();
        let address = taken.address.as_ref().filter(|_| !who.exempt);
        let refused = address.and_then(|state| self.address.refusal(state, now));
        let address = refused.map(|(reason, Refusal { wait, .. })| TurnedAway {
            reason,
            what: Spent::Address,
            wait,
            excess: None,
        });

        let mut ceiling: Option<Excess> = None;
        let mut unverified: Option<Excess> = None;
        for (scope, counter) in &taken.counters {
            if let Some(ceilings) = self.ceilings_of(scope, who) {
                let over = self.over_ceiling(scope, counter, ceilings, who, now);
                ceiling = longest(ceiling, over);
                weighed.levels.extend(budget::levels_reached(
                    (scope, counter),
                    ceilings,
                    who.price,
                ));
            } else if !who.known && !who.exempt {
                let over = budget::over_unverified(scope, counter, &self.unverified, now);
                unverified = longest(unverified, over);
            }
        }
        let recorded_only = self.unverified.mode == Mode::RecordOnly;
        weighed.recorded = unverified.clone().filter(|_| recorded_only);
        let unverified = unverified.filter(|_| !recorded_only);
        let emergency = (who.emergency && !who.known).then_some(TurnedAway {
            reason: "emergency_switch",
            what: Spent::Budget,
            wait: LATER,
            excess: None,
        });
        // A prefix's budget is not worth a warning: each is one carrier's block, and there are many.
        let of_country = |over: &&Excess| matches!(over.scope, Scope::Country(_));
        let short = unverified.as_ref().filter(of_country);
        let short = short.map(|over| over.level(now));
        let spent = ceiling.as_ref().map(|over| over.level(now));
        let ceiling = ceiling.map(|over| TurnedAway::by(Spent::Money, over));
        let unverified = unverified.map(|over| match over.scope {
            Scope::Address(_) => TurnedAway::by(Spent::Address, over),
            Scope::Client(_) | Scope::Country(_) | Scope::Prefix(_) | Scope::Service => {
                TurnedAway::by(Spent::Budget, over)
            }
        });
        weighed.turned_away = [address, ceiling, emergency, unverified]
            .into_iter()
            .flatten()
            .max_by_key(|turned_away| turned_away.wait);
        if weighed.turned_away.is_some() {
            // What it would have been counted in is as it was; but a ceiling was reached.
            weighed.levels = spent.into_iter().collect();
        }
        weighed.levels.extend(short);
        weighed
    }

    fn ceilings_of<'a>(&'a self, scope: &Scope, who: Who<'a>) -> Option<&'a Ceilings> {
        match scope {
            Scope::Service => Some(&self.spend.service),
            Scope::Client(_) => Some(who.ceilings),
            Scope::Address(_) | Scope::Country(_) | Scope::Prefix(_) => None,
        }
    }

    fn over_ceiling(
        &self,
        scope: &Scope,
        counter: &Counter,
        ceilings: &Ceilings,
        who: Who<'_>,
        now: DateTime<Utc>,
    ) -> Option<Excess> {
        let (scope, price) = ((scope, counter), (who.price, who.known));
        budget::over_ceiling(scope, ceilings, price, &self.spend, now)
    }

    /// A policy that refuses nothing.
    #[cfg(any(test, feature = "benching"))]
    pub fn off() -> Self {
        Self {
            address: AddressPolicy::default(),
            spend: SpendPolicy {
                service: Ceilings::default(),
                prices: std::collections::BTreeMap::new(),
                reserved_percent: 0,
            },
            unverified: UnverifiedPolicy {
                mode: Mode::RecordOnly,
                least: budget::Least {
                    per_day: 20,
                    per_hour: 3,
                },
                address_least: budget::Least {
                    per_day: 30,
                    per_hour: 10,
                },
                home: None,
                trust_accounts: true,
            },
        }
    }
}

fn longest(one: Option<Excess>, other: Option<Excess>) -> Option<Excess> {
    one.into_iter()
        .chain(other)
        .max_by_key(|excess| excess.wait)
}
