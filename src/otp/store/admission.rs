//! One SMS is let through by one transaction, or leaves no trace: its phone's limits, its address's and
//! everybody's budgets hold together, over all replicas.
//!
//! The rows that all sends share are taken last and held until the commit, and nothing else is waited
//! for meanwhile.

use chrono::{DateTime, Utc};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::admit::{self, NewRequest, OneMore};
use super::read::find_one;
use super::take::{Load, Taken, take};
use super::{Store, StoredRequest};
use crate::audit::{self, Event};
use crate::database::{self, StoreError};
use crate::limit::spend::Ceilings;
use crate::otp::Policy;
use crate::otp::phone_state::{By, PhoneState};
use crate::otp::weigh::{Weighed, Who};

/// Who asks for an SMS, and what it is counted in.
pub(in crate::otp) struct Asked {
    pub(in crate::otp) by: By,
    /// `None` for a test number, to which no SMS is sent.
    pub(in crate::otp) load: Option<Load>,
    /// An operator lets the number or the address through.
    pub(in crate::otp) allowed: bool,
    /// An operator allows SMS to known users only.
    pub(in crate::otp) emergency: bool,
    /// The client's own ceilings.
    pub(in crate::otp) ceilings: Ceilings,
    /// What is written to the audit log with it.
    pub(in crate::otp) event: Event,
    /// That event's id.
    pub(in crate::otp) event_id: Uuid,
}

/// What came of asking to send a new code.
pub(in crate::otp) enum Admission {
    /// It is stored and may be sent; the phone with this send in it.
    Admitted(PhoneState, Weighed),
    /// Somebody else had begun this very request.
    Begun,
    /// The phone's limits do not allow it.
    Refused(PhoneState),
    /// Something else does not.
    TurnedAway(Weighed),
}

/// What came of asking to send a code again.
pub(in crate::otp) enum Again {
    /// It may be sent; the request as it was before.
    Admitted(Box<StoredRequest>, Weighed),
    /// The phone's limits do not allow it, or the request is over or has been sent again by this very
    /// operation.
    Refused(Box<StoredRequest>),
    /// Something else does not allow it.
    TurnedAway(Weighed),
    /// There is no such request.
    Gone,
}

impl Asked {
    /// The limits to try, in turn: an allowance is for whom the phone's own limits refuse.
    fn ways(&self) -> &'static [By] {
        match self.by {
            By::Anybody => &[By::Anybody],
            By::KnownDevice => &[By::Anybody, By::KnownDevice],
            By::TestNumber => &[By::TestNumber],
        }
    }

    /// Takes all but the phone's limits, and ends the transaction: it is carried out with its audit
    /// event, or undone if it is turned away.
    async fn end(
        &self,
        mut transaction: Transaction<'_, Postgres>,
        account: bool,
        policy: &Policy,
        now: DateTime<Utc>,
    ) -> Result<Weighed, StoreError> {
        let weighed = self.weigh(&mut transaction, account, policy, now).await?;
        if weighed.turned_away.is_some() {
            transaction.rollback().await?;
        } else {
            audit::store::insert(&mut *transaction, self.event_id, now, &self.event).await?;
            transaction.commit().await?;
        }
        Ok(weighed)
    }

    async fn weigh(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        account: bool,
        policy: &Policy,
        now: DateTime<Utc>,
    ) -> Result<Weighed, StoreError> {
        let Some(load) = &self.load else {
            return Ok(Weighed::default());
        };
        let guard = &policy.guard;
        let taken = take(transaction, load, &guard.address, now).await?;
        Ok(self.judge(&taken, (load.price, account), policy, now))
    }

    /// Weighs an SMS of this price that is counted in `taken` already.
    pub(super) fn judge(
        &self,
        taken: &Taken,
        (price, account): (i64, bool),
        policy: &Policy,
        now: DateTime<Utc>,
    ) -> Weighed {
        let guard = &policy.guard;
        let account = account && guard.unverified.trust_accounts;
        let who = Who {
            known: account || self.by == By::KnownDevice || self.allowed,
            exempt: self.allowed,
            emergency: self.emergency,
            ceilings: &self.ceilings,
            price,
        };
        guard.weigh(taken, who, now)
    }
}

impl Store {
    /// Takes the limits and stores the request, or does nothing.
    pub(in crate::otp) async fn admit(
        &self,
        new: &NewRequest,
        asked: &Asked,
        policy: &Policy,
    ) -> Result<Admission, StoreError> {
        let mut transaction = database::begin(&self.pool).await?;
        for by in asked.ways() {
            let begun =
                admit::begin(&mut transaction, new, (*by, asked.load.as_ref()), policy).await?;
            let Some((phone, account)) = begun else {
                continue;
            };
            let weighed = asked.end(transaction, account, policy, new.now).await?;
            return Ok(if weighed.turned_away.is_some() {
                Admission::TurnedAway(weighed)
            } else {
                Admission::Admitted(phone, weighed)
            });
        }
        let (begun, phone) = admit::look(&mut transaction, new.phone, new.id).await?;
        transaction.rollback().await?;
        Ok(if begun {
            Admission::Begun
        } else {
            Admission::Refused(phone)
        })
    }

    /// Takes the limits for one more SMS of a request, or does nothing.
    pub(in crate::otp) async fn admit_again(
        &self,
        more: &OneMore<'_>,
        asked: &Asked,
        policy: &Policy,
    ) -> Result<Again, StoreError> {
        let mut transaction = database::begin(&self.pool).await?;
        for by in asked.ways() {
            let begun = admit::begin_again(&mut transaction, more, *by, policy).await?;
            let Some((stored, account)) = begun else {
                continue;
            };
            let weighed = asked.end(transaction, account, policy, more.now).await?;
            return Ok(if weighed.turned_away.is_some() {
                Again::TurnedAway(weighed)
            } else {
                Again::Admitted(Box::new(stored), weighed)
            });
        }
        let stored = find_one(&mut *transaction, more.request).await?;
        transaction.rollback().await?;
        Ok(stored.map_or(Again::Gone, |stored| Again::Refused(Box::new(stored))))
    }
}
