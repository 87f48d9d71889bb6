//! Numbers with a fixed code, for the reviewers of an app store: no SMS is ever sent to them.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::code::OtpCode;
use crate::client::ClientId;
use crate::secrets::PhoneIndex;

/// A fixed code, and when it is good.
#[derive(Clone, Debug)]
pub struct TestNumber {
    /// The code.
    pub code: OtpCode,
    /// When it ends to be one; `None` is never.
    pub valid_until: Option<DateTime<Utc>>,
    /// Which clients may use it; `None` is all.
    pub clients: Option<BTreeSet<ClientId>>,
    /// Whether it is a number like any other where it has no fixed code, or refused.
    pub is_accepted_anyway: bool,
}

/// All test numbers, by blind index.
#[derive(Clone, Debug, Default)]
pub struct TestNumbers(pub HashMap<PhoneIndex, TestNumber>);

impl TestNumbers {
    /// The fixed code of this number for this client, if it has one now.
    pub fn code(&self, phone: PhoneIndex, client: &str, now: DateTime<Utc>) -> Option<&OtpCode> {
        let number = self.0.get(&phone)?;
        let in_time = number.valid_until.is_none_or(|until| now < until);
        let for_client = number
            .clients
            .as_ref()
            .is_none_or(|clients| clients.iter().any(|id| id.as_str() == client));
        (in_time && for_client).then_some(&number.code)
    }

    /// Whether this number is accepted where it has no fixed code.
    pub fn accepts_without_code(&self, phone: PhoneIndex) -> bool {
        self.0
            .get(&phone)
            .is_none_or(|number| number.is_accepted_anyway)
    }
}
