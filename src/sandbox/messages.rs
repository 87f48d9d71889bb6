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
    /// How many of the newest are not delivered yet: they are delivered in the order of sending.
    undelivered: usize,
    delivery_delay: TimeDelta,
}

impl Messages {
    /// No SMS yet; each will be on its phone `delivery_delay` after it was sent.
    pub(super) fn new(delivery_delay: Duration) -> Self {
        let delivery_delay = TimeDelta::from_std(delivery_delay).unwrap_or(TimeDelta::MAX);
        Self {
            kept: VecDeque::new(),
            undelivered: 0,
            delivery_delay,
        }
    }

    /// Remembers an SMS.
    pub(super) fn push(&mut self, message: Message) {
        if self.kept.len() >= MAX_MESSAGES {
            self.kept.pop_front();
        }
        self.kept.push_back(message);
        self.undelivered = self.undelivered.saturating_add(1).min(self.kept.len());
    }

    /// Marks as delivered what is due, and returns the ids in the order of sending.
    pub(super) fn deliver(&mut self, now: DateTime<Utc>) -> Vec<Uuid> {
        let delay = self.delivery_delay;
        let first = self.kept.len().saturating_sub(self.undelivered);
        let delivered: Vec<_> = self
            .kept
            .range_mut(first..)
            .take_while(|message| now - message.created_at >= delay)
            .map(|message| {
                message.status = MessageStatus::Delivered;
                message.id
            })
            .collect();
        self.undelivered = self.undelivered.saturating_sub(delivered.len());
        delivered
    }

    /// The SMS, newest first, of one number or of all. The number's plus sign may be missing: in
    /// a query that nobody encoded it arrives as a space.
    pub(super) fn newest_first(&self, phone_number: Option<&str>) -> Vec<Message> {
        let digits = |number: &str| number.trim().trim_start_matches('+').to_owned();
        let wanted = phone_number.map(digits);
        self.kept
            .iter()
            .rev()
            .filter(|message| {
                wanted
                    .as_ref()
                    .is_none_or(|wanted| digits(&message.phone_number) == *wanted)
            })
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
        self.undelivered = 0;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sms(number: usize, text: &str, now: DateTime<Utc>) -> Option<Message> {
        let id = Uuid::from_u128(u128::try_from(number).unwrap());
        Message::sent(id, format!("+9190000{number:05}"), text, None, now)
    }

    fn inbox() -> (Messages, DateTime<Utc>) {
        (Messages::new(Duration::from_secs(2)), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_code_is_the_first_run_of_four_to_six_digits() {
        let cases = [
            ("Code 1234.", Some("1234")),
            ("Code 123456", Some("123456")),
            ("Code 12345678", Some("123456")),
            ("In 5 minutes: 98765", Some("98765")),
            ("Shop2024: 123456", Some("2024")),
            ("Code 123", None),
            ("", None),
        ];

        for (text, code) in cases {
            let found = sms(1, text, DateTime::UNIX_EPOCH).map(|message| message.code);
            assert_eq!(found.as_deref(), code, "{text}");
        }
    }

    #[test]
    fn the_oldest_message_is_forgotten_beyond_the_limit() {
        let (mut inbox, now) = inbox();

        for number in 0..=MAX_MESSAGES {
            inbox.push(sms(number, "1234", now).unwrap());
        }

        let kept = inbox.newest_first(None);
        assert_eq!((kept.len(), inbox.len()), (MAX_MESSAGES, MAX_MESSAGES));
        assert_eq!(kept.last().unwrap().id, Uuid::from_u128(1));
        assert_eq!(
            inbox.deliver(now + TimeDelta::seconds(2)).len(),
            MAX_MESSAGES
        );
    }

    #[test]
    fn a_text_is_cut_at_its_limit() {
        let text = format!("1234 {}", "é".repeat(MAX_TEXT_CHARS));

        let message = sms(1, &text, DateTime::UNIX_EPOCH).unwrap();

        assert_eq!(message.text.chars().count(), MAX_TEXT_CHARS);
    }

    #[test]
    fn each_message_is_delivered_once_and_in_order() {
        let (mut inbox, now) = inbox();
        inbox.push(sms(1, "1234", now).unwrap());
        inbox.push(sms(2, "1234", now + TimeDelta::seconds(1)).unwrap());
        let ids = |numbers: &[u128]| {
            numbers
                .iter()
                .map(|n| Uuid::from_u128(*n))
                .collect::<Vec<_>>()
        };

        let delivered: Vec<_> = [1_999, 2_000, 2_001, 3_000]
            .map(|ms| inbox.deliver(now + TimeDelta::milliseconds(ms)))
            .into();

        assert_eq!(delivered, [ids(&[]), ids(&[1]), ids(&[]), ids(&[2])]);
    }

    #[test]
    fn a_message_is_found_by_its_number_with_and_without_the_plus() {
        let (mut inbox, now) = inbox();
        inbox.push(sms(7, "1234", now).unwrap());

        for (phone, found) in [
            ("+919000000007", 1),
            ("919000000007", 1),
            (" 919000000007", 1),
            ("+91900000000", 0),
        ] {
            assert_eq!(inbox.newest_first(Some(phone)).len(), found, "{phone}");
        }
    }

    #[test]
    fn debug_shows_neither_number_nor_text_nor_code() {
        let shown = format!("{:?}", sms(7, "Code 482913", DateTime::UNIX_EPOCH));

        assert!(
            !shown.contains("91900000") && !shown.contains("482913"),
            "{shown}"
        );
    }
}
