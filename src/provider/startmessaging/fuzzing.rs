//! What a vendor, or anything on the way to it, may answer, for [`crate::fuzzing`].

use std::fmt::Write as _;

use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::Value;

use super::super::http::{Answer, retry_after};
use super::super::{Accepted, CodeOwner, ProviderError, Verdict, webhook};
use super::answer::{checked, progress, sent};

/// What the servers in front of a vendor, and itself, are known to say.
const STATUSES: [u16; 16] = [
    200, 201, 204, 302, 400, 401, 402, 403, 404, 409, 410, 422, 429, 500, 502, 503,
];
/// What an error may say at most, in bytes: nothing of the answer is in it.
const LONGEST_ERROR: usize = 200;

/// No answer makes a code right that the vendor did not call right, gives a limit back for an SMS that may be out, or
/// gets into a log.
///
/// The first byte chooses the status, the others are the body.
///
/// # Panics
/// If that does not hold.
pub fn check(data: &[u8]) {
    let Some((status, body)) = data.split_first() else {
        return;
    };
    let status = match usize::from(*status) {
        known if known < STATUSES.len() => STATUSES.into_iter().nth(known).unwrap_or(200),
        // 100 to 599
        other => 100 + u16::try_from(other * 2).unwrap_or_default() % 500,
    };
    let is_success = (200..=299).contains(&status);
    let answer = Answer::of(status, body);
    for mode in [CodeOwner::Service, CodeOwner::Vendor] {
        match sent(&answer, mode) {
            Ok(accepted) => {
                assert!(is_success);
                assert_eq!(accepted.reference.is_some(), mode == CodeOwner::Vendor);
                bounded(&accepted);
            }
            Err(error) => refused(&error, status),
        }
    }
    match checked(&answer) {
        Ok(Verdict::Right) => assert!(is_success && says_verified(body)),
        Ok(_) => {}
        Err(error) => refused(&error, status),
    }
    match progress(&answer) {
        Ok(progress) => assert!(is_success || progress.is_none()),
        Err(error) => refused(&error, status),
    }
    match webhook::sent(&answer) {
        Ok(accepted) => {
            assert!(is_success || status == 409);
            bounded(&accepted);
        }
        Err(error) => quiet(&error),
    }
    if let Ok(value) = HeaderValue::from_bytes(body) {
        let wait = retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]));
        assert!(wait.is_none_or(|wait| (1..=3600).contains(&wait.as_secs())));
    }
}

/// What is kept of an answer fits into its column.
fn bounded(accepted: &Accepted) {
    let ids = [&accepted.message_id, &accepted.reference];
    assert!(
        ids.into_iter()
            .flatten()
            .all(|id| (1..=255).contains(&id.len()))
    );
}

fn refused(error: &ProviderError, status: u16) {
    quiet(error);
    // After these the SMS may be out.
    if (200..=299).contains(&status) || status >= 500 {
        assert!(!error.surely_not_done());
    }
}

fn quiet(error: &ProviderError) {
    let mut said = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let _ = write!(said, " {error}");
        cause = error.source();
    }
    assert!(said.len() <= LONGEST_ERROR);
}

fn says_verified(body: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let told = value.get("data").and_then(|data| data.get("verified"));
    told.or_else(|| value.get("verified")) == Some(&Value::Bool(true))
}
