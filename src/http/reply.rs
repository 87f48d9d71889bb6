//! An answer as data: it can be kept for a repeated `Idempotency-Key` and sent again.

use std::fmt;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use serde::{Deserialize, Serialize};

use crate::limit::Quota;

/// Bytes to have ready for each item of a list of limits, which can be more. Our own figure: our names are shorter.
const USUAL_ITEM: usize = 40;

/// Status, headers and body of an answer.
#[derive(Clone, Serialize, Deserialize)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Media type of the body; empty where there is none.
    pub content_type: String,
    /// The body.
    pub body: String,
    /// Where what was made can be found.
    pub location: Option<String>,
    /// Seconds to wait.
    pub retry_after: Option<u64>,
    /// How to authenticate.
    pub www_authenticate: Option<String>,
    /// The tutorial's cookies; its calls are not kept.
    #[serde(skip)]
    pub set_cookies: Vec<String>,
    /// Whether the same call may turn out otherwise, although its status looks like an end.
    #[serde(skip)]
    pub open_ended: bool,
    /// What is left of the limits that were looked at; not kept, since it changes.
    #[serde(skip)]
    pub quotas: Vec<Quota>,
}

/// The body can hold a token, so only the status is shown.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        Self {
            status,
            content_type: "application/json".to_owned(),
            // The types that are answered with have string keys and no fallible parts.
            body: serde_json::to_string(body).unwrap_or_default(),
            location: None,
            retry_after: None,
            www_authenticate: None,
            set_cookies: Vec::new(),
            open_ended: false,
            quotas: Vec::new(),
        }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self {
            content_type: String::new(),
            body: String::new(),
            ..Self::json(status, &())
        }
    }

    /// Adds a `Location`.
    #[must_use]
    pub fn at(mut self, location: String) -> Self {
        self.location = Some(location);
        self
    }

    /// Adds what is left of limits.
    #[must_use]
    pub fn quotas(mut self, quotas: Vec<Quota>) -> Self {
        self.quotas.extend(quotas);
        self
    }

    /// Whether the same call made again must get this very answer. Refusals that changed nothing
    /// and ask to come back later are not kept, or coming back would never succeed.
    pub fn is_final(&self) -> bool {
        !self.open_ended && !matches!(self.status, 429 | 500 | 503)
    }

    /// The HTTP answer.
    pub fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        if !self.content_type.is_empty() {
            response.content_type(self.content_type);
        }
        if let Some(location) = self.location {
            response.insert_header((LOCATION, location));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(challenge) = self.www_authenticate {
            response.insert_header((WWW_AUTHENTICATE, challenge));
        }
        for cookie in self.set_cookies {
            response.append_header((SET_COOKIE, cookie));
        }
        if !self.quotas.is_empty() {
            response.insert_header(("RateLimit-Policy", policies(&self.quotas)));
            response.insert_header(("RateLimit", remaining(&self.quotas)));
        }
        response.body(self.body)
    }
}

/// `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10 section 3): quota and window.
fn policies(quotas: &[Quota]) -> String {
    listed(quotas, |quota| {
        [("q", quota.most.into()), ("w", quota.window.as_secs())]
    })
}

/// `RateLimit` (the same draft, section 4): calls left, and seconds until there are more.
fn remaining(quotas: &[Quota]) -> String {
    listed(quotas, |quota| {
        let reset = super::problem::whole_seconds(quota.reset);
        [("r", quota.remaining.into()), ("t", reset)]
    })
}

/// A list of names with parameters (RFC 9651 section 3.1). Each answer has two, so it is written in one piece.
fn listed(quotas: &[Quota], figures: impl Fn(&Quota) -> [(&'static str, u64); 2]) -> String {
    let mut list = String::with_capacity(quotas.len() * USUAL_ITEM);
    for quota in quotas {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push('"');
        list.push_str(&quota.name);
        list.push('"');
        for (parameter, figure) in figures(quota) {
            list.push(';');
            list.push_str(parameter);
            list.push('=');
            list.push_str(itoa::Buffer::new().format(figure));
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn limits_are_told_in_both_fields() {
        let quota = Quota {
            name: "phone-300s".to_owned(),
            most: 3,
            window: Duration::from_mins(5),
            remaining: 2,
            reset: Duration::from_millis(12_001),
        };

        assert_eq!(
            policies(&[quota.clone(), quota.clone()]),
            "\"phone-300s\";q=3;w=300, \"phone-300s\";q=3;w=300"
        );
        assert_eq!(remaining(&[quota]), "\"phone-300s\";r=2;t=13");
    }

    #[test]
    fn only_answers_that_ended_something_are_kept() {
        for (status, kept) in [
            (201, true),
            (401, true),
            (502, true),
            (504, true),
            (429, false),
            (503, false),
            (500, false),
        ] {
            assert_eq!(Reply::json(status, &()).is_final(), kept, "{status}");
        }
    }
}
