//! Whether this process is to be given further calls, and how many it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// One a process.
#[derive(Debug, Default)]
pub struct Serving {
    is_stopping: AtomicBool,
    in_flight: watch::Sender<usize>,
}

impl Serving {
    /// From now on `/readyz` fails and each answer ends its connection, so that whoever passes calls on
    /// goes elsewhere. Calls are answered as before.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Calls that are not done: not answered yet, or worked on although the caller hung up.
    pub fn in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    /// Waits until there is none.
    pub async fn idle(&self) {
        // The sender is `self`.
        let _ = self
            .in_flight
            .subscribe()
            .wait_for(|calls| *calls == 0)
            .await;
    }

    /// Counts a call until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.send_modify(|calls| *calls += 1);
        InFlight(Arc::clone(self))
    }
}

/// A call that is not done.
#[must_use = "a guard that is dropped at once counts no call"]
pub struct InFlight(Arc<Serving>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.send_modify(|calls| *calls -= 1);
    }
}
