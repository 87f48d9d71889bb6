//! What operators turn on and off for everybody.

use chrono::{DateTime, Utc};

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// No SMS at all.
    Kill,
    /// SMS to known users only.
    Emergency,
}

impl Switch {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Emergency => "emergency",
        }
    }

    /// The switch of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Kill, Self::Emergency]
            .into_iter()
            .find(|switch| switch.name() == name)
    }
}

/// Which switches are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// [`Switch::Kill`].
    pub kill: bool,
    /// [`Switch::Emergency`].
    pub emergency: bool,
}

/// Where a switch stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwitchState {
    /// Whether it is on.
    pub on: bool,
    /// Why; `None` if nobody ever touched it.
    pub reason: Option<String>,
    /// Since when; `None` if nobody ever touched it.
    pub changed_at: Option<DateTime<Utc>>,
}
