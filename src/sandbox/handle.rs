//! The sandbox seen from its own process: what tests ask without going over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Mode;
use super::faults::{ArmedFault, Fault, FaultKind};
use super::messages::Message;
use super::state::{Requests, State};

/// Looks into a running sandbox and steers it. Cheap to clone.
#[derive(Clone)]
pub struct SandboxHandle {
    pub(super) state: Arc<State>,
    pub(super) addr: SocketAddr,
}

impl SandboxHandle {
    /// Where the sandbox listens, as `startmessaging.base_url` wants it: no slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Speaks another dialect from now on.
    pub fn speak(&self, mode: Mode) {
        self.state.lock().mode = mode;
    }

    /// All SMS, newest first.
    pub fn messages(&self) -> Vec<Message> {
        self.state.lock().messages.newest_first(None)
    }

    /// The SMS to one number (E.164), newest first.
    pub fn messages_to(&self, phone_number: &str) -> Vec<Message> {
        self.state.lock().messages.newest_first(Some(phone_number))
    }

    /// Empties the inbox.
    pub fn clear_messages(&self) {
        self.state.clear_messages();
    }

    /// How many requests came so far, faulted and refused ones too.
    pub fn requests(&self) -> Requests {
        self.state.requests()
    }

    /// How many replies a slow or hanging fault holds back right now.
    pub fn held_replies(&self) -> usize {
        self.state.held()
    }

    /// The armed faults, oldest first.
    pub fn faults(&self) -> Vec<ArmedFault> {
        self.state.lock().faults.list()
    }

    /// Arms a fault; one of the same kind is replaced.
    pub fn arm(&self, fault: Fault) {
        self.state.change_faults(|faults| faults.arm(fault));
    }

    /// Disarms one kind of fault.
    pub fn disarm(&self, kind: FaultKind) {
        self.state.change_faults(|faults| faults.disarm(Some(kind)));
    }

    /// Disarms all faults.
    pub fn disarm_all(&self) {
        self.state.change_faults(|faults| faults.disarm(None));
    }

    /// The wallet's balance in paise (hundredths of a rupee).
    pub fn balance_paise(&self) -> i64 {
        self.state.lock().balance_paise
    }

    /// Sets the wallet's balance in paise.
    pub fn set_balance_paise(&self, balance: i64) {
        self.state.lock().balance_paise = balance;
    }

    /// Makes [`Sandbox::run`](super::Sandbox::run) return; held replies are cut off.
    pub fn stop(&self) {
        self.state.stop();
    }
}
