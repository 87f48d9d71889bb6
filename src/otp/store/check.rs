//! Trying a code that only the provider can check: the try is counted before it is asked, so that
//! neither a crash nor parallel calls get one for free.
//!
//! The provider takes a right code once: it says yes, and from then on "used before". If its yes is
//! lost, only we can know whose it was. So there is at most one code whose answer is missing, and it is
//! remembered: asked about again it costs no further try ([`Reserved::repeats`]), and "used before"
//! means that it was right. Before another code is asked about, that one is asked about again
//! ([`Reserved::earlier`]), so that there never are two.
//!
//! How a try counts and when it locks is written here once more than in `sign_in/store/`, since a
//! checked query must be one literal; the suite of `tests/api/vendors.rs` holds both to one rule.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Store, StoredRequest};
use crate::audit::Action;
use crate::database::StoreError;
use crate::otp::Policy;
use crate::otp::phone_state::By;

/// A code about to be asked about.
#[derive(Clone, Copy)]
pub(in crate::otp) struct Check<'a> {
    pub(in crate::otp) request: &'a StoredRequest,
    /// Who asks.
    pub(in crate::otp) id: Uuid,
    /// Keyed hash of the code, bound to the request.
    pub(in crate::otp) tag: &'a [u8],
    /// The code, sealed and bound to its hash.
    pub(in crate::otp) sealed: &'a [u8],
    pub(in crate::otp) now: DateTime<Utc>,
}

/// A try that was counted.
pub(in crate::otp) struct Reserved {
    /// Whether this is the code whose earlier answer is missing; it was not counted again.
    pub(in crate::otp) repeats: bool,
    /// Wrong codes counted for the request, this one included.
    pub(in crate::otp) attempts: i32,
    /// Whether no further code may be tried unless this one is right.
    pub(in crate::otp) locked: bool,
    /// What a wrong code brings its phone. A device that used up its own allowance locks nobody else out.
    pub(in crate::otp) brought: Option<Action>,
    /// Whether it was counted against the allowance of known devices.
    pub(in crate::otp) known: bool,
    /// Another code whose answer is missing: its hash and the code, sealed.
    pub(in crate::otp) earlier: Option<(Vec<u8>, Vec<u8>)>,
}

/// What a wrong code brings a phone that is locked, or even stopped, after it; a known device's brings none.
pub(crate) fn brought((locked, stopped): (bool, bool), known: bool) -> Option<Action> {
    let action = if stopped {
        Action::PhoneStop
    } else {
        Action::PhoneLock
    };
    (locked && !known).then_some(action)
}

impl Store {
    /// Counts the try as a wrong one and takes the request's lease; `None` if somebody else has it,
    /// the request is not live, or its tries or the phone's are spent. A known device's allowance is looked
    /// at only where the phone's own tries are spent.
    pub(in crate::otp) async fn reserve(
        &self,
        check: Check<'_>,
        by: By,
        policy: &Policy,
    ) -> Result<Option<Reserved>, StoreError> {
        let reserved = self.reserve_as(check, false, policy).await?;
        if reserved.is_none() && by == By::KnownDevice {
            return self.reserve_as(check, true, policy).await;
        }
        Ok(reserved)
    }

