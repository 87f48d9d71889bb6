//! What the phones received. The sandbox keeps only so many SMS, and looking for one reads them all;
//! here each is read once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use otp_auth::sandbox::SandboxHandle;

/// SMS that the sandbox may hold before it is emptied: enough for the service's questions about the
/// latest ones, few enough to be read quickly.
const KEPT: usize = 500;

#[derive(Default)]
struct Received {
    /// Read from the sandbox since it was emptied.
    seen: usize,
    /// How many each phone got, and the newest code.
    phones: HashMap<String, (u64, String)>,
}

/// All phones.
pub(crate) struct Inbox {
    sandbox: SandboxHandle,
    received: Mutex<Received>,
}

impl Inbox {
    pub(crate) fn new(sandbox: SandboxHandle) -> Self {
        Self {
            sandbox,
            received: Mutex::default(),
        }
    }

    /// Reads what is new. Nobody may be sending meanwhile.
    pub(crate) fn read(&self) {
        let mut received = self.lock();
        let messages = self.sandbox.messages();
        let new = messages.len().saturating_sub(received.seen);
        received.seen = messages.len();
        for message in messages.into_iter().take(new).rev() {
            let entry = received.phones.entry(message.phone_number).or_default();
            *entry = (entry.0 + 1, message.code);
        }
        if received.seen > KEPT {
            self.sandbox.clear_messages();
            received.seen = 0;
        }
    }

    /// The newest code that a phone shows.
    pub(crate) fn code(&self, phone: &str) -> Option<String> {
        Some(self.lock().phones.get(phone)?.1.clone())
    }

    /// How many SMS came to the numbers that begin so.
    pub(crate) fn count(&self, prefix: &str) -> u64 {
        let received = self.lock();
        let of_prefix = received
            .phones
            .iter()
            .filter(|(phone, _)| phone.starts_with(prefix));
        of_prefix.map(|(_, (count, _))| count).sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
