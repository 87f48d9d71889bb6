//! Letting many SMS through by one transaction: what `admission.rs` does for one, for all that come at the same
//! time, so that the rows that all of them change are locked for one commit.
//!
//! It lets through whom nothing stands in the way of. Whoever it does not let through is left as he was and goes his
//! own way ([`Admitted::Alone`]): somebody else has his phone, or a limit refuses him, and to say which is the
//! business of the statements for one.
//!
//! Rows are locked in the order phones, addresses, counters, each by their keys, as the statement for one does
//! (`take.rs`): nobody waits for another one who waits for him. The counters come last, since all want the same ones.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sqlx::{Connection as _, PgPool};
use uuid::Uuid;

use super::admission::Asked;
use super::admit::NewRequest;
use super::statements::{self, Passed};
use super::take::{Load, Taken};
use crate::database::StoreError;
use crate::limit::budget::Starts;
use crate::otp::Policy;
use crate::otp::phone_state::PhoneState;
use crate::otp::weigh::Weighed;
use crate::seats::kept::Kept;
use crate::seats::shared::Errand;
use crate::secrets::PhoneIndex;

/// One of those who ask for a code at the same time, with whom the limits of his phone are those of anybody.
pub(in crate::otp) struct Asking {
    pub(in crate::otp) new: NewRequest,
    pub(in crate::otp) asked: Asked,
}

/// What came of it.
pub(in crate::otp) enum Admitted {
    /// It is stored and may be sent; the phone with this send in it.
    Together(Box<(PhoneState, Weighed)>),
    /// Nothing was done.
    Alone,
}

/// Lets them through.
pub(in crate::otp) struct Admissions {
    connection: Kept,
    policy: Policy,
}

/// Those who may be let through, by the request that they ask for.
type Through = BTreeMap<Uuid, (PhoneState, Weighed)>;

/// An SMS that is about to be counted.
#[derive(Clone, Copy)]
pub(super) struct One<'a> {
    pub(super) new: &'a NewRequest,
    pub(super) asked: &'a Asked,
    pub(super) load: &'a Load,
}

impl Errand for Admissions {
    type Item = Arc<Asking>;
    type Done = Result<Admitted, StoreError>;

    fn alone(asking: &Arc<Asking>) -> Vec<Vec<u8>> {
        let Asking { new, asked } = asking.as_ref();
        let address = asked.load.as_ref().and_then(|load| load.address.as_ref());
        let address = address.map(|(key, _)| key.as_bytes().to_vec());
        let own = [new.phone.as_bytes().to_vec(), new.id.0.as_bytes().to_vec()];
        own.into_iter().chain(address).collect()
    }

    /// All are counted in the same hour.
    fn goes_with(first: &Arc<Asking>, other: &Arc<Asking>) -> bool {
        Starts::of(first.new.now) == Starts::of(other.new.now)
    }

    async fn carry_out(&self, all: Vec<Arc<Asking>>) -> Vec<Self::Done> {
        match self.admit(&all).await {
            Ok(mut through) => {
                let of = |asking: &Arc<Asking>| match through.remove(&asking.new.id.0) {
                    Some(through) => Ok(Admitted::Together(Box::new(through))),
                    None => Ok(Admitted::Alone),
                };
                all.iter().map(of).collect()
            }
            Err(error) => StoreError::of_all(error, all.len()),
        }
    }

    fn rest(&self) {
        self.connection.give_back();
    }
}

impl Admissions {
    /// Held against these rules.
    pub(in crate::otp) fn new(pool: PgPool, policy: Policy) -> Self {
        Self {
            connection: Kept::new(pool),
            policy,
        }
    }

    async fn admit(&self, all: &[Arc<Asking>]) -> Result<Through, StoreError> {
        let counted = all.iter().filter_map(|asking| {
            let Asking { new, asked } = asking.as_ref();
            let load = asked.load.as_ref()?;
            Some(One { new, asked, load })
        });
        let mut asking: Vec<One<'_>> = counted.collect();
        // The second time without those who were turned away the first time: without them, and held back by them no
        // longer, the others pass, unless another replica spends the same budget just then.
        for _ in 0..2 {
            if asking.is_empty() {
                break;
            }
            let mut connection = self.connection.take().await?;
            let mut transaction = connection.begin().await?;
            let passed = statements::pass(&mut transaction, &asking, &self.policy).await?;
            let mut weighed = self.weigh(&asking, &passed, &HashSet::new());
            let trusts = self.policy.guard.unverified.trust_accounts;
            if trusts && weighed.values().any(Weighed::may_be_mended_by_account) {
                let accounts = statements::accounts(&mut transaction, &asking).await?;
                weighed = self.weigh(&asking, &passed, &accounts);
            }
            let through = passed.begun.into_iter();
            let through = through.filter_map(|(id, (phone, _))| {
                let weighed = weighed.remove(&id)?;
                Some((id, (phone, weighed)))
            });
            let through: Through = through.collect();
            asking.retain(|one| {
                let weighed = through.get(&one.new.id.0);
                weighed.is_some_and(|(_, weighed)| weighed.turned_away.is_none())
            });
            if asking.is_empty() || asking.len() < through.len() {
                transaction.rollback().await?;
                self.connection.keep(connection);
                continue;
            }
            transaction.commit().await?;
            self.connection.keep(connection);
            for One { new, asked, .. } in asking {
                asked.event.log(Some(asked.event_id), new.now);
            }
            return Ok(through);
        }
        Ok(Through::new())
    }

    /// Weighs each as if they had come one after the other. The rows have all of them in them, so the last one is
    /// weighed first, and then taken out.
    fn weigh(
        &self,
        asking: &[One<'_>],
        passed: &Passed,
        accounts: &HashSet<PhoneIndex>,
    ) -> BTreeMap<Uuid, Weighed> {
        let mut counters = passed.counters.clone();
        let mut all = BTreeMap::new();
        for One { new, asked, load } in asking.iter().rev() {
            let Some((_, address)) = passed.begun.get(&new.id.0) else {
                continue;
            };
            let mut taken = Taken {
                address: address.clone(),
                ..Taken::default()
            };
            for scope in &load.scopes {
                if let Some(counter) = counters.get_mut(&scope.name()) {
                    taken.counters.push((scope.clone(), counter.clone()));
                    counter.take_out(load.price);
                }
            }
            let what = (load.price, accounts.contains(&new.phone));
            all.insert(new.id.0, asked.judge(&taken, what, &self.policy, new.now));
        }
        all
    }
}
