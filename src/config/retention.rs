//! `[retention]`: how long what is over is kept.

use chrono::TimeDelta;

use super::reader::{Read, Reader};

/// `[retention]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long an event stays in the audit log at least; it leaves with the rest of its month.
    pub audit: TimeDelta,
}

pub(super) fn read(reader: &mut Reader) -> Read<Retention> {
    let days: u16 = reader.integer("retention.audit_days", 30..=3650)?;
    Ok(Retention {
        audit: TimeDelta::days(i64::from(days)),
    })
}
