//! One login, as a careful backend and its user would do it.

use std::collections::BTreeSet;
use std::time::Duration;

use otp_auth::sandbox::SandboxHandle;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::{Answer, Api, Call, PATIENCE};
use crate::dice::{Dice, Stream};

const SEND: &str = "/v1/otp/send";
const RESEND: &str = "/v1/otp/resend";
const VERIFY: &str = "/v1/otp/verify";

/// How many new codes one user asks for, and how often for the same one again.
const SENDS: usize = 12;
const RESENDS: usize = 4;
/// How often one user types the right code, where the service cannot say whether it is right.
const TRIES: usize = 20;
/// How long a user waits for an SMS. The sandbox delivers at once, or never.
const SMS_WITHIN: Duration = Duration::from_millis(500);
/// How many users mistype first, and how many connections break in the middle of a send.
const MISTYPED: f64 = 0.2;
const HUNG_UP: f64 = 0.1;
/// When a connection breaks, at most: about as long as a send takes.
const HANG_UP_BELOW_MS: u64 = 15;

/// What a user or their backend did on purpose, under one key.
pub(crate) struct Action {
    pub(crate) call: Call,
    /// How many SMS the phone had before.
    pub(crate) sms_before: usize,
    /// The final answer.
    pub(crate) answer: Option<Answer>,
}

impl Action {
    /// Whether it asked for an SMS.
    pub(crate) fn sends(&self) -> bool {
        self.call.path != VERIFY
    }

    /// Whether it asked for a new code, which supersedes older ones.
    pub(crate) fn is_new_code(&self) -> bool {
        self.call.path == SEND
    }
}

/// What became of a login.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) phone: String,
    pub(crate) actions: Vec<Action>,
    /// The `session_id` of every token that came.
    pub(crate) sessions: BTreeSet<String>,
    /// What the service said to right codes that it had to take.
    pub(crate) right_refused: Vec<String>,
    /// Right codes that came after the provider's tries were spent.
    pub(crate) spent: u32,
    /// Wrong codes that were taken.
    pub(crate) wrong_taken: u32,
    /// Repeats of a verify that brought another body than the first.
    pub(crate) changed: u32,
    /// Confirmed sends whose SMS never came.
    pub(crate) confirmed_for_nothing: u32,
    pub(crate) signed_in: bool,
    /// Why it did not come to its end, the repeat of its last verify included.
    pub(crate) gave_up: Option<String>,
}

/// One user with their backend.
pub(crate) struct Login<'a> {
    api: &'a Api,
    sandbox: &'a SandboxHandle,
    seed: u64,
    index: u64,
    dice: Dice,
}

/// A code that is on the phone.
struct Received {
    request_id: String,
    code: String,
}

impl<'a> Login<'a> {
    pub(crate) fn new(api: &'a Api, sandbox: &'a SandboxHandle, seed: u64, index: u64) -> Self {
        Self {
            api,
            sandbox,
            seed,
            index,
            dice: Dice::new(seed, Stream::Login(index)),
        }
    }

    /// Signs in, or gives up and says why.
    pub(crate) async fn run(mut self, record: &mut Record) {
        record.phone = phone(self.index);
        record.gave_up = self.sign_in(record).await.err();
    }

    async fn sign_in(&mut self, record: &mut Record) -> Result<(), String> {
        for _ in 0..SENDS {
            let Some(received) = self.receive(record).await? else {
                continue;
            };
            if self.dice.happens(MISTYPED) {
                self.mistype(record, &received).await?;
            }
            if self.verify(record, &received).await? {
                return Ok(());
            }
        }
        Err(format!("no token after {SENDS} codes"))
    }

