//! The SMS that went out: what a phone would have received, newest last, bounded.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::envelope::{iso, serialize_iso};

/// SMS kept at most; the oldest is forgotten first.
const MAX_MESSAGES: usize = 10_000;
/// Characters kept of one text: ten segments of 160.
const MAX_TEXT_CHARS: usize = 1_600;
/// The fewest and most digits that the carrier takes for a code.
const CODE_DIGITS: (usize, usize) = (4, 6);
/// Stands for the one account that all API keys belong to.
const USER_ID: Uuid = Uuid::from_u128(0x5a4d_b0c5_0000_4000_8000_0000_0000_0001);
/// Stands for the API key that was used.
const API_KEY_ID: Uuid = Uuid::from_u128(0x5a4d_b0c5_0000_4000_8000_0000_0000_0002);

/// How far an SMS has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    /// Handed to the carrier.
    Sent,
    /// On the phone, and paid for.
    Delivered,
}

/// One SMS. It holds a phone number and a code in clear, because showing them is what the sandbox
/// is for; `Debug` still leaves them out, so that a log line cannot hold them by accident.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The `messageId` of the provider's answer.
    pub id: Uuid,
    /// E.164.
    pub phone_number: String,
    /// What the phone shows.
    pub text: String,
    /// The first run of 4 to 6 digits in the text: the carrier sends this one as the code, even
    /// when an application's name brought digits of its own.
    pub code: String,
    /// The caller's idempotency key, if it gave one.
    pub idempotency_key: Option<String>,
    /// When the provider took it.
    #[serde(serialize_with = "serialize_iso")]
    pub created_at: DateTime<Utc>,
    /// How far it has come.
    pub status: MessageStatus,
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Message")
            .field("id", &self.id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Message {
    /// An SMS handed to the carrier, or nothing when the text holds no code.
    pub(super) fn sent(
        id: Uuid,
        phone_number: String,
        text: &str,
        idempotency_key: Option<String>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let code = code_in(text)?;
        let text = text.chars().take(MAX_TEXT_CHARS).collect();
        let status = MessageStatus::Sent;
        Some(Self {
            id,
            phone_number,
            text,
            code,
            idempotency_key,
            created_at: now,
            status,
        })
    }
}

fn code_in(text: &str) -> Option<String> {
    let (fewest, most) = CODE_DIGITS;
    text.split(|c: char| !c.is_ascii_digit())
        .find(|run| run.len() >= fewest)
        .map(|run| run.chars().take(most).collect())
}

/// The text of an SMS without a template of the caller's own.
pub(super) fn text(otp: &str, app_name: Option<&str>, expiry: Option<&str>) -> String {
    let minutes = expiry.unwrap_or("5");
    match app_name {
        Some(app) => format!("Your {app} verification code is {otp}. Valid for {minutes} minutes."),
        None => format!("Your verification code is {otp}. Valid for {minutes} minutes."),
    }
}

/// All SMS that are remembered.
pub(super) struct Messages {
    kept: VecDeque<Message>,
    delivery_delay: TimeDelta,
}

impl Messages {
    /// No SMS yet; each will be on its phone `delivery_delay` after it was sent.
    pub(super) fn new(delivery_delay: Duration) -> Self {
        let delivery_delay = TimeDelta::from_std(delivery_delay).unwrap_or(TimeDelta::MAX);
        Self {
            kept: VecDeque::new(),
            delivery_delay,
        }
    }

    /// Remembers an SMS.
    pub(super) fn push(&mut self, message: Message) {
        if self.kept.len() >= MAX_MESSAGES {
            self.kept.pop_front();
        }
        self.kept.push_back(message);
    }

    /// Marks as delivered what is due, and returns the ids in the order of sending.
    pub(super) fn deliver(&mut self, now: DateTime<Utc>) -> Vec<Uuid> {
        let delay = self.delivery_delay;
        let mut delivered: Vec<_> = self
            .kept
            .iter_mut()
            .rev()
            // They are delivered in order, so the undelivered are the newest.
            .take_while(|message| message.status == MessageStatus::Sent)
            .filter(|message| now - message.created_at >= delay)
            .map(|message| {
                message.status = MessageStatus::Delivered;
                message.id
            })
            .collect();
        delivered.reverse();
        delivered
    }

    /// The SMS, newest first, of one number or of all.
    pub(super) fn newest_first(&self, phone_number: Option<&str>) -> Vec<Message> {
        self.kept
            .iter()
            .rev()
            .filter(|message| phone_number.is_none_or(|phone| message.phone_number == phone))
            .cloned()
            .collect()
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }

    /// The customer's view of one SMS, for `GET /messages/:id`.
    pub(super) fn customer_view(&self, id: Uuid) -> Option<CustomerMessage> {
        let message = self.kept.iter().rev().find(|message| message.id == id)?;
        Some(CustomerMessage::of(
            message,
            message.created_at + self.delivery_delay,
        ))
    }
}

/// `data` of `GET /messages/:id`, in the real server's order. It tells neither text nor code.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CustomerMessage {
    id: Uuid,
    user_id: Uuid,
    api_key_id: Uuid,
    phone_number: String,
    content: &'static str,
    status: MessageStatus,
    status_history: Vec<StatusChange>,
    /// A decimal column, which the real server's database driver hands out as text.
    cost_amount: &'static str,
    failure_reason: Option<&'static str>,
    /// The real server leaves it empty when it sends.
    sent_at: Option<String>,
    delivered_at: Option<String>,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct StatusChange {
    status: MessageStatus,
    timestamp: String,
}

impl CustomerMessage {
    fn of(message: &Message, delivery: DateTime<Utc>) -> Self {
        let created_at = iso(message.created_at);
        let delivered_at = match message.status {
            MessageStatus::Sent => None,
            MessageStatus::Delivered => Some(iso(delivery)),
        };
        let mut status_history = vec![StatusChange {
            status: MessageStatus::Sent,
            timestamp: created_at.clone(),
        }];
        status_history.extend(delivered_at.clone().map(|timestamp| StatusChange {
            status: MessageStatus::Delivered,
            timestamp,
        }));
        Self {
            id: message.id,
            user_id: USER_ID,
            api_key_id: API_KEY_ID,
            phone_number: message.phone_number.clone(),
            content: "OTP sent",
            status: message.status,
            status_history,
            cost_amount: if delivered_at.is_some() {
                "0.2500"
            } else {
                "0.0000"
            },
            failure_reason: None,
            sent_at: None,
            updated_at: delivered_at.clone().unwrap_or_else(|| created_at.clone()),
            delivered_at,
            created_at,
        }
    }
}
