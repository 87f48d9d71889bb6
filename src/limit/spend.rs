//! Ceilings on what SMS may cost.

use std::num::{NonZeroU32, NonZeroU64};

/// The most that may be sent and spent; `None` is no ceiling. Hours, days and months are those of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// SMS in an hour.
    pub messages_per_hour: Option<NonZeroU32>,
    /// SMS in a day.
    pub messages_per_day: Option<NonZeroU32>,
    /// Their cost in an hour, in millionths of the currency.
    pub amount_per_hour: Option<NonZeroU64>,
    /// In a day.
    pub amount_per_day: Option<NonZeroU64>,
    /// In a month.
    pub amount_per_month: Option<NonZeroU64>,
}

impl Ceilings {
    /// Whether one of them is in money.
    pub fn has_an_amount(&self) -> bool {
        let amounts = [
            self.amount_per_hour,
            self.amount_per_day,
            self.amount_per_month,
        ];
        amounts.iter().any(Option::is_some)
    }
}
