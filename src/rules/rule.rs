//! Rules as they are asked for, and as they are.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::target::{Kind, Target};
use crate::audit::Remark;

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not served.
    Block,
    /// Served where others are not.
    Allow,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 2] = [Self::Block, Self::Allow];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Allow => "allow",
        }
    }

    /// The verdict of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

/// A rule that an operator wants.
#[derive(Clone, Debug)]
pub struct NewRule {
    /// What it is about.
    pub target: Target,
    /// What it says.
    pub verdict: Verdict,
    /// Why.
    pub reason: Remark,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A rule that there is.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub id: Uuid,
    /// What it is about.
    pub target: Target,
    /// What it says.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// When it was first made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Which rules to list.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    /// Only this kind.
    pub kind: Option<Kind>,
    /// Only this verdict.
    pub verdict: Option<Verdict>,
    /// Only those that are listed after this one.
    pub after: Option<Uuid>,
    /// How many at most.
    pub most: i64,
}
