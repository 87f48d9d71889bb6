//! All SQL on `otp_requests` and `phone_throttles` but the one statement that ends a request,
//! which also makes the session (`sign_in/store/`).
//!
//! A limit is taken in the same statement that stores what it allows: `UPDATE` locks the phone's
//! row and sees its latest version, so parallel calls on any replica queue up behind each other.
//! A refused call changes nothing; `last_send_id` tells it that it was not the one let through.

mod accept;
mod admission;
mod admit;
mod check;
mod due;
mod outcome;
mod read;
mod statements;
mod take;
mod together;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::phone_state::PhoneState;
use super::request::{Delivery, Purpose, RequestId, Standing};
use crate::secrets::PhoneIndex;

pub(super) use accept::{Acceptance, Acceptances};
pub(super) use admission::{Admission, Again, Asked};
pub(super) use admit::{NewRequest, OneMore};
pub(crate) use check::brought;
pub(super) use check::{Check, Reserved};
pub(super) use due::Due;
pub(super) use outcome::Outcome;
pub(super) use read::Readings;
pub(super) use take::{Load, Taken};
pub(super) use together::{Admissions, Admitted, Asking};

/// The tables of this module.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
}

/// The first and the last of them. PostgreSQL prepares a scan of each partition for `id = ANY (…)`, and of only those
/// that can have one if it is told between which ids they are.
fn span(ids: &[Uuid]) -> (Uuid, Uuid) {
    let first = ids.iter().min().copied().unwrap_or_default();
    let last = ids.iter().max().copied().unwrap_or_default();
    (first, last)
}

/// A stored request and where it stands.
pub(crate) struct StoredRequest {
    pub(crate) id: RequestId,
    pub(crate) phone: PhoneIndex,
    pub(crate) phone_sealed: Vec<u8>,
    pub(crate) client: String,
    pub(crate) purpose: Purpose,
    pub(crate) code_nonce: Vec<u8>,
    pub(crate) sms: Sms,
    /// Until when somebody asks the provider about a code of it.
    pub(crate) check_until: Option<DateTime<Utc>>,
    pub(crate) standing: Standing,
}

/// What is known of a request's SMS.
#[derive(Clone)]
pub(crate) struct Sms {
    /// The operations they were sent for, newest last.
    pub(crate) send_ids: Vec<Uuid>,
    /// The latest one's name for the provider; only requests from before there were names have none.
    pub(crate) key: Option<Uuid>,
    /// How far the latest one has come.
    pub(crate) delivery: Delivery,
    /// The provider's handles of the codes it made, newest last.
    pub(crate) references: Vec<String>,
}

impl Sms {
    /// Whether the provider's word on the latest one is missing.
    pub(crate) fn is_unresolved(&self) -> bool {
        match self.delivery {
            Delivery::Queued | Delivery::Unknown => true,
            Delivery::Sent | Delivery::Delivered | Delivery::Failed => false,
        }
    }
}

/// Identifies one admitted SMS.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) request: RequestId,
    /// The operation it is for.
    pub(super) send_id: Uuid,
    /// The admission that let it through.
    pub(super) admission: Uuid,
    pub(super) phone: PhoneIndex,
    pub(super) at: DateTime<Utc>,
    /// What was known before it; `None` for the first SMS of a request.
    pub(super) before: Option<Sms>,
}

/// Builds a [`PhoneState`] from a row; a macro for the same reason as the next one.
macro_rules! phone_state {
    ($row:ident) => {
        PhoneState {
            history: SendHistory {
                send_log: $row.send_log,
                cooldown_until: $row.cooldown_until,
            },
            locked_until: $row.locked_until,
            failures_in_row: $row.failures_in_row,
            known: KnownHistory {
                send_log: $row.known_send_log,
                failure_log: $row.known_failure_log,
                failures_in_row: $row.known_failures_in_row,
            },
        }
    };
}
use phone_state;

/// Builds a [`StoredRequest`] from a row; a macro because every checked query has a row type of
/// its own.
macro_rules! stored_request {
    ($row:ident) => {{
        let live = $row.live.unwrap_or(false);
        StoredRequest {
            id: RequestId($row.id),
            phone: PhoneIndex::try_from($row.phone_index)
                .map_err(|_: crate::secrets::OpenError| StoreError::Corrupt("phone index"))?,
            phone_sealed: $row.phone_sealed,
            client: $row.client_id,
            purpose: Purpose::parse(&$row.purpose).ok_or(StoreError::Corrupt("purpose"))?,
            code_nonce: $row.code_nonce,
            sms: Sms {
                send_ids: $row.send_ids,
                key: $row.provider_key,
                delivery: Delivery::parse(&$row.delivery).ok_or(StoreError::Corrupt("delivery"))?,
                references: $row.provider_refs,
            },
            check_until: $row.check_until,
            standing: Standing {
                expires_at: $row.expires_at,
                verified_at: $row.verified_at,
                failed_at: $row.failed_at,
                live,
                sends: if live { $row.live_sends } else { 0 },
                attempts: if live { $row.live_attempts } else { 0 },
                phone: phone_state!($row),
            },
        }
    }};
}
use stored_request;

impl Store {
    /// Uses this pool.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}
