//! Trying a code that only the provider can check: the try is counted before it is asked, so that
//! neither a crash nor parallel calls get one for free.
//!
//! The provider checks a code once: it answers the right one with yes, and then with "used before".
//! If its yes is lost, only we can know whose it was. So the one code whose answer is missing is
//! remembered by a keyed hash ([`Reserved::repeats`]): asked about again it costs no further try, and
//! "used before" means that it was right. As soon as a second code is without an answer, or "used
//! before" is said of a code that nothing is known of, no code is trusted any more (an empty hash,
//! which no code has).

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Store, StoredRequest};
use crate::database::StoreError;
use crate::otp::Policy;

/// A code about to be asked about.
#[derive(Clone, Copy)]
pub(in crate::otp) struct Check<'a> {
    pub(in crate::otp) request: &'a StoredRequest,
    /// Who asks.
    pub(in crate::otp) id: Uuid,
    /// Keyed hash of the code, bound to the request.
    pub(in crate::otp) tag: &'a [u8],
    pub(in crate::otp) now: DateTime<Utc>,
}

/// A try that was counted.
#[derive(Clone, Copy)]
pub(in crate::otp) struct Reserved {
    /// Whether this is the code whose earlier answer is missing; it was not counted again.
    pub(in crate::otp) repeats: bool,
    /// Wrong codes counted for the request, this one included.
    pub(in crate::otp) attempts: i32,
    /// Whether the phone is locked unless this code is right.
    pub(in crate::otp) locked: bool,
}

/// What is known of a code when its lease is let go of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::otp) enum Word {
    /// The provider's answer about it is missing, or was missing before.
    Missing,
    /// The provider said that it is not right, or never will be.
    Refused,
    /// The provider said that another code was used before.
    OtherUsed,
}

impl Store {
    /// Counts the try as a wrong one and takes the request's lease; `None` if somebody else has it,
    /// the request is not live, or its tries or the phone's are spent.
    pub(in crate::otp) async fn reserve(
        &self,
        check: Check<'_>,
        lease: TimeDelta,
        policy: &Policy,
    ) -> Result<Option<Reserved>, StoreError> {
        let seconds =
            |length: std::time::Duration| i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        let row = sqlx::query!(
            r#"
            UPDATE phone_throttles AS p SET
                check_id = $3, check_until = $5,
                (check_repeats, check_tag, live_attempts, failure_log, locks, locked_until) = (
                    SELECT again,
                        CASE WHEN p.check_tag IS NULL OR again THEN $4 ELSE ''::bytea END,
                        CASE WHEN again THEN p.live_attempts ELSE p.live_attempts + 1 END,
                        CASE WHEN again THEN p.failure_log ELSE recent || $6::timestamptz END,
                        CASE WHEN full_up AND NOT again THEN p.locks + 1 ELSE p.locks END,
                        CASE WHEN full_up AND NOT again THEN $6 + least($9::bigint,
                                $8::bigint * (1::bigint << least(p.locks, 20)))
                                * interval '1 second'
                             ELSE p.locked_until END
                    FROM (SELECT recent, cardinality(recent) + 1 >= $7::int AS full_up,
                            coalesce(p.check_tag = $4, false) AS again
                        FROM (SELECT ARRAY(SELECT f FROM unnest(p.failure_log) AS f
                            WHERE f > $6 - interval '24 hours' ORDER BY f) AS recent) AS log
                    ) AS decision)
            WHERE p.phone_index = $1 AND p.live_request_id = $2
                AND (p.check_until IS NULL OR p.check_until <= $6)
                AND (p.check_tag = $4 OR (p.live_attempts < $10
                    AND (p.locked_until IS NULL OR p.locked_until <= $6)))
            RETURNING p.check_repeats AS repeats, p.live_attempts AS attempts,
                coalesce(p.locked_until > $6, false) AS "locked!"
            "#,
            check.request.phone.as_bytes(),
            check.request.id.0,
            check.id,
            check.tag,
            check.now + lease,
            check.now,
            policy.failures.per_day,
            seconds(policy.failures.lock),
            seconds(policy.failures.lock_max),
            policy.max_attempts,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| Reserved {
            repeats: row.repeats,
            attempts: row.attempts,
            locked: row.locked,
        }))
    }

    /// Lets go of the lease, and remembers what is known of the code.
    pub(in crate::otp) async fn release(
        &self,
        check: Check<'_>,
        word: Word,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE phone_throttles SET check_until = NULL,
                 check_tag = CASE WHEN $3 AND check_tag = $4 THEN NULL
                                  WHEN $5 THEN ''::bytea ELSE check_tag END
             WHERE phone_index = $1 AND check_id = $2",
            check.request.phone.as_bytes(),
            check.id,
            word == Word::Refused,
            check.tag,
            word == Word::OtherUsed,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets go of the lease and gives the try back: the provider was certainly not asked.
    pub(in crate::otp) async fn give_back(
        &self,
        check: Check<'_>,
        reserved: Reserved,
    ) -> Result<(), StoreError> {
        if reserved.repeats {
            return self.release(check, Word::Missing).await;
        }
        sqlx::query!(
            "UPDATE phone_throttles SET check_until = NULL,
                 check_tag = CASE WHEN check_tag = $3 THEN NULL ELSE check_tag END,
                 live_attempts = live_attempts - 1,
                 failure_log = array_remove(failure_log, $4),
                 locks = CASE WHEN $5 THEN locks - 1 ELSE locks END,
                 locked_until = CASE WHEN $5 THEN NULL ELSE locked_until END
             WHERE phone_index = $1 AND check_id = $2 AND check_until IS NOT NULL",
            check.request.phone.as_bytes(),
            check.id,
            check.tag,
            check.now,
            reserved.locked,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
