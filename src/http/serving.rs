//! Whether this process is to be given further calls, how many it has, and over how many connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// One a process.
#[derive(Debug, Default)]
pub struct Serving {
    is_stopping: AtomicBool,
    in_flight: AtomicUsize,
    is_idle: Notify,
    connections: AtomicUsize,
    most_connections: AtomicUsize,
}

impl Serving {
    /// How many connections there may be; without this, any.
    pub fn limit_connections(&self, most: usize) {
        self.most_connections.store(most, Ordering::Relaxed);
    }

    /// Counts a connection until the guard is dropped.
    pub fn connect(self: &Arc<Self>) -> Connected {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connected(Arc::clone(self))
    }

    /// Whether more than half of the connections there may be are open. Then none is to be kept: whoever has
    /// one that was kept may begin a request and never end it, for which actix-web has no timeout but on new
    /// connections, so that the other half must be of those.
    pub fn is_crowded(&self) -> bool {
        let most = self.most_connections.load(Ordering::Relaxed);
        most > 0 && self.connections.load(Ordering::Relaxed) > most / 2
    }

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
        self.in_flight.load(Ordering::Acquire)
    }

    /// Waits until there is none.
    pub async fn idle(&self) {
        loop {
            // Asked for before the count is read: one that ends in between is not missed.
            let is_idle = self.is_idle.notified();
            if self.in_flight() == 0 {
                return;
            }
            is_idle.await;
        }
    }

    /// Counts a call until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(self))
    }
}

/// A connection to the public listener.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once counts no connection"]
pub struct Connected(Arc<Serving>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call that is not done.
#[must_use = "a guard that is dropped at once counts no call"]
pub struct InFlight(Arc<Serving>);

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.is_idle.notify_waiters();
        }
    }
}
