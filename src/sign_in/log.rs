//! What the log is told of a try, whose events the statement in `store/` wrote by itself.

use chrono::{DateTime, Utc};

use super::store::{Noted, Outcome};
use crate::audit::{self, Action, Actor, Event};

pub(super) fn told(noted: &Noted, outcome: &Outcome, now: DateTime<Utc>) {
    let trace_id = &noted.origin.trace_id;
    let tried = |ended| Event::new(noted.action, ended, noted.actor.clone()).trace(trace_id);
    let by_itself = |action| Event::new(action, audit::Outcome::Success, Actor::Service);
    match outcome {
        Outcome::Refused => {}
        Outcome::Right { made_room, .. } => {
            tried(audit::Outcome::Success).log(Some(noted.id), now);
            if *made_room {
                let ended = by_itself(Action::SessionEnd).reason("too_many");
                ended.trace(trace_id).log(Some(noted.cap_id), now);
            }
        }
        Outcome::Wrong { brought, .. } => {
            let failed = tried(audit::Outcome::Failure).reason("wrong_code");
            failed.log(Some(noted.id), now);
            if let Some(action) = brought {
                let lock = by_itself(*action).reason("wrong_codes");
                lock.trace(trace_id).log(Some(noted.lock_id), now);
            }
        }
    }
}