    async fn reserve_as(
        &self,
        check: Check<'_>,
        known: bool,
        policy: &Policy,
    ) -> Result<Option<Reserved>, StoreError> {
        let row = sqlx::query!(
            r#"
            UPDATE phone_throttles AS p SET
                check_id = $3, check_until = $5,
                (check_tag, check_sealed, live_attempts, failure_log, failures_in_row,
                 known_failure_log, known_failures_in_row, locks, locked_until) = (
                    SELECT coalesce(p.check_tag, $4), coalesce(p.check_sealed, $11),
                        CASE WHEN again THEN p.live_attempts ELSE p.live_attempts + 1 END,
                        CASE WHEN again OR $12 THEN p.failure_log
                             ELSE recent || $6::timestamptz END,
                        CASE WHEN again OR $12 THEN p.failures_in_row
                             ELSE p.failures_in_row + 1 END,
                        CASE WHEN again OR NOT $12 THEN p.known_failure_log
                             ELSE known_recent || $6 END,
                        CASE WHEN again OR NOT $12 THEN p.known_failures_in_row
                             ELSE p.known_failures_in_row + 1 END,
                        CASE WHEN full_up AND NOT again THEN p.locks + 1 ELSE p.locks END,
                        CASE WHEN full_up AND NOT again THEN $6 + least($9::bigint,
                                $8::bigint * (1::bigint << least(p.locks, 20)))
                                * interval '1 second'
                             ELSE p.locked_until END
                    FROM (SELECT recent, known_recent,
                            cardinality(recent) + 1 >= $7::int AND NOT $12 AS full_up,
                            coalesce(p.check_tag = $4, false) AS again
                        FROM (SELECT ARRAY(SELECT f FROM unnest(p.failure_log) AS f
                                WHERE f > $6 - interval '24 hours' ORDER BY f) AS recent,
                            ARRAY(SELECT f FROM unnest(p.known_failure_log) AS f
                                WHERE f > $6 - interval '24 hours' ORDER BY f) AS known_recent
                        ) AS log) AS decision)
            WHERE p.phone_index = $1 AND p.live_request_id = $2
                AND (p.check_until IS NULL OR p.check_until <= $6)
                AND (p.check_tag = $4 OR (p.live_attempts < $10
                    AND CASE WHEN $12::bool THEN p.known_failures_in_row < $13
                            AND $14::int > (SELECT count(*) FROM unnest(p.known_failure_log) AS f
                                WHERE f > $6 - interval '24 hours')
                        ELSE p.failures_in_row < $13
                            AND (p.locked_until IS NULL OR p.locked_until <= $6) END))
            RETURNING p.live_attempts AS attempts,
                CASE WHEN $12 THEN cardinality(p.known_failure_log) >= $14
                        OR p.known_failures_in_row >= $13
                    ELSE coalesce(p.locked_until > $6, false) OR p.failures_in_row >= $13
                    END AS "locked!",
                p.failures_in_row >= $13 AS "stopped!",
                p.check_tag AS "tag!", p.check_sealed AS "sealed!"
            "#,
            check.request.phone.as_bytes(),
            check.request.id.0,
            check.id,
            check.tag,
            check.now + policy.lease,
            check.now,
            policy.failures.per_day,
            policy.failures.lock_seconds(),
            policy.failures.lock_max_seconds(),
            policy.max_attempts,
            check.sealed,
            known,
            policy.failures.in_row,
            policy.device.failures_per_day,
        )
        .fetch_optional(&self.pool)
        .await?;
        // No two seals of one code are alike: what is remembered is this one of now, or an older one.
        Ok(row.map(|row| Reserved {
            repeats: row.tag == check.tag && row.sealed != check.sealed,
            attempts: row.attempts,
            locked: row.locked,
            brought: brought((row.locked, row.stopped), known),
            known,
            earlier: (row.tag != check.tag).then_some((row.tag, row.sealed)),
        }))
    }

    /// Remembers this code in place of the earlier one, whose answer has come.
    pub(in crate::otp) async fn remember(&self, check: Check<'_>) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE phone_throttles SET check_tag = $3, check_sealed = $4
             WHERE phone_index = $1 AND check_id = $2",
            check.request.phone.as_bytes(),
            check.id,
            check.tag,
            check.sealed,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets go of the lease. `answered` says that the provider had its say on this code, so that
    /// nothing about it is missing any more: a "used before" that is not its own never becomes so by
    /// trying again.
    pub(in crate::otp) async fn release(
        &self,
        check: Check<'_>,
        answered: bool,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE phone_throttles SET check_until = NULL,
                 check_tag = CASE WHEN $3 AND check_tag = $4 THEN NULL ELSE check_tag END,
                 check_sealed = CASE WHEN $3 AND check_tag = $4 THEN NULL ELSE check_sealed END
             WHERE phone_index = $1 AND check_id = $2",
            check.request.phone.as_bytes(),
            check.id,
            answered,
            check.tag,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets go of the lease and gives the try back: the provider was certainly not asked.
    pub(in crate::otp) async fn give_back(
        &self,
        check: Check<'_>,
        reserved: &Reserved,
    ) -> Result<(), StoreError> {
        if reserved.repeats {
            return self.release(check, false).await;
        }
        sqlx::query!(
            "UPDATE phone_throttles SET check_until = NULL,
                 check_tag = CASE WHEN check_tag = $3 THEN NULL ELSE check_tag END,
                 check_sealed = CASE WHEN check_tag = $3 THEN NULL ELSE check_sealed END,
                 live_attempts = live_attempts - 1,
                 failure_log = CASE WHEN $6 THEN failure_log
                                    ELSE array_remove(failure_log, $4) END,
                 failures_in_row = failures_in_row - CASE WHEN $6 THEN 0 ELSE 1 END,
                 known_failure_log = CASE WHEN $6 THEN array_remove(known_failure_log, $4)
                                          ELSE known_failure_log END,
                 known_failures_in_row = known_failures_in_row - CASE WHEN $6 THEN 1 ELSE 0 END,
                 -- Nobody may count a try while the phone is locked, so the lock is this one's.
                 locks = CASE WHEN $5 AND locked_until > $4 THEN locks - 1 ELSE locks END,
                 locked_until = CASE WHEN $5 THEN NULL ELSE locked_until END
             WHERE phone_index = $1 AND check_id = $2 AND check_until IS NOT NULL",
            check.request.phone.as_bytes(),
            check.id,
            check.tag,
            check.now,
            reserved.brought.is_some(),
            reserved.known,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
