//! Dialect A's memory: the codes that the provider made, and the answers it gave to keyed sends.
//!
//! No stored version of the real server has this; the rules are those of the vendor's tutorials.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::envelope::Granted;
use super::refusal::Refusal;
use crate::random::{Random, RandomUnavailable, bytes};

/// Verifications kept at most; the oldest is forgotten first.
const MAX_VERIFICATIONS: usize = 10_000;
/// Tries per code (`attemptsLeft` of the tutorials' send answer).
pub(super) const ATTEMPTS: u32 = 3;
/// Lifetime of a code: 5 minutes (the vendor's security page and server constant; some older
/// tutorials say 10).
pub(super) const LIFETIME: TimeDelta = TimeDelta::minutes(5);
/// How long a keyed send is answered again (the vendor's limits page).
const KEY_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// Codes of six digits.
const CODES: u64 = 1_000_000;

/// A code that was sent and what became of it.
pub(super) struct Verification {
    /// `data.requestId`.
    pub(super) id: Uuid,
    /// E.164.
    pub(super) phone_number: String,
    /// Six digits.
    pub(super) code: String,
    /// The key of the send.
    pub(super) idempotency_key: Option<String>,
    /// When it was made.
    pub(super) created_at: DateTime<Utc>,
    /// Wrong codes it still bears.
    pub(super) attempts_left: u32,
    /// Whether the right code came.
    pub(super) verified: bool,
    /// The send's answer, for a repeated one.
    pub(super) answer: Granted,
}

impl fmt::Debug for Verification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Verification")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// All verifications that are remembered.
#[derive(Default)]
pub(super) struct Verifications {
    by_id: HashMap<Uuid, Verification>,
    by_key: HashMap<String, Uuid>,
    order: VecDeque<Uuid>,
}

impl Verifications {
    /// The answer that this key already got.
    ///
    /// # Errors
    /// [`Refusal::IdempotencyConflict`] when the key came with another number.
    pub(super) fn replay(
        &self,
        key: Option<&str>,
        phone_number: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Granted>, Refusal> {
        let first = key
            .and_then(|key| self.by_key.get(key))
            .and_then(|id| self.by_id.get(id));
        match first {
            Some(first) if now - first.created_at >= KEY_LIFETIME => Ok(None),
            Some(first) if first.phone_number != phone_number => Err(Refusal::IdempotencyConflict),
            Some(first) => Ok(Some(first.answer.clone())),
            None => Ok(None),
        }
    }

    /// Remembers a verification.
    pub(super) fn push(&mut self, verification: Verification) {
        if self.order.len() >= MAX_VERIFICATIONS {
            self.forget_oldest();
        }
        if let Some(key) = &verification.idempotency_key {
            self.by_key.insert(key.clone(), verification.id);
        }
        self.order.push_back(verification.id);
        self.by_id.insert(verification.id, verification);
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front().and_then(|id| self.by_id.remove(&id)) else {
            return;
        };
        // The key may belong to a later send by now.
        if let Some(key) = oldest.idempotency_key
            && self.by_key.get(&key) == Some(&oldest.id)
        {
            self.by_key.remove(&key);
        }
    }

    /// Checks a code and counts the try.
    ///
    /// # Errors
    /// Why the code does not verify.
    pub(super) fn check(
        &mut self,
        id: &str,
        code: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let id = Uuid::try_parse(id).ok().ok_or(Refusal::UnknownRequest)?;
        let verification = self.by_id.get_mut(&id).ok_or(Refusal::UnknownRequest)?;
        if verification.verified {
            return Err(Refusal::AlreadyVerified);
        }
        if verification.attempts_left == 0 {
            return Err(Refusal::AttemptsSpent);
        }
        if now >= verification.created_at + LIFETIME {
            return Err(Refusal::Expired);
        }
        if verification.code != code {
            verification.attempts_left = verification.attempts_left.saturating_sub(1);
            return Err(Refusal::WrongCode);
        }
        verification.verified = true;
        Ok(())
    }
}

/// Six random digits. A 64-bit number modulo 10^6 makes no code likelier by more than 10^-13.
pub(super) fn new_code(random: &dyn Random) -> Result<String, RandomUnavailable> {
    Ok(format!("{:06}", u64::from_be_bytes(bytes(random)?) % CODES))
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;

    use super::*;
    use crate::random::SystemRandom;

    const PHONE: &str = "+919876543210";

    fn verification(number: usize, key: &str) -> Verification {
        Verification {
            id: Uuid::from_u128(u128::try_from(number).unwrap()),
            phone_number: PHONE.to_owned(),
            code: "123456".to_owned(),
            idempotency_key: Some(key.to_owned()),
            created_at: DateTime::UNIX_EPOCH,
            attempts_left: ATTEMPTS,
            verified: false,
            answer: Granted {
                status: StatusCode::CREATED,
                body: number.to_string(),
            },
        }
    }

    #[test]
    fn beyond_the_limit_the_oldest_verification_and_its_key_are_forgotten() {
        let mut all = Verifications::default();
        let now = DateTime::UNIX_EPOCH;

        for number in 0..=MAX_VERIFICATIONS {
            all.push(verification(number, &number.to_string()));
        }

        assert_eq!(
            (all.by_id.len(), all.by_key.len()),
            (MAX_VERIFICATIONS, MAX_VERIFICATIONS)
        );
        assert!(
            all.replay(Some("0"), PHONE, now)
                .is_ok_and(|first| first.is_none())
        );
        assert!(
            all.replay(Some("1"), PHONE, now)
                .is_ok_and(|first| first.is_some())
        );
        let oldest = all.check(&Uuid::nil().to_string(), "123456", now);
        assert_eq!(oldest, Err(Refusal::UnknownRequest));
    }

    #[test]
    fn forgetting_a_verification_leaves_a_later_one_its_key() {
        let mut all = Verifications::default();
        all.push(verification(1, "same"));
        all.push(verification(2, "same"));

        all.forget_oldest();

        let first = all
            .replay(Some("same"), PHONE, DateTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(first.map(|granted| granted.body).as_deref(), Some("2"));
    }

    #[test]
    fn a_code_is_six_digits_and_hidden_from_debug() {
        for _ in 0..100 {
            let code = new_code(&SystemRandom).unwrap();
            assert!(
                code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()),
                "{code}"
            );
        }
        let shown = format!("{:?}", verification(1, "k"));
        assert!(
            !shown.contains("123456") && !shown.contains(PHONE),
            "{shown}"
        );
    }
}
