//! Names that events are told apart by. They are stored and filtered by, so they stay as they are.

use std::fmt;
use std::str::FromStr;

use crate::client::{ClientId, ClientIdError};
use crate::operator::{Operator, OperatorId, OperatorIdError};

/// What somebody did, or tried to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Asked for a code.
    OtpSend,
    /// Asked for the same code once more.
    OtpResend,
    /// Tried a code.
    OtpVerify,
    /// Tried so many wrong codes that the phone is locked for a while.
    PhoneLock,
    /// Tried so many wrong codes in a row that the phone is stopped.
    PhoneStop,
    /// Took a phone's lock or stop away.
    PhoneUnlock,
    /// Looked at where a phone stands.
    PhoneLookUp,
    /// Used a number of the settings that is never texted.
    TestNumberUse,
    /// Made or changed a rule on whom to block or let through.
    RuleSet,
    /// Took such a rule away.
    RuleRemove,
    /// Turned a switch on or off.
    SwitchSet,
    /// Had all that identifies a user destroyed.
    UserErase,
    /// Came near to a limit on spending.
    SpendWarning,
    /// Ended sessions before their time.
    SessionEnd,
    /// Made a key that tokens are signed with.
    SigningKeyCreate,
    /// Let such a key begin to sign.
    SigningKeyPromote,
    /// Deleted a key that signs no longer, or never did.
    SigningKeyRemove,
    /// Brought the next key's time forward.
    SigningKeyRotate,
    /// Took a key out of use before its time.
    SigningKeyRevoke,
    /// Brought in a key that was made elsewhere.
    SigningKeyImport,
    /// Called the admin API and was let in; what came of it, other events of the same call tell.
    AdminCall,
    /// Called the admin API without a token for that.
    AdminDenied,
    /// Made tokens that name nobody, to see what a gateway makes of them.
    DoctorMint,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 23] = [
        Self::OtpSend,
        Self::OtpResend,
        Self::OtpVerify,
        Self::PhoneLock,
        Self::PhoneStop,
        Self::PhoneUnlock,
        Self::PhoneLookUp,
        Self::TestNumberUse,
        Self::RuleSet,
        Self::RuleRemove,
        Self::SwitchSet,
        Self::UserErase,
        Self::SpendWarning,
        Self::SessionEnd,
        Self::SigningKeyCreate,
        Self::SigningKeyPromote,
        Self::SigningKeyRemove,
        Self::SigningKeyRotate,
        Self::SigningKeyRevoke,
        Self::SigningKeyImport,
        Self::AdminCall,
        Self::AdminDenied,
        Self::DoctorMint,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtpSend => "otp.send",
            Self::OtpResend => "otp.resend",
            Self::OtpVerify => "otp.verify",
            Self::PhoneLock => "phone.lock",
            Self::PhoneStop => "phone.stop",
            Self::PhoneUnlock => "phone.unlock",
            Self::PhoneLookUp => "phone.lookup",
            Self::TestNumberUse => "test_number.use",
            Self::RuleSet => "rule.set",
            Self::RuleRemove => "rule.remove",
            Self::SwitchSet => "switch.set",
            Self::UserErase => "user.erase",
            Self::SpendWarning => "spend.warning",
            Self::SessionEnd => "session.end",
            Self::SigningKeyCreate => "signing_key.create",
            Self::SigningKeyPromote => "signing_key.promote",
            Self::SigningKeyRemove => "signing_key.remove",
            Self::SigningKeyRotate => "signing_key.rotate",
            Self::SigningKeyRevoke => "signing_key.revoke",
            Self::SigningKeyImport => "signing_key.import",
            Self::AdminCall => "admin.call",
            Self::AdminDenied => "admin.denied",
            Self::DoctorMint => "doctor.mint",
        }
    }

    /// The action of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was tried and did not work.
    Failure,
    /// It was not let through.
    Refused,
    /// It was let through by a guard that only records what it would have refused.
    Recorded,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [Self::Success, Self::Failure, Self::Refused, Self::Recorded];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Refused => "refused",
            Self::Recorded => "recorded",
        }
    }

    /// The outcome of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A registered client, for the person who uses it.
    Client(ClientId),
    /// The holder of a token of this name; without one, of `secrets.admin_token`, or of the settings: the
    /// commands of this program are his.
    Admin(Option<OperatorId>),
    /// This service by itself.
    Service,
}

/// The text names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be admin, admin:<id>, service or client:<id>")]
pub struct ActorError;

impl From<&Operator> for Actor {
    fn from(operator: &Operator) -> Self {
        Self::Admin(operator.id.clone())
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => write!(f, "client:{id}"),
            Self::Admin(None) => f.write_str("admin"),
            Self::Admin(Some(id)) => write!(f, "admin:{id}"),
            Self::Service => f.write_str("service"),
        }
    }
}

impl FromStr for Actor {
    type Err = ActorError;

    fn from_str(text: &str) -> Result<Self, ActorError> {
        if let Some(id) = text.strip_prefix("client:") {
            return id
                .parse()
                .map(Self::Client)
                .map_err(|ClientIdError| ActorError);
        }
        if let Some(id) = text.strip_prefix("admin:") {
            let id = id.parse().map_err(|OperatorIdError| ActorError)?;
            return Ok(Self::Admin(Some(id)));
        }
        [Self::Admin(None), Self::Service]
            .into_iter()
            .find(|actor| actor.to_string() == text)
            .ok_or(ActorError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_its_own_and_reads_back() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.name()), Some(action));
        }
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::parse(outcome.name()), Some(outcome));
        }
        for actor in ["admin", "admin:ann", "service", "client:web"] {
            let read: Actor = actor.parse().unwrap();
            assert_eq!(read.to_string(), actor);
        }
    }

    #[test]
    fn a_text_that_names_nobody_is_refused() {
        for text in [
            "",
            "Admin",
            "client:",
            "client:a b",
            "admin:",
            "admin:a b",
            "web",
        ] {
            assert_eq!(text.parse::<Actor>(), Err(ActorError), "{text:?}");
        }
    }
}