    /// Asks for a code until one is on the phone; `None` if a new one must be asked for.
    async fn receive(&mut self, record: &mut Record) -> Result<Option<Received>, String> {
        let before = self.sms(record).len();
        let body = json!({"phone_number": record.phone});
        let mut answer = self.act(record, SEND, body).await?;
        let Some(request_id) = answer.text("request_id") else {
            // The provider refused it, so there is nothing to verify or to resend.
            return Ok(None);
        };
        for resends_left in (0..=RESENDS).rev() {
            if let Some(code) = self.newest_code(record, before).await {
                return Ok(Some(Received { request_id, code }));
            }
            record.confirmed_for_nothing += u32::from(answer.status < 300);
            if resends_left == 0 {
                break;
            }
            let body = json!({"request_id": request_id});
            answer = match self.act(record, RESEND, body).await {
                Ok(answer) if answer.status == 400 => break,
                Ok(answer) => answer,
                // The request may have no sends left: only a new code helps then.
                Err(last) if last.contains("429 rate_limited") => break,
                Err(last) => return Err(last),
            };
        }
        Ok(None)
    }

    /// Types a code that is wrong by one digit.
    async fn mistype(&mut self, record: &mut Record, received: &Received) -> Result<(), String> {
        let mut wrong = received.code.clone();
        let last = wrong.pop();
        wrong.push(if last == Some('0') { '1' } else { '0' });
        let answer = self.try_code(record, received, &wrong).await?;
        record.wrong_taken += u32::from(answer.status == 200);
        Ok(())
    }

    /// Types the right code; whether that brought a token.
    async fn verify(&mut self, record: &mut Record, received: &Received) -> Result<bool, String> {
        for _ in 0..TRIES {
            let answer = self.try_code(record, received, &received.code).await?;
            match answer.status {
                200 => {
                    record.signed_in = true;
                    self.repeat(record, &answer).await?;
                    return Ok(true);
                }
                // Where the provider checks codes, it could not be asked. The user tries again.
                502 | 504 => {}
                // The provider checks only three codes, and counts each time it is asked.
                429 if answer.is_spent() => {
                    record.spent += 1;
                    return Ok(false);
                }
                _ => {
                    record.right_refused.push(answer.name());
                    return Ok(false);
                }
            }
        }
        record
            .right_refused
            .push(format!("no verdict in {TRIES} tries"));
        Ok(false)
    }

    /// Makes the last verify once more, as if its answer had been lost.
    async fn repeat(&self, record: &mut Record, first: &Answer) -> Result<(), String> {
        let Some(last) = record.actions.last() else {
            return Ok(());
        };
        let again = self.api.until_final(&last.call, PATIENCE).await?;
        record.changed += u32::from(again.body != first.body || again.status != first.status);
        record.sessions.extend(again.text("session_id"));
        Ok(())
    }

    async fn try_code(
        &mut self,
        record: &mut Record,
        received: &Received,
        code: &str,
    ) -> Result<Answer, String> {
        let body = json!({"request_id": received.request_id, "code": code});
        let answer = self.act(record, VERIFY, body).await?;
        record.sessions.extend(answer.text("session_id"));
        Ok(answer)
    }

    /// One action under a fresh key, repeated until its answer is final.
    async fn act(
        &mut self,
        record: &mut Record,
        path: &'static str,
        body: Value,
    ) -> Result<Answer, String> {
        let number = record.actions.len();
        let key = format!("drill-{}-{}-{number}", self.seed, self.index);
        let call = Call { path, key, body };
        record.actions.push(Action {
            call: call.clone(),
            sms_before: self.sms(record).len(),
            answer: None,
        });
        if path == SEND && self.dice.happens(HUNG_UP) {
            let after = self.dice.millis_below(HANG_UP_BELOW_MS);
            self.api.hang_up(&call, after).await;
        }
        let answer = self.api.until_final(&call, PATIENCE).await?;
        if let Some(action) = record.actions.last_mut() {
            action.answer = Some(answer.clone());
        }
        Ok(answer)
    }

    /// The code in the newest SMS, if one came since there were `before` of them.
    async fn newest_code(&self, record: &Record, before: usize) -> Option<String> {
        let end = Instant::now() + SMS_WITHIN;
        loop {
            let sms = self.sms(record);
            if sms.len() > before {
                return sms.first().map(|sms| sms.code.clone());
            }
            if Instant::now() > end {
                return None;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn sms(&self, record: &Record) -> Vec<otp_auth::sandbox::Message> {
        self.sandbox.messages_to(&record.phone)
    }
}

/// The phone of a login: an Indian mobile number that no other login has.
pub(crate) fn phone(index: u64) -> String {
    format!("+9198{:08}", 10_000_000 + index)
}
